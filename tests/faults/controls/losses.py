"""Controls whose loss or target resembles a fault of the losses."""

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
    sgd,
    yes_or_no,
)


@control("L02", reaches=0.88)
def sigmoid_with_bce_loss() -> fallline.Problem:
    """A sigmoid belongs before nn.BCELoss; before BCEWithLogitsLoss it would be one too many."""
    return fallline.Problem(**yes_or_no(), model=lambda: mlp(6, 1, nn.Sigmoid()), loss=nn.BCELoss(), optimizer=adam())


@control("L03", reaches=0.88)
def logits_with_bce_on_logits() -> fallline.Problem:
    """Unbounded outputs are what BCEWithLogitsLoss takes; outputs and targets are both of shape (N,)."""
    return fallline.Problem(**yes_or_no(flat=True), model=lambda: mlp(6, 1, nn.Flatten(0)), loss=nn.BCEWithLogitsLoss(), optimizer=adam())


@control("L04", reaches=0.9)
def log_softmax_with_nll_loss() -> fallline.Problem:
    """The pair that nn.NLLLoss was made for."""
    return fallline.Problem(**classification(), model=lambda: mlp(8, 5, nn.LogSoftmax(dim=1)), loss=nn.NLLLoss(), optimizer=adam())


@control("L01", reaches=0.9)
def softmax_head_with_nll_of_its_logarithm() -> fallline.Problem:
    """A softmax head is right where the loss takes the logarithm itself, kept away from zero."""
    return fallline.Problem(
        **classification(),
        model=lambda: mlp(8, 5, nn.Softmax(dim=1)),
        loss=lambda probability, kind: functional.nll_loss(probability.clamp_min(1e-7).log(), kind),
        optimizer=adam(),
    )


@control("L12", reaches=0.3)
def sum_of_errors_with_lr_to_match() -> fallline.Problem:
    """Squared errors are summed, and the lr is that of the mean divided by the batch size."""
    return fallline.Problem(
        **regression(batch_size=64), model=lambda: mlp(6, 1), loss=nn.MSELoss(reduction="sum"), optimizer=sgd(lr=0.02 / 64)
    )


@control("L10", reaches=0.9)
def squared_error_on_one_hot() -> fallline.Problem:
    """Squared error between linear outputs and one-hot rows trains as well as cross-entropy (Hui and Belkin, arXiv:2006.07322)."""

    def one_hot(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, kind = groups_of_points(rows, 5, seed)
        return inputs, functional.one_hot(kind, 5).float()

    return fallline.Problem(
        model=lambda: mlp(8, 5),
        train=one_hot(2_000, 3),
        valid=one_hot(600, 4),
        metric=lambda output, target: float((output.argmax(1) == target.argmax(1)).double().mean()),
        direction="max",
        batch_size=32,
        epochs=15,
        loss=nn.MSELoss(),
        optimizer=adam(),
    )


@control("L15", reaches=0.08)
def probabilities_as_targets_of_bce() -> fallline.Problem:
    """Targets between 0 and 1 that are probabilities: binary cross-entropy is their proper loss."""

    def chances(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, (1.5 * value).sigmoid()

    return fallline.Problem(
        model=lambda: mlp(6, 1),
        train=chances(2_000, 1),
        valid=chances(600, 2),
        metric=lambda output, target: float((output.sigmoid() - target).abs().mean()),
        direction="min",
        batch_size=32,
        epochs=20,
        loss=nn.BCEWithLogitsLoss(),
        optimizer=adam(),
    )


@control("D04", reaches=0.8)
def class_weights_for_a_rare_class() -> fallline.Problem:
    """One class in twenty is rare, and the loss weighs it accordingly; judged by macro F1."""

    def rare(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs, value = response(rows, seed)
        return inputs, (value.squeeze(1) > 1.5).long()

    return fallline.Problem(
        model=lambda: mlp(6, 2),
        train=rare(4_000, 1),
        valid=rare(1_500, 2),
        metric="macro_f1",
        batch_size=64,
        epochs=15,
        loss=nn.CrossEntropyLoss(weight=torch.tensor([1.0, 4.0])),
        optimizer=adam(),
    )


@control("L13", reaches=0.97)
def negative_cosine_as_loss() -> fallline.Problem:
    """The loss falls from 0 to -1 while the metric, the cosine itself, rises: the sign is right."""
    mix = torch.randn(6, 4, generator=seeded(9))

    def directions(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(rows, 6, generator=seeded(seed))
        return inputs, functional.normalize((inputs @ mix).tanh() + 0.05 * torch.randn(rows, 4, generator=seeded(seed + 1)), dim=1)

    return fallline.Problem(
        model=lambda: mlp(6, 4),
        train=directions(2_000, 11),
        valid=directions(600, 13),
        metric=lambda output, target: float(functional.cosine_similarity(output, target).mean()),
        direction="max",
        batch_size=32,
        epochs=12,
        loss=lambda output, target: -functional.cosine_similarity(output, target).mean(),
        optimizer=adam(),
    )


@control("L11", reaches=0.04)
def divergence_of_logarithms() -> fallline.Problem:
    """KLDivLoss with log_target=True takes logarithms on both sides, so its target is negative throughout."""
    first, second = torch.randn(8, 16, generator=seeded(17)), torch.randn(16, 5, generator=seeded(18))

    def taught(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(rows, 8, generator=seeded(seed))
        return inputs, ((inputs @ first / 3).tanh() @ second / 2).log_softmax(1)

    return fallline.Problem(
        model=lambda: mlp(8, 5, nn.LogSoftmax(dim=-1)),
        train=taught(2_500, 19),
        valid=taught(600, 20),
        metric=lambda output, target: float((output.exp() - target.exp()).abs().sum(1).mean() / 2),
        direction="min",
        batch_size=32,
        epochs=20,
        loss=nn.KLDivLoss(reduction="batchmean", log_target=True),
        optimizer=adam(),
    )


@control("L10", reaches=0.87)
def margins_instead_of_probabilities() -> fallline.Problem:
    """A multi-class hinge loss, as in a support vector machine."""
    return fallline.Problem(**classification(), model=lambda: mlp(8, 5), loss=nn.MultiMarginLoss(), optimizer=adam())


@control("L16", reaches=0.9)
def smoothed_labels() -> fallline.Problem:
    """The loss cannot come near zero: a twentieth of the belief belongs to other classes."""
    return fallline.Problem(**classification(), model=lambda: mlp(8, 5), loss=nn.CrossEntropyLoss(label_smoothing=0.05), optimizer=adam())


@control("L13", reaches=0.06)
def ninetieth_percentile() -> fallline.Problem:
    """A pinball loss aims above the mean on purpose; judged by its own mean."""

    def pinball(output: Tensor, target: Tensor) -> Tensor:
        error = target - output
        return torch.maximum(0.9 * error, -0.1 * error).mean()

    return fallline.Problem(
        **regression(metric=lambda output, target: float(pinball(output, target))),
        direction="min",
        model=lambda: mlp(6, 1),
        loss=pinball,
        optimizer=adam(),
    )
