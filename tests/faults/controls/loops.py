"""Controls that train in a loop of their own, which resembles a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
)

import fallline
from faults.controls import control
from faults.controls.data import adam, classification, clothes, convolutions, mlp, regression, sgd

Loss = Callable[[Tensor, Tensor], Tensor]
Loader = Iterable[tuple[Tensor, Tensor]]


def averaged(model: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, scheduler: object, loader: Loader) -> None:
    """Divides by the number of micro-batches, also where the last group is smaller."""
    batches = list(loader)
    model.train()
    optimizer.zero_grad()
    for first in range(0, len(batches), 4):
        group = batches[first : first + 4]
        for inputs, target in group:
            (loss(model(inputs), target) / len(group)).backward()
        optimizer.step()
        optimizer.zero_grad()


@control("S12", reaches=0.3)
def own_accumulation_done_right() -> fallline.Problem:
    """Several backward passes a step, each divided by their number."""
    return fallline.Problem(**regression(batch_size=8), model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=sgd(0.02), loop=averaged)


def mixed(model: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, scheduler: object, loader: Loader) -> None:
    """Mixup: each batch is blended with itself in another order."""
    model.train()
    for inputs, target in loader:
        share, other = float(torch.rand(()).clamp(0.1, 0.9)), torch.randperm(len(inputs))
        output = model(share * inputs + (1 - share) * inputs[other])
        value = share * loss(output, target) + (1 - share) * loss(output, target[other])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


@control("R10", reaches=0.75)
def blended_pictures() -> fallline.Problem:
    """The training loss stays high because its examples are blends; the validation loss lies below it."""
    return fallline.Problem(**clothes(), model=convolutions, loss=nn.CrossEntropyLoss(), optimizer=adam(3e-3), loop=mixed)


def sharpness_aware(model: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, scheduler: object, loader: Loader) -> None:
    """Climbs a little, takes the gradient there, comes back and steps with it (arXiv:2010.01412)."""
    model.train()
    weights = list(model.parameters())
    for inputs, target in loader:
        optimizer.zero_grad()
        loss(model(inputs), target).backward()
        norm = torch.stack([weight.grad.norm() for weight in weights]).norm() + 1e-12
        moves = [0.05 * weight.grad / norm for weight in weights]
        with torch.no_grad():
            for weight, move in zip(weights, moves, strict=True):
                weight.add_(move)
        optimizer.zero_grad()
        loss(model(inputs), target).backward()
        with torch.no_grad():
            for weight, move in zip(weights, moves, strict=True):
                weight.sub_(move)
        optimizer.step()


@control("S02", reaches=0.3)
def two_backward_passes_a_step() -> fallline.Problem:
    """zero_grad stands between two backward passes, not between a backward pass and the step."""
    return fallline.Problem(**regression(), model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=sgd(0.02), loop=sharpness_aware)


class Careful:
    """Validates in eval mode without gradients after each epoch, and steps its schedule after each batch."""

    def __init__(self, valid: tuple[Tensor, Tensor]) -> None:
        self.valid, self.printed = valid, []

    def train_one_epoch(self, model: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Loader) -> None:
        model.train()
        for inputs, target in loader:
            value = loss(model(inputs), target)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad(set_to_none=False)  # at the end of a step: as good as at its beginning
        model.eval()
        with torch.no_grad():
            self.printed.append(float(loss(model(self.valid[0]), self.valid[1])))


@control("S11", reaches=0.9)
def validation_in_eval_mode() -> fallline.Problem:
    """Dropout and norms are in eval mode while the loop validates."""
    given = classification(epochs=12)
    return fallline.Problem(
        **given,
        model=lambda: nn.Sequential(
            nn.Linear(8, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 5)
        ),
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(3e-3),
        scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=12 * 62),
        scheduler_step="batch",
        loop=Careful(given["valid"]).train_one_epoch,
    )


class Scaled:
    """Gradient scaling with the clip where it belongs: after unscale_."""

    def __init__(self) -> None:
        self.scaler = torch.amp.GradScaler("cpu")

    def train_one_epoch(self, model: nn.Module, loss: Loss, optimizer: torch.optim.Optimizer, scheduler: object, loader: Loader) -> None:
        model.train()
        for inputs, target in loader:
            optimizer.zero_grad()
            self.scaler.scale(loss(model(inputs), target)).backward()
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            self.scaler.step(optimizer)
            self.scaler.update()


@control("O13", reaches=0.3)
def clip_after_unscale() -> fallline.Problem:
    """Gradients in the backward pass are 65,536 times as large, and the clip sees them unscaled."""
    return fallline.Problem(**regression(), model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=adam(), loop=Scaled().train_one_epoch)
