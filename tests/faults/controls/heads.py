"""Controls whose last layer resembles a fault: its range, its activation, its number of outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline
from faults.controls import control
from faults.controls.data import (
    adam,
    classification,
    groups_of_points,
    mlp,
    regression,
    response,
    seeded,
)


@control("L01", reaches=0.87)
def outputs_scaled_to_unit_length() -> fallline.Problem:
    """Cosines between -1 and 1, multiplied by a temperature before cross-entropy, as face recognition does."""

    class Cosine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = mlp(8, 32)
            self.kinds = nn.Parameter(torch.randn(5, 32))

        def forward(self, inputs: Tensor) -> Tensor:
            return 12 * functional.normalize(self.body(inputs), dim=1) @ functional.normalize(self.kinds, dim=1).T

    return fallline.Problem(**classification(), model=Cosine, loss=nn.CrossEntropyLoss(), optimizer=adam())


@control("L09", reaches=0.07)
def sigmoid_head_for_shares() -> fallline.Problem:
    """Shares lie between 0 and 1, as does a sigmoid; squared error is a fair loss for them."""

    def shares(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, (1.2 * value).sigmoid()

    return fallline.Problem(
        model=lambda: mlp(6, 1, nn.Sigmoid()),
        train=shares(2_000, 1), valid=shares(600, 2), metric="rmse", batch_size=32, epochs=20, loss=nn.MSELoss(), optimizer=adam(),
    )  # fmt: skip


@control("L09", reaches=0.15)
def tanh_head_for_targets_within_its_range() -> fallline.Problem:
    """Steering angles between -0.8 and 0.8 under a tanh."""

    def angles(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, 0.8 * value.tanh()

    return fallline.Problem(
        model=lambda: mlp(6, 1, nn.Tanh()),
        train=angles(2_000, 1), valid=angles(600, 2), metric="rmse", batch_size=32, epochs=20, loss=nn.SmoothL1Loss(), optimizer=adam(),
    )  # fmt: skip


@control("M11", reaches=0.3)
def softplus_head_for_waiting_times() -> fallline.Problem:
    """An activation at the end is right where the target, a waiting time, is positive."""

    def minutes(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, functional.softplus(2 * value)

    return fallline.Problem(
        model=lambda: mlp(6, 1, nn.Softplus()),
        train=minutes(2_000, 1), valid=minutes(600, 2), metric="mae", batch_size=32, epochs=20, loss=nn.L1Loss(), optimizer=adam(),
    )  # fmt: skip


@control("L15", reaches=0.92)
def several_labels_a_row() -> fallline.Problem:
    """Rows of zeros and ones under BCEWithLogitsLoss: any number of labels may hold."""

    def labelled(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, kind = groups_of_points(rows, 5, seed)
        return inputs, torch.stack([kind < 2, (kind == 1) | (kind == 3), inputs[:, 0] > 0, inputs[:, 1] + inputs[:, 2] > 0], dim=1).float()

    return fallline.Problem(
        model=lambda: mlp(8, 4),
        train=labelled(2_000, 3), valid=labelled(600, 4), metric="macro_f1", batch_size=32, epochs=15,
        loss=nn.BCEWithLogitsLoss(), optimizer=adam(),
    )  # fmt: skip


def visits(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    inputs, value = response(rows, seed)
    return inputs, torch.poisson((0.7 + 0.8 * value).clamp(-3, 4).exp(), generator=seeded(seed))


@control("L09", reaches=1.5)
def counts_under_an_exponential() -> fallline.Problem:
    """The model gives logarithms of rates, PoissonNLLLoss takes them; its value may be negative."""
    return fallline.Problem(
        model=lambda: mlp(6, 1),
        train=visits(3_000, 1),
        valid=visits(800, 2),
        metric=lambda output, target: float((output.exp() - target).abs().mean()),
        direction="min",
        task="count",
        batch_size=32,
        epochs=15,
        loss=nn.PoissonNLLLoss(log_input=True),
        optimizer=adam(1e-3),
    )


@control("L13", reaches=0.3)
def mean_and_variance_from_two_outputs() -> fallline.Problem:
    """Two outputs a row, mean and logarithm of the variance; a Gaussian log-likelihood may well make the loss negative."""

    def likelihood(output: Tensor, target: Tensor) -> Tensor:
        mean, log_variance = output.split(1, dim=1)
        return functional.gaussian_nll_loss(mean, target, log_variance.clamp(-8, 8).exp())

    return fallline.Problem(
        **{**regression(), "metric": lambda output, target: float((output[:, :1] - target).pow(2).mean().sqrt())},
        direction="min",
        model=lambda: mlp(6, 2),
        loss=likelihood,
        optimizer=adam(),
    )
