"""Judge: from what a model gives to the user's metric, through the loss's link and the target's scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fallline import catalogue
from fallline._data import joined
from fallline._errors import UsageError
from fallline._head import Then
from fallline._problem import Problem, call, torch_loss
from fallline._profile import Profile
from fallline._recipe import Recipe
from fallline.metrics import PER_CLASS, Metric, OwnMetric, for_task, metrics

Link = Callable[[Tensor], Tensor]


def stock_loss(loss: Any) -> str | None:
    """The entry that a user's loss object is an instance of, or whose function in torch.nn.functional it is; None: their own."""
    found = torch_loss(loss)
    if found and not isinstance(loss, nn.Module):
        found = f"{found.replace('binary_cross_entropy', 'bce').removesuffix('_loss').replace('_', '')}loss"  # mse_loss is MSELoss
    named = f"torch.nn.{found}".lower()
    return next((entry.name for entry in catalogue.all_losses().values() if found and entry.stock.lower() == named), None)


def own_entry(problem: Problem) -> catalogue.Loss | None:
    """The entry whose link the user's own loss needs too: torch's own loss as the catalogue has it, a PoissonNLLLoss of log-rates, say."""
    name = stock_loss(problem.loss)
    return catalogue.loss(name) if name is not None and getattr(problem.loss, "log_input", True) else None


def link_of(recipe: Recipe, problem: Problem) -> Link | None:
    """What turns the trained model's output into what the plain loss's model would give; None: nothing to do."""
    entry = own_entry(problem) if recipe.loss.own else catalogue.loss(recipe.loss.name)
    link = None if entry is None else entry.link
    return Then(link, recipe.head.does) if recipe.head is not None and recipe.head.does else link


class Linked(nn.Module):
    """The trained model behind its link and the target's scale: it gives predictions in the user's units."""

    def __init__(self, model: nn.Module, link: Link | None, scale: tuple[float, float] | None) -> None:
        super().__init__()
        self.model = model
        self.link = link
        self.scale = scale

    def forward(self, *inputs: Any, **keywords: Any) -> Tensor:
        output = self.model(*inputs, **keywords)
        return unscaled(output if self.link is None else self.link(output), self.scale)


def handed_back(model: nn.Module, recipe: Recipe, problem: Problem) -> nn.Module:
    """The module that the user gets, in eval mode: the model itself where it already speaks the user's units."""
    link, scale = link_of(recipe, problem), problem.origin.scale
    return (model if link is None and scale is None else Linked(model, link, scale)).eval()


def unscaled(values: Tensor, scale: Any) -> Tensor:
    """Standardised values in the user's units: a float pair, or a pair of lists for several targets."""
    if scale is None:
        return values
    location, spread = (torch.as_tensor(part, dtype=values.dtype, device=values.device) for part in scale)
    return values * spread + location


@dataclass(frozen=True)
class Judge:
    """The metric of one problem, applied to outputs of models trained with any loss."""

    metric: Metric | OwnMetric
    task: str
    output_kind: str
    scale: Any = None
    ignore_index: int | None = None
    flipped: bool = False  # of the two classes 0 and 1, 0 is the positive one
    of_two: bool = False  # two classes with an output each, and a metric of yes and no, which reads the probability of the positive one

    @property
    def sign(self) -> float:
        """+1 where lower is better, -1 where higher is: sign * metric is to be minimised."""
        return 1.0 if self.metric.direction == "min" else -1.0

    def reads(self, outputs: Tensor, targets: Tensor, link: Link | None) -> tuple[Tensor, Tensor]:
        """Outputs and targets of a split, on the CPU, as the metric reads them."""
        predicted = unscaled(outputs if link is None else link(outputs), self.scale)
        targets = unscaled(targets, self.scale) if self.scale is not None else targets
        if isinstance(self.metric, OwnMetric):
            return predicted, targets
        return self._scores(predicted, targets)

    def _scores(self, predicted: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values, expected counts or probabilities: what a named metric reads. Float64, so that ties and sums are what they look like."""
        predicted = predicted.double()
        if self.task in ("regression", "count", "binary", "multilabel") and predicted.numel() == targets.numel():
            predicted = predicted.reshape(targets.shape)  # (N, 1) against (N,), which a loss of the user's own may take: never N x N
        if self.task in ("regression", "count"):
            return predicted, targets.double()
        if self.task == "embedding":
            return predicted, targets
        if self.task in ("binary", "multilabel"):
            probability = predicted if self.output_kind == "probability" else predicted.sigmoid()
            return (1 - probability, 1 - targets.double()) if self.flipped else (probability, targets)
        probability = predicted.exp() if self.output_kind == "log-probability" else predicted
        if self.output_kind == "real":
            probability = predicted.softmax(dim=1)
        if targets.ndim > 1:  # a sequence: positions become rows
            probability, targets = probability.movedim(1, -1).reshape(-1, probability.shape[1]), targets.reshape(-1)
        if self.ignore_index is not None:
            kept = targets != self.ignore_index
            probability, targets = probability[kept], targets[kept]
        if self.of_two:
            return (probability[:, 0], 1 - targets) if self.flipped else (probability[:, 1], targets)
        return probability, targets

    def value(self, outputs: Tensor, targets: Tensor, link: Link | None) -> float:
        """The metric of one split."""
        return self.metric.value(*self.reads(outputs, targets, link))

    def units(self, targets: Tensor, units: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
        """Ids of the independent unit of each row that the metric reads: an example, or the group it belongs to."""
        ids = np.arange(len(targets)) if units is None else units
        if self.task in PER_CLASS and isinstance(self.metric, Metric):  # what `_scores` did to the rows
            ids = np.repeat(ids, targets[0].numel())
            if self.ignore_index is not None:
                ids = ids[(targets.reshape(-1) != self.ignore_index).numpy()]
        return ids


def judge_of(problem: Problem, profile: Profile) -> Judge:
    """The problem's metric, checked against its task; the task's usual metric when none was named."""
    metric = problem.resolved_metric()
    if metric is None:
        metric = next(entry for entry in metrics().values() if profile.task in entry.default_for)
    two = profile.task == "multiclass" and profile.classes == 2
    of_two = (
        two
        and isinstance(metric, Metric)
        and "binary" in metric.tasks
        and (problem.positive is not None or "multiclass" not in metric.tasks)
    )
    if isinstance(metric, Metric) and profile.task not in metric.tasks and not of_two:
        raise UsageError(
            f"metric {metric.name} is for {', '.join(metric.tasks)}; the task here is {profile.task}. "
            f"Metrics that fit: {', '.join(for_task(profile.task))}. If the task is wrong, say --task (or Problem(task=...))"
        )
    flipped = _flipped(problem, "binary" if of_two else profile.task)
    return Judge(metric, profile.task, profile.output_kind, problem.origin.scale, problem.ignore_index, flipped, of_two)


def _flipped(problem: Problem, task: str) -> bool:
    """Whether named metrics see the class 0 as the positive one; a table's door has made its positive class 1 already."""
    if problem.positive is None:
        return False
    if task != "binary":
        raise UsageError(f"positive names the positive class of one binary target, the task here is {task}; leave it out")
    if problem.positive not in (0, 1):
        raise UsageError(f"positive must be 0 or 1, the two values of the target, got {problem.positive!r}")
    return bool(problem.positive == 0)


def predict(model: nn.Module, sweep: Any) -> tuple[Tensor, Tensor]:
    """All outputs and targets of a split, concatenated on the CPU: eval mode, no gradients, every module's own mode put back."""
    modes = [(module, module.training) for module in model.modules()]
    outputs, targets = [], []
    try:
        model.eval()
        with torch.no_grad():
            for inputs, target in sweep:
                output = call(model, inputs)
                outputs.append((output if output.dtype == torch.float64 else output.float()).cpu())
                targets.append(target.cpu())
    finally:
        for module, mode in modes:
            module.training = mode
    return joined(outputs, "outputs"), joined(targets, "targets")
