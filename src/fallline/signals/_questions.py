"""Questions to a loss: made-up outputs, and what the loss makes of them; each function answers None where its question cannot be put."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals.outputs import Outputs

ROWS = 48
SURE = 12.0  # a logit that means certainty: sigmoid(12) is 1 - 6e-6
TOLERANCE = 1e-5


@dataclass
class Asked:
    """The loss with one batch to ask it about."""

    loss: Callable[[Any, Any], Any]
    first: Outputs
    output: Tensor
    target: Tensor

    def __call__(self, output: Tensor, target: Tensor | None = None) -> float | None:
        import torch

        try:
            with torch.no_grad():
                value = self.loss(output, self.target if target is None else target)
            return float(torch.as_tensor(value).double().mean())
        except Exception:  # whatever the loss raises on what it was not made for
            return None


def varied(target: Tensor, generator: Any) -> Tensor:
    """Row numbers in which all target values occur about equally often, as far as there are such."""
    import torch

    order = torch.randperm(len(target), generator=generator)
    if target.ndim != 1:
        return order[:ROWS]
    kinds = target[order].unique()
    if len(kinds) > ROWS // 2:
        return order[:ROWS]
    each = [order[target[order] == kind][: -(-ROWS // len(kinds))] for kind in kinds]
    return torch.cat(each)[:ROWS]


def drawn(output: Tensor, first: Outputs, generator: Any) -> Tensor:
    """Random outputs of the form that the model gives: a loss of probabilities is not asked about -3."""
    import torch

    noise = torch.randn(output.shape, generator=generator)
    if first.probabilities:
        return noise.softmax(dim=1)
    if first.log_probabilities:
        return noise.log_softmax(dim=1)
    unit = bool(((first.output >= 0) & (first.output <= 1)).all())
    return noise.sigmoid() if unit else noise


def ratio(a: float | None, b: float | None) -> float | None:
    if a is None or b is None or not math.isfinite(a) or not math.isfinite(b) or abs(b) < 1e-12:
        return None
    return a / b


def differ(a: float | None, b: float | None) -> bool | None:
    if a is None or b is None or not math.isfinite(a) or not math.isfinite(b):
        return None
    return abs(a - b) > TOLERANCE * max(abs(a), abs(b), 1e-6)


def truth(asked: Asked, first: Outputs) -> Tensor | None:
    """Outputs that say the target with certainty, in the form that the model and its loss speak."""
    import torch

    output, target = asked.output, asked.target
    if first.classes:
        classes = output.shape[1]
        valid = (target >= 0) & (target < classes)
        said = torch.nn.functional.one_hot(target.long().where(valid, torch.zeros_like(target.long())), classes).movedim(-1, 1).to(output)
        if first.probabilities:
            return said * 0.96 + 0.04 / classes
        return ((2 * said - 1) * SURE / 2).log_softmax(dim=1) if first.log_probabilities else (2 * said - 1) * SURE / 2
    if output.numel() != target.numel() or target.is_complex():
        return None
    said = target.to(output.dtype).reshape(output.shape)
    binary = bool(((said >= 0) & (said <= 1)).all()) and bool((said == said.round()).all())
    inside = bool(((first.output >= 0) & (first.output <= 1)).all())
    if binary and not inside and wants_signs(asked, torch.randn(output.shape)):
        return (2 * said - 1) * SURE / 2
    if binary and inside:
        return said * 0.96 + 0.02
    return said.clamp_min(1e-6).log() if first.log_probabilities and bool((said >= 0).all()) else said


def shift_invariant(asked: Asked, drawn: Tensor) -> bool | None:
    import torch

    if drawn.ndim < 2 or drawn.shape[1] < 2:
        return None
    shift = torch.linspace(-2.0, 3.0, len(drawn)).reshape(-1, *[1] * (drawn.ndim - 1))
    moved, still = asked(drawn + shift), asked(drawn)
    if moved is None or still is None or not math.isfinite(moved) or not math.isfinite(still):
        return None
    changed = differ(asked(drawn * 1.5), still)  # a loss that does not read the output is invariant to everything
    return abs(moved - still) <= 1e-4 * max(abs(still), 1e-3) and changed is True


def wants_signs(asked: Asked, drawn: Tensor) -> bool | None:
    """Put to targets 0 and 1 of the output's shape, whatever the data hold."""
    import torch

    if asked.output.numel() != asked.target.numel() or not asked.target.is_floating_point():
        return None
    target = (drawn > 0).to(asked.target.dtype).reshape(asked.target.shape)
    signs = (2 * target - 1).reshape(drawn.shape).to(torch.float32)
    near, far, wrong = (asked(signs * size, target) for size in (2.0, 8.0, -8.0))
    if near is None or far is None or wrong is None:
        return None
    return math.isfinite(far) and math.isfinite(wrong) and far < near < wrong and far > -1e-6 and differ(wrong, 4 * abs(near)) is True


def affine(asked: Asked, drawn: Tensor) -> bool | None:
    a, b = drawn, drawn.flip(0) - 0.5
    ends = asked(a), asked(b)
    middle, (one, other) = asked((a + b) / 2), ends
    if middle is None or one is None or other is None or not math.isfinite(middle + one + other):
        return None
    straight = abs(middle - (one + other) / 2) <= 1e-4 * max(abs(one), abs(other), 1e-3)
    return straight and differ(one, other) is True


def refuses_outside(asked: Asked, drawn: Tensor) -> bool | None:
    inside, outside = asked(drawn.sigmoid()), asked(drawn.sigmoid() * 3 - 1)
    if inside is None or not math.isfinite(inside):
        return None
    return outside is None or not math.isfinite(outside)


def least_at_target(asked: Asked, generator: Any) -> bool | None:
    """Whether moving away from the target in either direction costs, by about the same, as with squared and absolute errors."""
    import torch

    if asked.output.numel() != asked.target.numel() or asked.target.is_complex():
        return None
    said = asked.target.to(asked.output.dtype).reshape(asked.output.shape)
    away = (torch.rand(said.shape, generator=generator) + 0.5) * max(float(said.std()), 0.1)
    there, above, below = asked(said), asked(said + away), asked(said - away)
    if there is None or above is None or below is None or not all(math.isfinite(value) for value in (there, above, below)):
        return None
    return there < min(above, below) and abs(above - below) <= 0.05 * max(above, below)


def endless(asked: Asked) -> bool | None:
    """Put to the lower and the upper third of the targets by themselves, at outputs of 10, 100 and 1000 of either sign."""
    import torch

    output, target = asked.output, asked.target
    if output.numel() != target.numel() or not target.is_floating_point() or len(target) < 6:
        return None
    order = target.reshape(len(target), -1).mean(dim=1).argsort()
    for rows in (order[: len(order) // 3], order[-(len(order) // 3) :]):
        for sign in (-1.0, 1.0):
            near, far, farther = (asked(torch.full_like(output[rows], sign * size), target[rows]) for size in (10.0, 100.0, 1000.0))
            if near is None or far is None or farther is None or not math.isfinite(near + far + farther):
                continue
            if farther < far < near and farther < 5 * far < 0:
                return True
    return False


def finite_at_ends(asked: Asked, first: Outputs) -> bool | None:
    import torch

    output = asked.output
    inside = bool(((first.output >= 0) & (first.output <= 1)).all())
    if first.log_probabilities or asked(output) is None:
        return None
    if inside and (first.probabilities or output.numel() == asked.target.numel()):
        ends = [torch.zeros_like(output), torch.ones_like(output)]
        if first.probabilities:
            ends = (
                [torch.nn.functional.one_hot(torch.arange(len(output)) % output.shape[1], output.shape[1]).to(output)]
                if output.ndim == 2
                else []
            )
    elif first.classes or (output.numel() == asked.target.numel() and wants_signs(asked, torch.randn(output.shape))):
        ends = [torch.randn(output.shape, generator=torch.Generator().manual_seed(0)).sign() * 120]
    else:
        return None
    if not ends:
        return None
    for end in ends:
        leaf = end.clone().requires_grad_()
        try:
            value = asked.loss(leaf, asked.target)
            (gradient,) = torch.autograd.grad(value.mean(), leaf)
        except Exception:  # the loss refuses such outputs, which is no silent fault
            return None
        if not bool(torch.isfinite(value).all()) or not bool(torch.isfinite(gradient).all()):
            return False
    return True


def asked_of_distributions(asked: Asked) -> tuple[float | None, float | None]:
    """Of logits: those whose softmax is the target, and three times these."""
    output, target = asked.output, asked.target
    if output.shape != target.shape or target.ndim != 2 or target.shape[1] < 2 or not target.is_floating_point():
        return None, None
    whole = bool((target >= 0).all()) and bool(((target.sum(dim=1) - 1).abs() < 1e-4).all())
    logits = target.clamp_min(1e-6).log() if whole else target - target.mean(dim=1, keepdim=True)
    if whole and bool((target.max(dim=1).values > 0.99).all()):
        return None, None  # of certain targets nothing is surer
    return asked(logits), asked(3 * logits)


def weighs(asked: Asked, first: Outputs) -> float | None:
    """Gradient at a case of the rarest class over that at one of the commonest, in a batch that is half of each, at equal outputs."""
    import torch

    target = first.target
    binary = target.is_floating_point() and target.numel() == first.output.numel() and bool(((target == 0) | (target == 1)).all())
    if not (binary or (first.classes and target.ndim == 1)):
        return None
    kinds, counts = target.reshape(-1).unique(return_counts=True)
    if len(kinds) < 2:
        return None
    rare, common = kinds[counts.argmin()], kinds[counts.argmax()]
    inside = bool(((first.output >= 0) & (first.output <= 1)).all())
    level = 1 / first.output.shape[1] if first.probabilities else 0.5 if inside else 0.0
    flat = torch.full_like(asked.output, level)
    leaf = (flat.log_softmax(dim=1) if first.log_probabilities else flat).requires_grad_()
    half = torch.full_like(asked.target, common)
    half[: len(half) // 2] = rare
    try:
        (gradient,) = torch.autograd.grad(asked.loss(leaf, half).mean(), leaf)
    except Exception:  # whatever the loss raises on a batch of two classes
        return None
    sizes = gradient.abs().reshape(len(half), -1).sum(dim=1)
    return ratio(float(sizes[: len(half) // 2].mean()), float(sizes[len(half) // 2 :].mean()))


def skips(asked: Asked, drawn: Tensor) -> tuple[float, ...]:
    import torch

    target = asked.target
    if target.is_floating_point() or target.ndim < 1:
        return ()
    leaf = drawn.clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(asked.loss(leaf, target).sum(), leaf)
    except Exception:  # a loss that raises says so elsewhere
        return ()
    found: set[float] = set()
    for axis in range(1, gradient.ndim):  # the classes may lie along any; where two fit, either tells
        read = gradient.movedim(axis, -1).abs().sum(dim=-1) > 0
        if read.shape == target.shape:
            found |= {float(kind) for kind in target.unique() if not bool(read[target == kind].any())}
    return tuple(sorted(found))
