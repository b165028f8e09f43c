"""Controls whose optimizer, schedule or data resemble a fault."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

import fallline
from faults.controls import control
from faults.controls.data import adam, clothes, convolutions, mlp, regression, response, seeded, sgd


@control("O06", reaches=0.3)
def adam_with_a_little_coupled_decay() -> fallline.Problem:
    """1e-5 in Adam's own weight_decay is small beside the gradients."""
    return fallline.Problem(**regression(), model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=adam(weight_decay=1e-5))


@control("O03", reaches=0.77)
def high_lr_reached_by_warm_up() -> fallline.Problem:
    """SGD at 0.1 with momentum is high; twenty steps of warm-up and a cosine make it right."""

    def scheduler(optimizer: torch.optim.Optimizer) -> Any:
        warm_up = LinearLR(optimizer, start_factor=0.05, total_iters=20)
        return SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, T_max=780)], milestones=[20])

    return fallline.Problem(
        **clothes(),
        model=lambda: convolutions(nn.BatchNorm1d(216)),
        loss=nn.CrossEntropyLoss(),
        optimizer=sgd(0.1),
        scheduler=scheduler,
        scheduler_step="batch",
    )


@control("S04", reaches=0.77)
def one_cycle_of_the_right_length() -> fallline.Problem:
    """OneCycleLR steps after every batch, and total_steps is epochs times batches."""
    return fallline.Problem(
        **clothes(),
        model=convolutions,
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(1e-3),
        scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=5e-3, total_steps=8 * 100),
        scheduler_step="batch",
    )


@control("S06", reaches=0.3)
def cosine_of_the_right_length() -> fallline.Problem:
    """T_max is the number of epochs, and the scheduler steps once an epoch."""
    return fallline.Problem(
        **regression(epochs=20),
        model=lambda: mlp(6, 1),
        loss=nn.MSELoss(),
        optimizer=adam(3e-3),
        scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=20),
    )


@control("S06", reaches=0.3)
def restarts_that_end_at_a_minimum() -> fallline.Problem:
    """The lr climbs again on purpose, after 7 epochs of 21, and the last cycle ends with the run."""
    return fallline.Problem(
        **regression(epochs=21),
        model=lambda: mlp(6, 1),
        loss=nn.MSELoss(),
        optimizer=adam(3e-3),
        scheduler=lambda optimizer: CosineAnnealingWarmRestarts(optimizer, T_0=7, T_mult=2, eta_min=1e-5),
    )


@control("S08", reaches=0.77)
def plateau_of_an_accuracy() -> fallline.Problem:
    """ReduceLROnPlateau reads an accuracy and is told so: mode="max"."""
    return fallline.Problem(
        **clothes(),
        model=convolutions,
        loss=nn.CrossEntropyLoss(),
        optimizer=adam(3e-3),
        scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, mode="max", patience=2),
    )


@control("S09", reaches=0.3)
def lr_that_ends_at_a_hundredth() -> fallline.Problem:
    """An exponential decay over the whole run: small at the end, when little is left to learn."""
    return fallline.Problem(
        **regression(epochs=20),
        model=lambda: mlp(6, 1),
        loss=nn.MSELoss(),
        optimizer=adam(3e-3),
        scheduler=lambda optimizer: LambdaLR(optimizer, lambda epoch: 0.01 ** (epoch / 20)),
    )


@control("O12", reaches=0.3)
def clipping_that_acts_now_and_then() -> fallline.Problem:
    """A global norm of 2 cuts the largest gradients and leaves the others alone."""
    return fallline.Problem(**regression(), model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=sgd(0.02), clip=2.0)


@control("O10", reaches=0.77)
def rmsprop_with_a_large_epsilon() -> fallline.Problem:
    """eps = 0.1 with an lr to match, in the manner of Inception (arXiv:1512.00567: eps 1, lr 0.045)."""
    return fallline.Problem(
        **clothes(),
        model=convolutions,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.RMSprop(model.parameters(), lr=0.02, eps=0.1, alpha=0.9),
    )


@control("O09", reaches=0.3)
def momentum_of_ninety_eight_with_a_low_lr() -> fallline.Problem:
    """The lr is small enough for a long memory."""
    return fallline.Problem(
        **regression(epochs=25),
        model=lambda: mlp(6, 1),
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=2e-3, momentum=0.98),
    )


@control("D11", reaches=0.3)
def all_rows_in_one_batch() -> fallline.Problem:
    """Six hundred rows, one batch, three hundred epochs: one step an epoch is enough where there are so many epochs."""
    return fallline.Problem(
        **regression(rows=600, batch_size=600, epochs=300),
        audit=response(600, 3),
        model=lambda: mlp(6, 1, width=32),
        loss=nn.MSELoss(),
        optimizer=adam(3e-3, weight_decay=1e-4),
    )


@control("D07", reaches=0.78)
def few_combinations_of_answers() -> fallline.Problem:
    """Five yes/no questions have 32 combinations, so valid repeats rows of train: by nature, not by a leak."""
    weights = torch.tensor([1.5, -2.0, 1.0, -0.5, 0.8])

    def survey(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = seeded(seed)
        answers = torch.randint(2, (rows, 5), generator=generator).float()
        logit = 1.5 * ((answers @ weights) + 2 * answers[:, 0] * answers[:, 1] - 0.6)
        return 2 * answers - 1, (torch.rand(rows, generator=generator) < logit.sigmoid()).float().unsqueeze(1)

    return fallline.Problem(
        model=lambda: mlp(5, 1, width=16),
        train=survey(1_500, 81), valid=survey(500, 82), metric="accuracy", batch_size=32, epochs=12,
        loss=nn.BCEWithLogitsLoss(), optimizer=adam(),
    )  # fmt: skip


@control("O10", reaches=0.3)
def second_beta_of_ninety_five() -> fallline.Problem:
    """AdamW with betas (0.9, 0.95), as language models are trained."""
    return fallline.Problem(
        **regression(),
        model=lambda: mlp(6, 1),
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95)),
    )


@control("S12", reaches=0.3)
def four_batches_a_step() -> fallline.Problem:
    """Problem(accumulate=4): gradients are averaged."""
    return fallline.Problem(**regression(batch_size=8), accumulate=4, model=lambda: mlp(6, 1), loss=nn.MSELoss(), optimizer=sgd(0.02))


@control("D05", reaches=0.5)
def heavy_tails_under_a_robust_loss() -> fallline.Problem:
    """One target in twenty is wild, and the Huber loss does not mind."""

    def wild(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        outlier = torch.rand(rows, 1, generator=seeded(seed + 90)) < 0.05
        return inputs, torch.where(outlier, value + 6 * torch.randn(rows, 1, generator=seeded(seed + 91)), value)

    return fallline.Problem(
        **{**regression(metric="mae"), "train": wild(2_000, 1), "valid": wild(600, 2)},
        model=lambda: mlp(6, 1),
        loss=nn.HuberLoss(delta=1.0),
        optimizer=adam(1e-3),
    )
