"""Train and valid were prepared differently

How it is detected:
Means and spreads of each column are compared between train and valid: beyond five standard errors, and by more than half a standard
deviation or a factor of two; medians or quartiles must differ too, which single far values do not move. Most columns at once speak for the
preparation, single ones for the data.

Why it matters:
Scaling fitted on train and forgotten for valid, or fitted on each by itself, or another range of pixels: the model is judged on inputs
that it has never seen the like of.

What to do:
One pipeline, fitted on train and applied to all splits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.signals import Window, columns

if TYPE_CHECKING:
    from torch import Tensor

    from fallline._problem import Problem


SERIES = "series"  # the door that cuts one file by time, whatever it hands over as valid


def check(window: Window) -> Outcome:
    problem = window.setup.problem
    if problem.origin.kind == SERIES or (problem.origin.preparation is not None and problem.valid is None):
        return NotApplicable("the door split the rows itself and prepared them alike, so what differs is drift")
    seen = window.read(columns.ENTRY)
    if seen.valid is None or seen.train.mean.shape != seen.valid.mean.shape:
        return NotApplicable("there is no valid split with the same columns")
    shares = []
    train, valid = seen.train, seen.valid
    quartiles = {
        "inputs": (train.middle, train.width, valid.middle, valid.width),
        "targets": (train.target_middle, train.target_width, valid.target_middle, valid.target_width),
    }
    for name, mine, theirs in (
        ("inputs", (seen.train.mean, seen.train.std), (seen.valid.mean, seen.valid.std)),
        ("targets", (seen.train.target_mean, seen.train.target_std), (seen.valid.target_mean, seen.valid.target_std)),
    ):
        if not len(mine[0]) or mine[0].shape != theirs[0].shape:
            continue
        spread = mine[1].clamp_min(1e-12)
        error = spread * (1 / max(seen.train.rows, 1) + 1 / max(seen.valid.rows, 1)) ** 0.5
        shift = (mine[0] - theirs[0]).abs()
        ratio = (mine[1] / theirs[1].clamp_min(1e-12)).log().abs()
        varying = mine[1] > 1e-9 * (1 + mine[0].abs())
        off = varying & ((shift > 5 * error) & (shift > 0.5 * spread) | (ratio > 0.7) & (ratio > 5 / max(seen.valid.rows, 1) ** 0.5))
        off &= _moved(*quartiles[name])
        count = int(varying.sum())
        if count:
            shares.append((int(off.sum()) / count, name, count, off, shift / spread, ratio))
    worst = max(shares, key=lambda share: share[0], default=None)
    if worst is None or worst[0] == 0:
        return None
    share, name, count, off, shift, ratio = worst
    evidence = (
        f"{int(off.sum())} of {count} columns of the {name} differ between train and valid: the means by up to "
        f"{float(shift[off].max()):.2g} "
        f"standard deviations, the spreads by up to a factor of {float(ratio[off].exp().max()):.3g}"
    )
    most = share >= 0.5
    remedy = (
        "fit the preparation on train and apply the same to valid" if most else "look at these columns: is it drift, or another preparation"
    )
    return RULE.finding(evidence, remedy, place=f"{name} of valid", severity="stop" if most else "info", figures={"share": share})


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(columns.ENTRY)
    if seen.valid is None or finding.place != "inputs of valid":
        return []
    mine, theirs = (seen.train.mean, seen.train.std), (seen.valid.mean, seen.valid.std)
    shift, ratio = (mine[0] - theirs[0]).abs() / mine[1].clamp_min(1e-12), (mine[1] / theirs[1].clamp_min(1e-12)).log().abs()
    return [data.prepared_alike(mine, theirs, (mine[1] > 1e-12) & ((shift > 0.5) | (ratio > 0.7)))]  # the rule's own limits


def _moved(middle: Tensor, width: Tensor, other_middle: Tensor, other_width: Tensor) -> Tensor:
    """Whether median or quartiles moved too, where a column has any width between its quartiles."""
    shift = (middle - other_middle).abs() > 0.3 * width  # half a deviation is 0.74 of the width of a normal column
    ratio = (width / other_width.clamp_min(1e-12)).log().abs() > 0.35  # half of what is asked of the spreads
    return shift | ratio | (width == 0)


RULE = Rule(
    code="FL508",
    name="splits_prepared_differently",
    title="Train and valid were prepared differently",
    faults=("D08",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL208", "FL605", "FL607"),
)


def _far_values() -> Problem:
    import torch

    x, y = rows(ROWS, 1)
    far = (torch.rand(y.shape, generator=torch.Generator().manual_seed(0)) < 0.01).float() * 30
    return numbers(train=(x, y + far))


def _apart(scale: float, shift: float) -> Problem:
    x, y = rows(VALID_ROWS, 2)
    return numbers(valid=(x * scale + shift, y))


FIRES: Cases = {"valid on another scale": lambda: _apart(20.0, 0.0), "valid not centred": lambda: _apart(1.0, 3.0)}
SILENT: Cases = {"the same preparation": numbers, "far values in train alone": _far_values}
