"""A rung: how the trials stand there, what a policy says, and what is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline import catalogue
from fallline._entered import Entered, shown
from fallline.policies import Decision, Policy, Standing

if TYPE_CHECKING:
    from fallline._race import Race


def going_on(race: Race, policy: Policy, field_: Sequence[Entered], judged_at: int | None = None) -> list[Entered]:
    """Ask a policy at a rung; who goes on is given back, best first. The others pause or stop, each with its reason in the journal.

    `judged_at`: the step, where one may have run past it and is judged by its looks up to there; None: where they stand.
    """
    rung = judged_at or (field_[0].step if field_ else 0)
    reads = {entry.trial.name: entry.value if judged_at is None else entry.value_at(judged_at, race.sign) for entry in field_}
    standings = [_standing(race, entry, rung, reads[entry.trial.name]) for entry in field_]
    decisions = policy.decide(standings)
    ranks = {s.trial: s.value for s in standings}
    for entry in field_:
        decision = decisions[entry.trial.name]
        if decision is not Decision.CONTINUE and entry.status not in ("failed", "finished"):
            entry.status = "paused"
            where = entry.fell_at = entry.step if judged_at is None else judged_at
            on = f" (it had run on to step {entry.step:,})" if entry.step > where else ""
            entry.reason = f"fell at step {where:,}{on}: {_behind(race, reads[entry.trial.name], list(reads.values()))}"
        race.folder.journal.write("decision", trial=entry.trial.name, rung=rung, decision=decision.value, reason=entry.reason)
        if decision is not Decision.CONTINUE:
            race.engine.drop(entry.trial.name)  # a paused trial lies in its checkpoint
        if decision is Decision.STOP:
            race.folder.drop_states(entry.trial.name)
    going = [entry for entry in field_ if decisions[entry.trial.name] is Decision.CONTINUE]
    return sorted(going, key=lambda entry: (ranks[entry.trial.name] or 0.0, entry.trial.name))


def _standing(race: Race, entry: Entered, rung: int, value: float | None) -> Standing:
    recipe = entry.trial.recipe
    peak = 0.0 if recipe.schedule.own else catalogue.schedule(recipe.schedule.name).peaks_at
    value = None if entry.status == "failed" or value is None else race.sign * value
    return Standing(entry.trial.name, value, recipe.family, peak * race.plan.length > rung)


def _behind(race: Race, value: float | None, values: Sequence[float | None]) -> str:
    signed = [race.sign * other for other in values if other is not None]
    metric = race.bench.judge.metric.name
    return f"{metric} {shown(value)}, the leader {shown(race.sign * min(signed))}" if signed else f"no {metric}"
