"""Inputs say nothing about the targets

How it is detected:
Three simple probes (linear, bent, nearest neighbours) predict one half of train from the other, for the targets as they are and for forty
random permutations of them. Where the true pairing is no better than luck, it is tried whether a shift by a few rows, or the pairing in
valid, is.

Why it matters:
Inputs and labels that were shuffled, sorted or joined apart from each other are a training on noise: a large model learns train by heart
and is at chance on valid.

What to do:
Look at ten examples with their labels. Shuffle inputs and labels with the same permutation; join by key, not by position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, classes, labelled
from fallline.signals import Window, relation, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


LUCK, CLEAR = 2.5, 6.0  # standard deviations: three probes reach 2.5 by luck in one of some fifty data sets


def check(window: Window) -> Outcome:
    seen = window.read(relation.ENTRY)
    if seen.train > LUCK:
        return None
    evidence = f"over {seen.rows} training examples the best of three probes is {seen.train:.1f} standard deviations above permuted targets"
    figures = {"strength": seen.train, "rows": seen.rows}
    remedy = "look at ten examples with their targets; shuffle both with one permutation and join them by key"
    best = max(seen.shifted, key=lambda shift: seen.shifted[shift], default=0)
    if best and seen.shifted[best] > CLEAR:
        evidence += f", and {seen.shifted[best]:.0f} when the targets are moved by {best:+d} rows"
        return RULE.finding(evidence, f"move the targets by {best} rows", place="train", figures=figures | {"shift": best})
    if seen.valid is not None and seen.valid > CLEAR:
        evidence += f", and {seen.valid:.0f} in valid"
        return RULE.finding(evidence, remedy, place="train", figures=figures | {"valid": seen.valid})
    run = window.read(trace.ENTRY)
    values = [look.valid for look in run.looks if look.valid is not None]
    if run.looks[0].valid is not None and len(values) > 2:
        learned = (values[0] - min(values)) / max(abs(values[0]), 1e-12)
        fitted = (run.start - run.end) / max(abs(run.start), 1e-12)
        if learned > 0.2 and fitted > 0.2:
            return None  # the model sees what the probes do not, as a parity or an order of words
        evidence += f"; the model's own loss on valid never falls by more than {max(learned, 0):.0%} either"
        return RULE.finding(evidence, remedy, place="train", figures=figures)
    evidence += "; a valid split would tell whether the model itself sees more"
    return RULE.finding(evidence, remedy, place="train", severity="warn", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [data.moved_targets(int(finding.figures["shift"]))] if "shift" in finding.figures else []


RULE = Rule(
    code="FL506",
    name="inputs_and_targets_misaligned",
    title="Inputs say nothing about the targets",
    faults=("D06",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL504", "FL605", "FL606", "FL607"),
)


def _shuffled(valid_too: bool) -> Problem:
    import torch

    def apart(split: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        return split[0], split[1][torch.randperm(len(split[1]), generator=torch.Generator().manual_seed(5))]

    valid = labelled(VALID_ROWS, 2)
    return classes(train=apart(labelled(ROWS, 1)), valid=apart(valid) if valid_too else valid)


def _slipped() -> Problem:
    x, y = labelled(ROWS, 1)
    return classes(train=(x[1:], y[:-1]), valid=None)


FIRES: Cases = {
    "labels shuffled apart": lambda: _shuffled(True),
    "labels of train shuffled apart": lambda: _shuffled(False),
    "labels one row late": _slipped,
}
SILENT: Cases = {"labels beside their inputs": classes}
