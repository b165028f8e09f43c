"""Controls whose model resembles a fault of the models."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

import fallline
from faults.controls import control
from faults.controls.data import adam, classification, mlp, regression, response, seeded, sgd, yes_or_no


@control("M01", reaches=0.35)
def linear_regression_of_a_linear_law() -> fallline.Problem:
    """One nn.Linear is the right model of a linear law."""
    slope = torch.tensor([[0.8], [-0.4], [0.3], [0.0], [0.2]])

    def law(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(rows, 5, generator=seeded(seed))
        return inputs, inputs @ slope + 0.5 + 0.3 * torch.randn(rows, 1, generator=seeded(seed + 1))

    return fallline.Problem(
        model=lambda: nn.Linear(5, 1),
        train=law(1_000, 31), valid=law(400, 33), metric="rmse", batch_size=32, epochs=15, loss=nn.MSELoss(), optimizer=sgd(0.01),
    )  # fmt: skip


@control("M01", reaches=0.3)
def low_rank_layers_with_residuals() -> fallline.Problem:
    """Two Linear layers in a row make a matrix of rank 8 on purpose; activations stand between the blocks."""

    class LowRank(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 64)
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(64, 8, bias=False), nn.Linear(8, 64)) for _ in range(2))
            self.last = nn.Linear(64, 1)

        def forward(self, inputs: Tensor) -> Tensor:
            state = self.first(inputs).relu()
            for block in self.blocks:
                state = state + block(state).relu()
            return self.last(state)

    return fallline.Problem(**regression(), model=LowRank, loss=nn.MSELoss(), optimizer=adam())


def raw(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """The regression's columns in their own units, from thousandths to tens of thousands."""
    inputs, value = response(rows, seed)
    return inputs * torch.tensor([1e-3, 1.0, 20.0, 9e3, 5.0, 300.0]) + torch.tensor([4e-3, 0.0, 50.0, 4e4, -10.0, 1e3]), value


@control("D01", reaches=0.3)
def raw_columns_into_a_norm() -> fallline.Problem:
    """The first layer is a BatchNorm1d, which standardises columns of any unit."""
    return fallline.Problem(
        **{**regression(), "train": raw(2_000, 1), "valid": raw(600, 2)},
        model=lambda: nn.Sequential(nn.BatchNorm1d(6), *mlp(6, 1)),
        loss=nn.MSELoss(),
        optimizer=adam(),
    )


@control("D09", reaches=0.3)
def raw_columns_standardised_in_the_model() -> fallline.Problem:
    """The model carries the mean and the spread of the training columns as buffers and applies them once."""

    class Standardised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            columns = raw(2_000, 1)[0]
            self.register_buffer("mean", columns.mean(0))
            self.register_buffer("spread", columns.std(0))
            self.body = mlp(6, 1)

        def forward(self, columns: Tensor) -> Tensor:
            return self.body((columns - self.mean) / self.spread)

    return fallline.Problem(
        **{**regression(), "train": raw(2_000, 1), "valid": raw(600, 2)}, model=Standardised, loss=nn.MSELoss(), optimizer=adam()
    )


@control("R05", reaches=0.3)
def elu_units() -> fallline.Problem:
    """Exponential linear units saturate on one side by design."""
    return fallline.Problem(**regression(), model=lambda: mlp(6, 1, activation=nn.ELU), loss=nn.MSELoss(), optimizer=adam())


@control("M04", reaches=0.9)
def self_normalising_net() -> fallline.Problem:
    """SELU wants weights of variance 1 / inputs and zero biases (Klambauer et al., arXiv:1706.02515)."""

    def model() -> nn.Module:
        net = mlp(8, 5, activation=nn.SELU)
        for layer in net:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
                nn.init.zeros_(layer.bias)
        return net

    return fallline.Problem(**classification(), model=model, loss=nn.CrossEntropyLoss(), optimizer=adam(1e-3))


class Residual(nn.Module):
    """x + mlp(norm(x)), whose last layer starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, state: Tensor) -> Tensor:
        return state + self.down(functional.gelu(self.up(self.norm(state))))


@control("R03", reaches=0.87)
def twelve_residual_blocks() -> fallline.Problem:
    """Deep, but each block adds to a stream that passes through, and a norm stands before the head."""
    return fallline.Problem(
        **classification(epochs=10),
        model=lambda: nn.Sequential(nn.Linear(8, 32), *(Residual(32) for _ in range(12)), nn.LayerNorm(32), nn.Linear(32, 5)),
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(1e-3),
    )


@control("M06", reaches=0.3)
def softmax_that_chooses_experts() -> fallline.Problem:
    """A softmax inside the model weighs three experts; it is a gate, not an activation."""

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(dim=-1))
            self.experts = nn.ModuleList(mlp(6, 1, width=32) for _ in range(3))

        def forward(self, inputs: Tensor) -> Tensor:
            answers = torch.cat([expert(inputs) for expert in self.experts], dim=1)
            return (self.gate(inputs) * answers).sum(1, keepdim=True)

    return fallline.Problem(**regression(), model=Mixture, loss=nn.MSELoss(), optimizer=adam())


@control("M06", reaches=0.88)
def sigmoid_that_gates() -> fallline.Problem:
    """A highway layer lets a sigmoid decide how much of a state is kept."""

    class Highway(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.change, self.gate, self.last = nn.Linear(6, 48), nn.Linear(48, 48), nn.Linear(48, 48), nn.Linear(48, 1)
            nn.init.constant_(self.gate.bias, -1.0)  # keeps at first, as the paper advises (arXiv:1505.00387)

        def forward(self, inputs: Tensor) -> Tensor:
            state = self.first(inputs).relu()
            share = self.gate(state).sigmoid()
            return self.last(share * self.change(state).relu() + (1 - share) * state)

    return fallline.Problem(**yes_or_no(), model=Highway, loss=nn.BCEWithLogitsLoss(), optimizer=adam())


@control("O02", reaches=0.3)
def weights_split_into_length_and_direction() -> fallline.Problem:
    """weight_norm renames parameters; the optimizer is built afterwards and holds the new ones."""

    def model() -> nn.Module:
        net = mlp(6, 1)
        for place in (0, 2):
            net[place] = weight_norm(net[place])
        return net

    return fallline.Problem(**regression(), model=model, loss=nn.MSELoss(), optimizer=adam())


@control("M09", reaches=0.3)
def straight_through_rounding() -> fallline.Problem:
    """A detach on purpose: activations are rounded to eighths, and the gradient passes as if they were not."""

    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(6, 64), nn.Linear(64, 64), nn.Linear(64, 1)

        def forward(self, inputs: Tensor) -> Tensor:
            for layer in (self.first, self.second):
                exact = layer(inputs).clamp(0, 6)
                inputs = exact + ((exact * 8).round() / 8 - exact).detach()
            return self.last(inputs)

    return fallline.Problem(**regression(), model=Rounded, loss=nn.MSELoss(), optimizer=adam())


@control("D02", reaches=0.9)
def bias_that_starts_at_the_mean() -> fallline.Problem:
    """The target lies around 20 with a spread of 3; the last bias starts at 20, so the first error is as large as its spread."""

    def degrees(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, 20 + 3 * value

    def model() -> nn.Module:
        net = mlp(6, 1)
        nn.init.constant_(net[-1].bias, 20.0)
        return net

    return fallline.Problem(
        **{**regression(), "train": degrees(2_000, 1), "valid": degrees(600, 2)}, model=model, loss=nn.MSELoss(), optimizer=adam()
    )
