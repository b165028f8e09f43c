"""Labels that do not fit the classes

How it is detected:
The labels of train are counted: those below 0 or at and above the number of outputs, unless the loss passes over them, and classes of
valid that train does not have.

Why it matters:
A label outside raises an error far from its cause, on a GPU a useless one. Labels from 1 to K leave output 0 unused. A class that train
lacks cannot be learned, and every example of it in valid is an error for certain.

What to do:
Map the labels to 0..K-1 (`torch.unique(labels, return_inverse=True)`), give the model K outputs, and split so that each class is in
train.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, classes, labelled
from fallline.signals import Window, behaviour, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first = window.read(outputs.ENTRY)
    if not first.classes:
        return None
    seen = window.read(targets.ENTRY)
    if not seen.train.counts:
        return NotApplicable("too many distinct labels to count")
    skipped = {-100.0, *window.read(behaviour.ENTRY).skips, float(window.setup.problem.ignore_index or -100)}
    count = first.output.shape[1]
    outside = {kind: number for kind, number in seen.train.counts.items() if not 0 <= kind < count and kind not in skipped}
    if outside:
        told = ", ".join(f"{kind:g} ({number} times)" for kind, number in list(outside.items())[:4])
        evidence = f"the model has {count} outputs, for labels 0 to {count - 1}, and train holds {told}"
        remedy = "map the labels to 0..K-1, or give the model one output more"
        return RULE.finding(evidence, remedy, place="the target of train", figures={"outside": sum(outside.values()), "outputs": count})
    lacking = sorted(set(seen.valid.counts) - set(seen.train.counts) - skipped) if seen.valid is not None else []
    if lacking and seen.valid is not None:
        number = sum(seen.valid.counts[kind] for kind in lacking)
        evidence = f"class {lacking[0]:g} and {len(lacking) - 1} more" if len(lacking) > 1 else f"class {lacking[0]:g}"
        evidence += f" stand in valid ({number} examples) and never in train"
        remedy, figures = "split so that train holds examples of each class", {"examples": number}
        return RULE.finding(evidence, remedy, place="the split", severity="warn", figures=figures)
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    counts = window.read(targets.ENTRY).train.counts
    first, last = min(counts), max(counts)
    fits = "outputs" in finding.figures and last - first < finding.figures["outputs"]
    return [data.renumbered(-int(first))] if fits else []


RULE = Rule(
    code="FL117",
    name="labels_out_of_range",
    title="Labels that do not fit the classes",
    faults=("L17",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL001",),
)


def _from_one() -> Problem:
    x, y = labelled(ROWS, 1)
    return classes(train=(x, y + 1), valid=None)


def _lacking() -> Problem:
    x, y = labelled(ROWS, 1)
    return classes(train=(x[y < 2], y[y < 2]), valid=labelled(VALID_ROWS, 2))


FIRES: Cases = {"labels from 1 to K": _from_one, "a class that train lacks": _lacking}
SILENT: Cases = {"labels from 0 to K - 1": classes}
