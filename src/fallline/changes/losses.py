"""Changes of the loss: what it is given, how it counts, or another in its place. What the model gives stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fallline.changes import Change

if TYPE_CHECKING:
    from torch import Tensor

    from fallline._problem import Problem
    from fallline.signals.outputs import Outputs
    from fallline.signals.targets import Values

Loss = Callable[["Tensor", "Tensor"], Any]
TINY = 1e-30  # what a probability is raised to before its logarithm: far below what is ever learned, far above where float32 ends


def reading(words: str, source: str, transform: Callable[[Tensor], Tensor]) -> Change:
    """The user's loss, given a function of the output."""
    return _made(words, source, lambda own: lambda output, target: own(transform(output), target))


def logarithm(words: str, source: str) -> Change:
    """The user's loss, given the logarithm of the probabilities that the model gives."""
    return reading(words, source, lambda output: output.clamp_min(TINY).log())


def log_odds(words: str, source: str) -> Change:
    """The user's loss, given the log-odds of the probabilities that the model gives."""
    return reading(words, source, lambda output: output.logit(eps=1e-6))  # float32 tells 1 - 1e-6 from 1


def log_softmax(words: str, source: str) -> Change:
    """The user's loss, given log-probabilities of logits or of probabilities."""

    def transform(output: Tensor) -> Tensor:
        return log_probabilities(output)

    return reading(words, source, transform)


def log_probabilities(output: Tensor) -> Tensor:
    """Of outputs that are logits, probabilities or log-probabilities over dimension 1."""
    detached = output.detach()
    if bool((detached >= 0).all()) and bool(((detached.sum(dim=1) - 1).abs() < 1e-3).all()):
        return output.clamp_min(TINY).log()
    return output.log_softmax(dim=1)  # of log-probabilities it gives these again


def negated() -> Change:
    return _made("the loss with its sign flipped", "loss = -loss", lambda own: lambda output, target: -own(output, target))


def plain(kind: str, weight: Mapping[int, float] | None = None) -> Change:
    """The plain loss of a kind of target (`kind_of`) in place of the user's, perhaps with weights by class."""
    name = {"classes": "CrossEntropyLoss", "shares": "CrossEntropyLoss", "yes or no": "BCEWithLogitsLoss"}.get(kind, "MSELoss")

    def made(_: Loss) -> Loss:
        def loss(output: Tensor, target: Tensor) -> Tensor:
            return plain_loss(kind, output, target, weight)

        return loss

    weighed = " with weights against the imbalance" if weight else ""
    form = "" if name == "MSELoss" else " on logits"
    return _made(f"{name}{weighed}", f"loss = nn.{name}({'weight=...' if weight else ''}){form}", made)


def kind_of(first: Outputs, values: Values) -> str:
    """What kind of question the targets ask: "classes", "shares" (rows that sum to 1), "yes or no", "numbers"."""
    if first.classes and first.output.shape[1] > 1:
        return "classes"
    if len(values.shape) and values.shape[0] > 1 and (values.one_hot or values.rows_sum_to_one):
        return "shares"
    if values.low >= 0 and values.high <= 1 and values.whole:
        return "yes or no"
    return "numbers"


def plain_loss(kind: str, output: Tensor, target: Tensor, weight: Mapping[int, float] | None = None) -> Tensor:
    """Cross-entropy for classes and shares, binary cross-entropy for yes and no, squared error for numbers.

    Probabilities and log-probabilities are read as what they are: of logits that give them the loss is the same.
    """
    import torch
    from torch.nn import functional

    if kind == "classes":
        weights = None if weight is None else torch.tensor([weight.get(k, 1.0) for k in range(output.shape[1])]).to(output)
        return functional.nll_loss(log_probabilities(output), target.long(), weight=weights)
    target = target.to(output.dtype).reshape(output.shape) if output.numel() == target.numel() else target.to(output.dtype)
    if kind == "shares":
        return -(target * log_probabilities(output)).sum(dim=1).mean()
    if kind == "yes or no":
        inside = bool(((output.detach() >= 0) & (output.detach() <= 1)).all())
        positive = None if weight is None else torch.tensor(weight.get(1, 1.0) / weight.get(0, 1.0)).to(output)
        return functional.binary_cross_entropy_with_logits(output.logit(eps=1e-6) if inside else output, target, pos_weight=positive)
    return functional.mse_loss(output, target)


def averaged() -> Change:
    """A sum over the batch made a mean: by torch's own `reduction` where the loss has one, else divided by the number of cases."""

    def made(own: Loss) -> Loss:
        if getattr(own, "reduction", "") == "sum":
            mean: Any = copy.copy(own)
            mean.reduction = "mean"
            reduced: Loss = mean
            return reduced
        return lambda output, target: own(output, target) / max(len(target), 1)

    return _made("the loss averaged over the batch", 'reduction="mean", or loss / len(target)', made)


def same_shape() -> Change:
    """The output in the target's shape before the loss."""

    def made(own: Loss) -> Loss:
        return lambda output, target: own(output.reshape(target.shape) if output.numel() == target.numel() else output, target)

    return _made("the output in the target's shape", "loss(output.squeeze(1), target)", made)


def transposed() -> Change:
    """The class axis moved to where the loss reads it: (N, T, C) given as (N, C, T)."""
    return reading("the class axis moved before the loss", "loss(output.transpose(1, 2), target)", lambda output: output.transpose(1, 2))


def ignoring(index: int) -> Change:
    """Positions with this target left out of the loss and of the metric."""

    def make(problem: Problem) -> Problem:
        from dataclasses import replace

        from torch import nn

        if isinstance(problem.loss, nn.Module) and hasattr(problem.loss, "ignore_index"):
            own: Any = copy.deepcopy(problem.loss)
            own.ignore_index = index
            return replace(problem, ignore_index=index, loss=own)
        from fallline.changes._parts import with_loss

        return replace(with_loss(problem, lambda own: _unread(own, index)), ignore_index=index)

    return Change(
        words=f"target {index} left out of loss and metric",
        source=f"ignore_index={index} in the loss, and in Problem for the metric",
        make=make,
    )


def _unread(own: Loss, index: int) -> Loss:
    """A loss that learns nothing from positions with this target; the others weigh as if those were not there."""

    def loss(output: Tensor, target: Tensor) -> Any:
        kept = target != index
        in_front = output.ndim > target.ndim and output.shape[2:] == target.shape[1:]  # (N, C, T), torch's order; else (N, T, C)
        mask = kept if output.ndim == target.ndim else kept.unsqueeze(1 if in_front else -1)
        return own(output.where(mask, output.detach()), target) * (kept.numel() / max(int(kept.sum()), 1))

    return loss


def _made(words: str, source: str, make_loss: Callable[[Loss], Loss]) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_loss

        return with_loss(problem, make_loss)

    return Change(words=words, source=source, make=make)
