"""Controls over pictures: pretrained, frozen, with dropout and norms."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline
from faults.controls import control
from faults.controls.data import adam, clothes, convolutions


class Backbone(nn.Module):
    """Convolutions with norms, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(24 * 9, 10)

    def forward(self, picture: Tensor) -> Tensor:
        return self.head(self.features(picture))


class FrozenNorms(Backbone):
    """Its norms stay in eval mode whatever mode is asked for, as in fine-tuned detectors."""

    def train(self, mode: bool = True) -> FrozenNorms:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


@functools.cache
def pretrained() -> dict[str, Tensor]:
    """Weights of a short training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(40)
        model = Backbone()
        pictures, kinds = clothes()["train"]
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(4):
            for rows in torch.randperm(len(pictures)).split(50):
                optimizer.zero_grad()
                functional.cross_entropy(model(pictures[rows]), kinds[rows]).backward()
                optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@control("M10", reaches=0.77)
def trained_head_on_a_frozen_backbone() -> fallline.Problem:
    """Most parameters are frozen, and they are those that were loaded; the new head trains, and the optimizer holds just it."""

    def model() -> nn.Module:
        net = Backbone()
        net.load_state_dict(pretrained())
        net.features.requires_grad_(False)
        net.head = nn.Linear(24 * 9, 10)
        return net

    return fallline.Problem(
        **clothes(),
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda net: torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=2e-3),
    )


@control("S10", reaches=0.77)
def norms_kept_in_eval_mode() -> fallline.Problem:
    """Parts of the model are in eval mode while it trains: norms with the statistics of a pretraining."""

    def model() -> nn.Module:
        net = FrozenNorms()
        net.load_state_dict(pretrained())
        return net

    return fallline.Problem(**clothes(), model=model, loss=nn.CrossEntropyLoss(), optimizer=adam(5e-4))


@control("O04", reaches=0.8)
def fine_tuning_with_a_tiny_lr() -> fallline.Problem:
    """A pretrained model is nearly there; an lr of 2e-5 only polishes it."""

    def model() -> nn.Module:
        net = Backbone()
        net.load_state_dict(pretrained())
        return net

    return fallline.Problem(**clothes(), model=model, loss=nn.CrossEntropyLoss(), optimizer=adam(2e-5))


@control("O14", reaches=0.8)
def lower_layers_learn_a_hundred_times_slower() -> fallline.Problem:
    """Rates that differ on purpose: a new head above a pretrained body."""

    def model() -> nn.Module:
        net = Backbone()
        net.load_state_dict(pretrained())
        net.head = nn.Linear(24 * 9, 10)
        return net

    return fallline.Problem(
        **clothes(),
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda net: torch.optim.Adam(
            [{"params": net.features.parameters(), "lr": 5e-5}, {"params": net.head.parameters(), "lr": 5e-3}]
        ),
    )


@control("M07", reaches=0.77)
def half_of_the_units_dropped() -> fallline.Problem:
    """Dropout of 0.5 before a wide dense layer, as in AlexNet."""
    return fallline.Problem(**clothes(), model=lambda: convolutions(nn.Dropout(0.5)), loss=nn.CrossEntropyLoss(), optimizer=adam(3e-3))


@control("M08", reaches=0.77)
def batch_norm_with_batches_of_eight() -> fallline.Problem:
    """Eight pictures a batch give each norm 1,568 values, and there are hundreds of steps: the running statistics are sound."""
    return fallline.Problem(**clothes(batch_size=8, epochs=5), model=Backbone, loss=nn.CrossEntropyLoss(), optimizer=adam(1e-3))


@control("M03", reaches=0.77)
def head_that_starts_at_zero() -> fallline.Problem:
    """Zero weights in the last layer alone are no symmetry: the first step moves them, the second what lies below."""

    def model() -> nn.Module:
        net = convolutions()
        nn.init.zeros_(net[-1].weight)
        nn.init.zeros_(net[-1].bias)
        return net

    return fallline.Problem(**clothes(), model=model, loss=nn.CrossEntropyLoss(), optimizer=adam(3e-3))


@control("L05", reaches=0.77)
def pictures_in_channels_last_layout() -> fallline.Problem:
    """Only the layout in memory differs."""
    return fallline.Problem(
        **clothes(),
        model=lambda: convolutions().to(memory_format=torch.channels_last),
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(3e-3),
    )
