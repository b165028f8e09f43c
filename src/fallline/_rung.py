"""A rung: how the trials stand there, what a policy says, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline import catalogue
from fallline._entered import Entered, shown
from fallline.policies import Decision, Policy, Standing

if TYPE_CHECKING:
    from fallline._race import Race


def going_on(race: Race, policy: Policy, field_: Sequence[Entered]) -> list[Entered]:
    """Ask a policy at a rung; who goes on is given back, best first. The others pause or stop, each with its reason in the journal."""
    rung = field_[0].step if field_ else 0
    standings = [_standing(race, entry, rung) for entry in field_]
    decisions = policy.decide(standings)
    ranks = {s.trial: s.value for s in standings}
    for entry in field_:
        decision = decisions[entry.trial.name]
        if decision is not Decision.CONTINUE and entry.status not in ("failed", "finished"):
            entry.status = "paused"
            entry.reason = f"fell at step {entry.step:,}: {_behind(race, entry, field_)}"
        race.folder.journal.write("decision", trial=entry.trial.name, rung=rung, decision=decision.value, reason=entry.reason)
        if decision is not Decision.CONTINUE:
            race.engine.drop(entry.trial.name)  # a paused trial lies in its checkpoint
        if decision is Decision.STOP:
            race.folder.drop_states(entry.trial.name)
    going = [entry for entry in field_ if decisions[entry.trial.name] is Decision.CONTINUE]
    return sorted(going, key=lambda entry: (ranks[entry.trial.name] or 0.0, entry.trial.name))


def _standing(race: Race, entry: Entered, rung: int) -> Standing:
    recipe = entry.trial.recipe
    peak = 0.0 if recipe.schedule.own else catalogue.schedule(recipe.schedule.name).peaks_at
    value = None if entry.status == "failed" or entry.value is None else race.sign * entry.value
    return Standing(entry.trial.name, value, recipe.family, peak * race.plan.length > rung)


def _behind(race: Race, entry: Entered, field_: Sequence[Entered]) -> str:
    values = [race.sign * other.value for other in field_ if other.value is not None and other.status != "failed"]
    metric = race.bench.judge.metric.name
    return f"{metric} {shown(entry.value)}, the leader {shown(race.sign * min(values))}" if values else f"no {metric}"
