"""Valid holds examples of train

How it is detected:
Examples of valid are looked up in train, exactly and by distance, far below what is usual between neighbours. How often train repeats
itself is the measure of what is natural: a table of few categories repeats a lot.

Why it matters:
The metric on valid then says how well train was learned by heart. Overfitting looks like success, and the best candidate of any race is
the one that remembers best.

What to do:
Split by what belongs together (person, scene, source file), remove duplicates before splitting, augment after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.signals import Window, overlap

if TYPE_CHECKING:
    from fallline._problem import Problem


SHARE = 0.01


def check(window: Window) -> Outcome:
    seen = window.read(overlap.ENTRY)
    natural = 2 * seen.within + SHARE
    if seen.exact <= natural and seen.near <= 3 * seen.near_within + SHARE:
        return None
    exact = seen.exact > natural
    share = seen.exact if exact else seen.near
    how = "exactly" if exact else "nearly"
    evidence = (
        f"{share:.0%} of {seen.compared} examples of valid stand {how} in train too, while {seen.within:.1%} of train repeat other "
        f"examples of it"
    )
    if exact:
        evidence += f"; {seen.same_target:.0%} of them with the same target"
    remedy = "remove duplicates before splitting, or split by group (fallline choose --group)"
    severity = "stop" if exact or share > 0.05 else "warn"
    return RULE.finding(evidence, remedy, place="valid", severity=severity, figures={"share": share, "within train": seen.within})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [data.without_rows_of_valid()] if window.read(overlap.ENTRY).exact > 0 else []


RULE = Rule(
    code="FL507",
    name="valid_repeats_train",
    title="Valid holds examples of train",
    faults=("D07",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL607",),
)


def _leaking(noise: float, count: int) -> Problem:
    import torch

    (x, y), (a, b) = rows(ROWS, 1), rows(VALID_ROWS, 2)
    copied = x[:count] + noise * torch.randn(count, x.shape[1], generator=torch.Generator().manual_seed(0))
    return numbers(train=(x, y), valid=(torch.cat([a, copied]), torch.cat([b, y[:count]])))


def _few_categories() -> Problem:
    import torch

    x = torch.randint(0, 3, (ROWS, 3), generator=torch.Generator().manual_seed(0)).float()
    y = x.sum(dim=1, keepdim=True)
    from torch import nn

    return numbers(model=lambda: nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1)), train=(x, y), valid=(x[:100], y[:100]))


FIRES: Cases = {"60 rows of train in valid": lambda: _leaking(0.0, 60), "60 rows with a little noise": lambda: _leaking(1e-3, 60)}
SILENT: Cases = {"other rows": numbers, "rows of few categories": _few_categories}
