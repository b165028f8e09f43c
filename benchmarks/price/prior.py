"""What tools/build_prior.py learns from the records, for the scripts of this folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from build_prior import SIZE, eligible, held_out, known, only, unseen

from fallline._portfolio import Facts, Portfolio
from fallline._prior import _moved_lr

if TYPE_CHECKING:
    from records import TaskRecords

__all__ = ["SIZE", "eligible", "held_out", "known", "moved", "only", "strange_to", "unseen", "unseen_among"]


def unseen_among(records: Mapping[str, TaskRecords], whole: Portfolio, name: str, among: Sequence[int]) -> Portfolio:
    """The portfolio that the product would have, were the family of a task not recorded; its recipes are those of `among`."""
    held, chosen = unseen(records, whole, name), list(among)
    return replace(held, recipes=tuple(held.recipes[k] for k in chosen), regret=held.regret[:, chosen], cost=held.cost[:, chosen])


def moved(records: Mapping[str, TaskRecords], whole: Portfolio, name: str, among: Sequence[int]) -> list[Mapping[str, Any]]:
    """Rows of the portfolio in the order for a task whose family it has not seen, with the lrs that the product would give them there."""
    facts = records[name].facts
    factors = unseen(records, whole, name).lr_factors(Facts.read(facts), int(facts["length"]), float(facts["fan_in"]))
    return [_moved_lr(whole.recipes[recipe], factors[whole.families[recipe]]) for recipe in held_out(records, whole, name, among)]


@contextlib.contextmanager
def strange_to(records: Mapping[str, TaskRecords], whole: Portfolio, name: str, among: Sequence[int]) -> Iterator[None]:
    """Within it the product races by a portfolio that has not seen the family of a task.

    Only what plans a race reads the portfolio, so workers forked later need nothing.
    """
    held = unseen_among(records, whole, name, among)
    with mock.patch("fallline._prior.portfolio", return_value=held), mock.patch("fallline._planning.portfolio", return_value=held):
        yield
