"""Out of time: the incumbent is cooled down in the reserve, not cut raw, and the cut is an event of the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fallline._budget import DeadlineReached
from fallline._entered import BASELINE, Entered
from fallline._recipe import Cooldown

if TYPE_CHECKING:
    from fallline._race import Race

COOLDOWN_SHARE = 0.05  # of the length: 5 % recovers most of a decay's gain (Hägele et al., arXiv:2405.18392, figure 5)


def cool_down(race: Race) -> None:
    """Out of time: if no candidate has finished, the best one in training falls to lr zero within the reserve."""
    if any(entry.trial.name != BASELINE for entry in race.finished()):
        return
    alive = [e for e in race.leaders() if e.trial.name != BASELINE and e.status != "failed" and e.measured]
    running = [e for e in race.entered.values() if "@" not in e.trial.name and e.trial.name != BASELINE and race.engine.holds(e.trial.name)]
    chosen = next((e for e in alive), None) or next(iter(running), None)
    if chosen is None:
        return
    cooldown = race.cooled.get(chosen.trial.name) or _begun(race, chosen)
    at, steps = cooldown.at, cooldown.steps
    recipe = replace(chosen.trial.recipe, cooldown=cooldown)
    chosen.trial = replace(chosen.trial, recipe=recipe)
    chosen.candidate = replace(chosen.candidate, recipe=recipe)
    race.engine.drop(chosen.trial.name)
    race.engine.adopt(chosen.trial, race.folder.load_state(chosen.trial.name, at, race.bench.device))
    race.clock.reserve_s = 0.0  # this is what the reserve was for
    try:
        race.advance([chosen], at + steps, "out of time, cooling down")
    except DeadlineReached:
        chosen.status, chosen.reason = "cut", "the budget ended during the cooldown"


def _begun(race: Race, chosen: Entered) -> Cooldown:
    """Where the cooldown starts and how long the reserve lets it be; on disk before it begins, so that a resumed race repeats it."""
    race.ready(chosen)
    state = race.engine.state(chosen.trial.name)
    at = int(state["step"])
    steps = max(min(round(COOLDOWN_SHARE * race.plan.length), race.plan.length - at), 1)
    per_step = race.seconds_a_step(chosen)
    if per_step > 0:
        steps = max(min(steps, int(0.5 * race.clock.reserve_s / per_step)), 1)  # half: judging and writing need the rest
    race.folder.save_state(chosen.trial.name, at, state)
    race.folder.journal.write("cooldown", trial=chosen.trial.name, from_step=at, steps=steps)
    return Cooldown(at, steps)
