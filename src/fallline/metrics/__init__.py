"""Metrics: what the user wants. One metric a file (`ENTRY = Metric(...)`); names, callables and torchmetrics objects resolve here.

A named metric reads *scores*, never raw outputs: values for regression, expected counts for count, probabilities in the target's shape
for binary and multilabel, class probabilities (N, C, ...) for multiclass, ordinal and sequence, embeddings (N, D) as they are. It is
computed once on a whole split, concatenated on the CPU, never averaged over batches. A callable or a torchmetrics object reads what the
model gives, and the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline._discover import discover
from fallline._errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

TASKS = ("regression", "count", "binary", "multiclass", "ordinal", "multilabel", "sequence", "embedding")
PER_CLASS = ("multiclass", "ordinal", "sequence")  # tasks with one output a class and class numbers as targets
NUMBERED = (*PER_CLASS, "embedding")  # tasks whose targets are class numbers, which losses read as they are
DIRECTIONS = ("min", "max")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named metric. `each` gives one value per example when the metric is a (function of a) mean over examples.

    whole(scores, target) -> float on a whole split; each(scores, target) -> (N,) values; of_mean maps their mean to the metric
    (`math.sqrt` for RMSE). Metrics without `each` are recomputed on resamples.
    """

    name: str
    title: str
    direction: str
    tasks: tuple[str, ...]
    whole: Callable[[torch.Tensor, torch.Tensor], float]
    each: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    of_mean: Callable[[float], float] | None = None
    source: str = ""
    default_for: tuple[str, ...] = ()  # tasks that use it when no metric is named
    aliases: tuple[str, ...] = ()
    needs_two_classes: bool = False  # undefined when a resample holds one class only
    best: float | None = None  # the value that no model can better
    among_others: bool = False  # an example's value depends on the other examples, so that a set with repeats is another set

    def value(self, scores: torch.Tensor, target: torch.Tensor) -> float:
        return self.whole(scores, target)


@dataclass(frozen=True, kw_only=True)
class OwnMetric:
    """The user's own: a callable `(output, target) -> float` or a torchmetrics `Metric`, read with raw outputs."""

    name: str
    direction: str
    call: Callable[[torch.Tensor, torch.Tensor], float]
    each: None = None
    of_mean: None = None
    best: None = None  # it says nothing of itself
    needs_two_classes: bool = False

    def value(self, outputs: torch.Tensor, target: torch.Tensor) -> float:
        return self.call(outputs, target)


def metrics() -> dict[str, Metric]:
    return discover("fallline.metrics", Metric)


def named(name: str) -> Metric:
    """The metric called `name` (or an alias of it); unknown names are refused with the nearest."""
    key = name.lower().replace("-", "_").replace(" ", "_")
    known = metrics()
    for metric in known.values():
        if key == metric.name or key in metric.aliases:
            return metric
    raise unknown("metric", name, known, aliases=[alias for metric in known.values() for alias in metric.aliases])


def for_task(task: str) -> list[str]:
    """The names of the metrics that fit a task."""
    return [name for name, metric in metrics().items() if task in metric.tasks]


def resolve(metric: Any, direction: str | None) -> Metric | OwnMetric:
    """A name, a callable or a torchmetrics object as a metric with a direction; refuses what is none of these."""
    if direction is not None and direction not in DIRECTIONS:
        raise UsageError(f"direction must be 'min' or 'max', got {direction!r}")
    if isinstance(metric, str):
        found = named(metric)
        if direction is not None and direction != found.direction:
            raise UsageError(
                f"metric {found.name} is better when {found.direction}, but direction={direction!r} was given; leave direction out"
            )
        return found
    higher = getattr(metric, "higher_is_better", None)
    if direction is None and isinstance(higher, bool):
        direction = "max" if higher else "min"
    if not callable(metric):
        raise UsageError(
            f"metric must be a name, a torchmetrics Metric or a callable (output, target) -> float, got {type(metric).__name__}"
        )
    if direction is None:
        raise UsageError("a callable metric needs direction='min' or direction='max'")
    name = getattr(metric, "__name__", type(metric).__name__)
    return OwnMetric(name=name.strip("<>"), direction=direction, call=_as_float(metric, name))


def _as_float(metric: Any, name: str) -> Callable[[torch.Tensor, torch.Tensor], float]:
    stateful = hasattr(metric, "update") and hasattr(metric, "compute") and hasattr(metric, "reset")

    def call(output: torch.Tensor, target: torch.Tensor) -> float:
        if stateful:
            metric.reset()
            metric.update(output, target)
            result = metric.compute()
        else:
            result = metric(output, target)
        try:
            return float(result)
        except (TypeError, ValueError) as error:
            raise UsageError(f"metric {name} must return one number, got {type(result).__name__}") from error

    return call
