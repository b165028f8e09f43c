"""Task: which task a target column makes, by a written rule; what was decided and what else it could be is said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fallline._errors import UsageError
from fallline.metrics import TASKS, for_task, named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOR_TABLES = tuple(task for task in TASKS if task not in ("sequence", "embedding"))  # an embedding needs a model of the user's own
CODES = 20  # whole numbers with at most so many values are more often codes of classes than amounts
MOST_CLASSES = 1_000  # more are names or texts, and most of them would have a handful of rows
OVERDISPERSED = 2.0  # variance over mean from which whole numbers near zero are counts; 1 is Poisson, ages and ratings lie below 2
COUNTED = 10_000  # whole numbers above it are amounts, money and areas, rather than counts


def spelled(task: str | None) -> str | None:
    """The task as it is spelled here; refuses what no table has."""
    if task is None:
        return None
    plain = task.lower().replace("-", "").replace("_", "").replace(" ", "")
    if plain == "embedding":
        raise UsageError("task embedding needs a model of your own; write a Python file whose problem() says task='embedding'")
    if plain not in FOR_TABLES:
        raise UsageError(f"task must be one of {', '.join(FOR_TABLES)} for a table, got {task!r}")
    return plain


def of_numbers(values: NDArray[np.float64], distinct: list[float]) -> dict[str, str]:
    """The tasks that numbers can mean, the likeliest first, each with its reason.

    Not whole: regression. Whole with two values: binary. At most 20 values: classes. From 0 or 1 up to 10,000 with a variance of at least
    twice the mean: counts. Other whole numbers: regression. Whole numbers of three values or more can be ranks, which nobody is asked to
    guess: that has to be said, by the task or by a metric of ranks.
    """
    if any(value != math.floor(value) for value in distinct):
        return {"regression": "numbers that are not whole"}
    low, high = distinct[0], distinct[-1]
    amount = f"whole numbers from {low:.15g} to {high:.15g}"
    if len(distinct) == 2:
        return {"binary": f"two values, {low:.15g} and {high:.15g}", "regression": amount}
    found = {"regression": amount}
    if low >= 0:
        found["count"] = amount
    if low in (0, 1) and high <= COUNTED:
        mean, variance = float(values.mean()), float(values.var())
        if variance >= OVERDISPERSED * mean:
            found = {"count": f"{amount}, variance {variance:.3g} to a mean of {mean:.3g}", "regression": amount}
    classes = {"multiclass": f"{len(distinct):,} different whole numbers"}
    ranks = {"ordinal": f"{len(distinct):,} whole numbers in their order"}
    if len(distinct) <= CODES:
        return {**classes, **found, **ranks}
    return {**found, **classes, **ranks} if len(distinct) <= MOST_CLASSES else found


def of_words(classes: list[str]) -> dict[str, str]:
    if len(classes) == 2:
        return {"binary": f"two classes, {classes[0]} and {classes[1]}", "multiclass": "two classes with an output each"}
    return {"multiclass": f"{len(classes):,} classes"}


def of_columns(names: tuple[str, ...], yes_or_no: bool) -> dict[str, str]:
    amounts = {"regression": f"{len(names)} columns of numbers"}
    return {"multilabel": f"{len(names)} columns of yes or no", **amounts} if yes_or_no else amounts


def decide(possible: dict[str, str], *, task: str | None, metric: Any, target: str) -> tuple[str, str]:
    """The task as given, else the likeliest that the metric fits; and the sentence that says so."""
    likeliest = next(iter(possible))
    if task is not None:
        if task not in possible:
            raise UsageError(f"target {target!r} cannot be {task}: {possible[likeliest]}, that is {' or '.join(possible)}; leave task out")
        check_metric(metric, task)
        return task, f"task: {task}, as given"
    decided, why = likeliest, ""
    if isinstance(metric, str):
        entry = named(metric)
        decided = next((candidate for candidate in possible if candidate in entry.tasks), likeliest)
        why = "" if decided == likeliest else f"; the metric {entry.name} asks for it"
    check_metric(metric, decided)
    large = "count" in possible and likeliest != "count" and decided == "regression"  # nobody needs the hint that money can be counted
    others = [other for other in possible if other != decided and not (large and other == "count")]
    hint = f"; say --task {' or '.join(others)} to change it" if others else ""
    return decided, f"task: {decided} ({possible[decided]}{why}){hint}"


def check_metric(metric: Any, task: str) -> None:
    """Refuse a named metric that does not fit the task, with those that do."""
    if isinstance(metric, str) and task not in named(metric).tasks:
        entry = named(metric)
        raise UsageError(
            f"metric {entry.name} is for {', '.join(entry.tasks)}; the task here is {task}. Metrics that fit: {', '.join(for_task(task))}"
        )
