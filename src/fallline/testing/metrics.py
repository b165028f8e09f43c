"""The contract of a metric: checks that every entry passes, ours or from another package, without writing a test.

from fallline.testing.metrics import prove
prove(ENTRY, page=__doc__)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fallline.metrics import DIRECTIONS, TASKS, Metric

if TYPE_CHECKING:
    import torch

ROWS = 61  # odd and prime: no shape below divides it, and the middle of a list is one element
CLASSES = 7  # more than five, or top-5 accuracy is always 1
HEADINGS = ("What it does:", "When it suits:", "When it does not:", "Source:")


def draw(task: str, seed: int, rows: int = ROWS) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Float64 scores and targets of every shape that a metric of `task` may meet; all classes occur, and some scores are equal."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    if task == "regression":
        for shape in ((rows,), (rows, 1), (rows, 3), (rows, 2, 4)):
            yield 10 * uniform(*shape), 10 * uniform(*shape)
    elif task == "count":
        for shape in ((rows,), (rows, 1)):
            yield 0.1 + 5 * uniform(*shape), torch.poisson(5 * uniform(*shape), generator)
    elif task in ("binary", "multilabel"):
        for shape in ((rows,), (rows, 1), (rows, 2, 3)) if task == "binary" else ((rows, 4),):
            target = (uniform(*shape) < 0.3).long()
            target[0], target[1] = 0, 1
            yield 0.05 + 0.1 * (9 * uniform(*shape)).round(), target  # ten different scores: ties everywhere
    elif task == "embedding":
        target = torch.arange(rows) % CLASSES
        yield 3 * uniform(rows, 5) - 1, target
    else:
        target = torch.randint(CLASSES, (rows,), generator=generator)
        target[:CLASSES] = torch.arange(CLASSES)
        yield (3 * uniform(rows, CLASSES)).softmax(1), target


def perfect(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The scores of a model that knows the target."""
    import torch

    if scores.ndim > target.ndim:  # of embeddings too: a direction a class
        return torch.nn.functional.one_hot(target, max(scores.shape[1], int(target.max()) + 1)).to(scores.dtype)
    return target.to(scores.dtype)


def check_facts(metric: Metric, seed: int = 0) -> None:
    """The record says what it must, in the words of the contract."""
    assert metric.name.isidentifier() and metric.name == metric.name.lower(), f"{metric.name}: a name is one lower-case word"
    assert metric.title, f"{metric.name}: no title"
    assert metric.source, f"{metric.name}: no source"
    assert metric.direction in DIRECTIONS, f"{metric.name}: direction is one of {DIRECTIONS}, got {metric.direction!r}"
    assert metric.tasks and set(metric.tasks) <= set(TASKS), f"{metric.name}: tasks are of {TASKS}, got {metric.tasks}"
    assert set(metric.default_for) <= set(metric.tasks), f"{metric.name}: default for a task that it does not fit"
    assert metric.each is not None or metric.of_mean is None, f"{metric.name}: of_mean without each"


def check_shapes(metric: Metric, seed: int = 0) -> None:
    """Every shape of every declared task gives one finite float, in float32 nearly the same, and leaves its inputs alone."""
    import torch

    for task in metric.tasks:
        for scores, target in draw(task, seed):
            before = scores.clone(), target.clone()
            value = metric.whole(scores, target)
            assert type(value) is float, f"{metric.name}, {task}: whole returns float, got {type(value).__name__}"
            assert math.isfinite(value), f"{metric.name}, {task} {tuple(scores.shape)}, seed {seed}: got {value}"
            assert torch.equal(before[0], scores) and torch.equal(before[1], target), f"{metric.name}: changed its inputs"
            single = metric.whole(scores.float(), target)
            close = math.isclose(single, value, rel_tol=1e-4, abs_tol=1e-4)  # what float32 probabilities can lose in a logarithm
            assert close, f"{metric.name}, {task}: {single} in float32, {value} in float64"


def check_mean(metric: Metric, seed: int = 0) -> None:
    """`each` gives float64 (N,) whose mean, through `of_mean`, is the metric: intervals are computed from it."""
    import torch

    if metric.each is None:
        return
    for task in metric.tasks:
        for scores, target in draw(task, seed):
            values = metric.each(scores, target)
            assert values.shape == (len(target),), f"{metric.name}, {task}: each gives {tuple(values.shape)} for {len(target)} examples"
            assert values.dtype == torch.float64, f"{metric.name}, {task}: each gives {values.dtype}"
            mean = float(values.mean())
            value = metric.of_mean(mean) if metric.of_mean else mean
            whole = metric.whole(scores, target)
            assert math.isclose(value, whole, rel_tol=1e-9), f"{metric.name}, {task}, seed {seed}: {value} from each, {whole} whole"


def check_resampling(metric: Metric, seed: int = 0) -> None:
    """Order does not matter, and every example twice is the same set: what a resample of examples takes for granted.

    A metric whose examples are judged among each other is never recomputed on a resample, so it has to give a value for each example.
    """
    import torch

    for task in metric.tasks:
        for scores, target in draw(task, seed):
            whole = metric.whole(scores, target)
            order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))
            assert not metric.among_others or metric.each is not None, f"{metric.name}: values among others have to be given each"
            repeated = () if metric.among_others else (("every example twice", order.repeat(2)),)
            for name, rows in (("another order", order), *repeated):
                value = metric.whole(scores[rows], target[rows])
                same = math.isclose(value, whole, rel_tol=1e-9, abs_tol=1e-12)
                assert same, f"{metric.name}, {task}, seed {seed}: {value} with {name}, {whole} without"


def check_direction(metric: Metric, seed: int = 0) -> None:
    """Knowing the target scores at least as well as random scores do, and gives the value that the entry calls its best."""
    for task in metric.tasks:
        for scores, target in draw(task, seed):
            best, other = metric.whole(perfect(scores, target), target), metric.whole(scores, target)
            right = best >= other if metric.direction == "max" else best <= other
            assert right, f"{metric.name} is better when {metric.direction}, but {task} seed {seed}: perfect {best}, random {other}"
            named = metric.best is None or math.isclose(best, metric.best, abs_tol=1e-6)
            assert named, f"{metric.name}, {task}: best is given as {metric.best}, and knowing the target gives {best}"


def check_nan(metric: Metric, seed: int = 0) -> None:
    """A score that is NaN makes the metric NaN: a diverged model must not rank."""
    for task in metric.tasks:
        for scores, target in draw(task, seed):
            broken = scores.clone()
            broken[len(broken) // 2] = math.nan
            value = metric.whole(broken, target)
            assert math.isnan(value), f"{metric.name}, {task} {tuple(scores.shape)}: {value} in spite of a NaN score"


def check_one_class(metric: Metric, seed: int = 0) -> None:
    """A target of one class gives a number, unless the entry says that it needs two."""
    import torch

    for task in metric.tasks:
        if task in ("regression", "count"):
            continue
        for scores, target in draw(task, seed):
            for label in (0, 1):
                value = metric.whole(scores, torch.full_like(target, label))
                assert metric.needs_two_classes or math.isfinite(value), f"{metric.name}, {task}: {value} when all targets are {label}"


CHECKS: tuple[Callable[[Metric, int], None], ...] = (
    check_facts,
    check_shapes,
    check_mean,
    check_resampling,
    check_direction,
    check_nan,
    check_one_class,
)


def check_page(metric: Metric, page: str | None) -> None:
    """The docstring of the entry's module is the page that `fallline explain` prints: the title, then four sections in order."""
    lines = (page or "").strip().splitlines()
    assert lines and lines[0] == metric.title, f"{metric.name}: the page begins with the title {metric.title!r}"
    assert 8 <= len(lines) <= 15, f"{metric.name}: a page has 8 to 15 lines, this one {len(lines)}"
    found = tuple(line for line in lines if line in HEADINGS)
    assert found == HEADINGS, f"{metric.name}: a page has the sections {', '.join(HEADINGS)} in this order, got {', '.join(found)}"


def prove(metric: Metric, page: str | None = None, seed: int = 0) -> None:
    """Put one entry through all checks, and its page where given; raises AssertionError with the first that fails."""
    for check in CHECKS:
        check(metric, seed)
    if page is not None:
        check_page(metric, page)
