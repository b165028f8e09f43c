"""Labels contradict their neighbours everywhere

How it is detected:
For classes: the label of each of some thousand training examples is compared with the commonest among its 25 nearest neighbours. Near the
border between classes they differ by nature; far from it, where neighbours agree most, they should not. The finding needs that labels are
contradicted there nearly as often as over all examples, while neighbours know most labels.

Why it matters:
Contradictions that do not depend on the place are not what a hard question looks like, but what a slip of the pen does. A model learns
such labels by heart when it is trained long enough, and gets worse by it.

What to do:
Look at the contradicted examples first. Stop early, smooth the labels, or use a loss that bears wrong ones (generalized_ce, symmetric_ce).
It may also be that a factor decides which is not among the inputs; then more cannot be known.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.rules import Cases, Outcome, Rule
from fallline.rules._setups import classes, labelled, yes_no
from fallline.signals import Window, doubt

if TYPE_CHECKING:
    from fallline._problem import Problem

LEAST, MOST = 0.05, 0.4  # of the surest: below, nothing is lost; above, neighbours know nothing
ALIKE = 0.7  # of the share over all; a question that is hard near a border comes to a quarter
KNOWN = 0.6  # of what guessing gets wrong: neighbours must do better than that


def check(window: Window) -> Outcome:
    seen = window.read(doubt.ENTRY)
    luck = 2 * math.sqrt(max(seen.surest * (1 - seen.surest), 1e-9) / seen.judged)
    if seen.surest - luck < LEAST or seen.surest > MOST or seen.all > KNOWN * seen.guessed or seen.surest < ALIKE * seen.all:
        return None
    evidence = (
        f"of {seen.rows} training labels {seen.all:.0%} are contradicted by most of their neighbours, and still {seen.surest:.0%} of those "
        "where neighbours agree best: being wrong does not depend on being near a border"
    )
    figures = {"contradicted": seen.all, "far from a border": seen.surest}
    remedy = "look at these labels; stop early, or use a loss that bears wrong labels"
    return RULE.finding(evidence, remedy, place="the target of train", figures=figures)


RULE = Rule(
    code="FL505",
    name="label_noise",
    title="Labels contradict their neighbours everywhere",
    faults=("D05",),
    severity="warn",
    stage="data",
    check=check,
    explains=("FL607", "FL610", "FL613"),
)


def _clouds(wrong: float, apart: float = 5.0) -> Problem:
    """Three clouds in the plane."""
    import torch

    generator = torch.Generator().manual_seed(0)
    kind = torch.randint(0, 3, (1200,), generator=generator)
    x = torch.nn.functional.one_hot(kind, 6).float() * apart + torch.randn(1200, 6, generator=generator)
    drawn = torch.where(torch.rand(1200, generator=generator) < wrong, torch.randint(0, 3, kind.shape, generator=generator), kind)
    return classes(train=(x, drawn), valid=None)


def _by_chance() -> Problem:
    """An answer whose chance rises with a column."""
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1200, 6, generator=generator)
    return yes_no(train=(x, (torch.rand(1200, 1, generator=generator) < (2 * x[:, :1]).sigmoid()).float()), valid=None)


FIRES: Cases = {"a third of the labels drawn at random": lambda: _clouds(0.33)}
SILENT: Cases = {
    "labels as they are": lambda: classes(train=labelled(1200, 1)),
    "clouds that overlap": lambda: _clouds(0.0, 1.5),
    "answers by chance": _by_chance,
    "one label in fifty": lambda: _clouds(0.03),
}
