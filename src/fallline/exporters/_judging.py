"""Judging: the part of a script that turns a model's outputs into the user's metric, as the run did."""

from __future__ import annotations

import inspect
import math
from types import BuiltinFunctionType

from fallline import catalogue
from fallline._errors import RefusedError
from fallline._head import ACTIVATIONS
from fallline.exporters._batching import write_predict
from fallline.exporters._case import Case
from fallline.exporters._page import Page
from fallline.exporters._source import copied
from fallline.metrics import Metric, named

JUDGING = "Judging"


def write_judging(page: Page, case: Case) -> None:
    """`evaluate(model, data, rows)`: the metric on a part, or on some of its rows."""
    page.need("import torch")
    if case.setup["metric"] == "named":
        write_metric(page, named(case.facts["metric"]))
    write_predict(page, case)
    sizes = case.setup["eval_batch"]
    batch = ", batch=EVAL_BATCH" if sizes["audit"] != sizes["valid"] else ""
    given = ", given=None" if case.from_given else ""
    passed = (", batch" if batch else "") + (", given=given" if case.setup["unpack"] == "own" else "")
    better = "lower" if case.lower_is_better else "higher"
    lines = [
        f"def evaluate(model, data, rows=None{batch}{given}):",
        f'    """{case.facts["metric"]} on a part, or on some of its rows; {better} is better."""',
        f"    output, target = predict(model, data, rows{passed})",
        *(f"    {line}" for line in _readable(page, case)),
    ]
    page.add(JUDGING, "\n".join(lines))


def evaluate(case: Case, model: str, part: str, rows: str = "") -> str:
    """The call of `evaluate` for a part."""
    arguments = [model, part, *([rows] if rows else [])]
    sizes = case.setup["eval_batch"]
    if part == "audit" and sizes["audit"] != sizes["valid"]:
        arguments.append(f"batch={sizes['audit']}")
    if case.from_given:
        arguments.append("given=given")
    return f"evaluate({', '.join(arguments)})"


def _readable(page: Page, case: Case) -> list[str]:
    """Outputs as the metric reads them: through the loss's link, in the user's units, as probabilities, in float64; then the metric."""
    lines = []
    link = case.setup.get("own_link", "") if case.recipe.loss.own else catalogue.loss(case.recipe.loss.name).link_code
    if link:
        lines.append(f"output = {link}  # from what the loss trains to a prediction")
    if case.recipe.head is not None and case.recipe.head.does:
        lines.append(f"output = {ACTIVATIONS[case.recipe.head.does][1]}  # left out in training")
    if case.origin["scale"] is not None:
        page.setting("TARGET_SCALE", tuple(case.origin["scale"]), "training saw (target - location) / spread")
        lines.append("location, spread = (output.new_tensor(part) for part in TARGET_SCALE)")
        lines.append("output, target = output * spread + location, target * spread + location")
    if case.setup["metric"] == "callable":
        return [*lines, "return float(given.metric(output, target))"]
    if case.setup["metric"] == "stateful":
        return [*lines, "given.metric.reset()", "given.metric.update(output, target)", "return float(given.metric.compute())"]
    kind = case.profile["output_kind"]
    output_shape, target_shape = case.profile["output_shape"], case.profile["target_shape"]
    alike = bool(link) or math.prod(output_shape) == math.prod(target_shape)
    if not case.classes and output_shape != target_shape and alike:
        lines.append("output = output.reshape(target.shape)")
    if case.task in ("regression", "count"):
        return [*lines, "return metric(output.double(), target.double())"]
    if case.task == "embedding":
        return [*lines, "return metric(output.double(), target)"]
    if case.task in ("binary", "multilabel"):
        probability = f"output.double(){'' if kind == 'probability' else '.sigmoid()'}"
        if case.setup["positive"] is not None and not case.setup["positive"]:
            return [*lines, f"return metric(1 - {probability}, 1 - target.double())  # the class 0 is the positive one"]
        return [*lines, f"return metric({probability}, target)"]
    lines.append(f"probability = output.double(){ {'real': '.softmax(dim=1)', 'log-probability': '.exp()'}.get(kind, '') }")
    if case.setup["target_dims"] > 1:
        lines.append("probability = probability.movedim(1, -1).reshape(-1, probability.shape[1])  # positions become rows")
        lines.append("target = target.reshape(-1)")
    if case.setup["ignore_index"] is not None:
        lines.append(f"kept = target != {case.setup['ignore_index']}  # positions to pass over")
        lines.append("probability, target = probability[kept], target[kept]")
    if case.setup.get("of_two"):
        if case.setup["positive"] is not None and not case.setup["positive"]:
            return [*lines, "return metric(probability[:, 0], 1 - target)  # the class 0 is the positive one"]
        return [*lines, "return metric(probability[:, 1], target)  # the class 1 is the positive one"]
    return [*lines, "return metric(probability, target)"]


def write_metric(page: Page, entry: Metric) -> None:
    """The metric's own source. Where it is a function of a mean over examples, the examples' values and that function."""
    if "<locals>" not in entry.whole.__qualname__:
        found = copied(entry.whole)
        name = entry.whole.__name__
        page.add(JUDGING, found)
        page.add(JUDGING, f"metric = {name}  # {entry.title}")
        return
    if entry.each is None:
        raise RefusedError(
            f"the metric {entry.name} has no source to copy; its entry must give `whole` as a function of its module, or `each`"
        )
    page.add(JUDGING, copied(entry.each))
    value = f"float({entry.each.__name__}(scores, target).mean())"
    if entry.of_mean is not None:
        outer = entry.of_mean
        if isinstance(outer, BuiltinFunctionType):
            page.need(f"import {outer.__module__}")
            value = f"{outer.__module__}.{outer.__name__}({value})"
        elif inspect.isfunction(outer) and "<" not in outer.__qualname__:
            page.add(JUDGING, copied(outer))
            value = f"{outer.__name__}({value})"
        else:
            raise RefusedError(f"the metric {entry.name} has an `of_mean` without a name, which cannot be copied; define it with def")
    page.add(JUDGING, f'def metric(scores, target):\n    """{entry.title}."""\n    return {value}')
