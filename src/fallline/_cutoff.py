"""Out of time: the incumbent is cooled down in the reserve, not cut raw, and the cut is an event of the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline._budget import DeadlineReached
from fallline._entered import BASELINE, Entered
from fallline._plan import in_lanes
from fallline._recipe import Cooldown

if TYPE_CHECKING:
    from fallline._race import Race

COOLDOWN_SHARE = 0.05  # of the length: 5 % recovers most of a decay's gain (Hägele et al., arXiv:2405.18392, figure 5)


def affordable(race: Race, going: list[Entered]) -> list[Entered]:
    """The finalists that time allows, at the speed measured up to here, beside the baseline's own training.

    Where it does not even allow one, it and the baseline are both cut short at the same step and cooled down alike. What was decided
    is written to the journal, and a resumed race keeps to it.
    """
    if race.endgame is None:
        race.endgame = _endgame(race, going)
        race.folder.journal.write("endgame", **race.endgame)
    for entry in going:
        if entry.trial.name not in race.endgame["finish"]:
            entry.status, entry.reason = "paused", "not finished: the budget leaves no time for another finalist"
            race.cut = True
    kept = [entry for entry in going if entry.trial.name in race.endgame["finish"]]
    if race.endgame["cooldown"]:
        race.cut = True
        for entry in [race.baseline, *kept]:
            cooldown = Cooldown(**race.endgame["cooldown"])
            if entry.trial.recipe.schedule.own:
                entry.stop = cooldown.at + cooldown.steps  # the user's own schedule is not touched, only stopped
            else:
                race.engine.drop(entry.trial.name)  # its lr curve is another from here on
                entry.shorten(cooldown)
    return kept


def _endgame(race: Race, going: list[Entered]) -> dict[str, Any]:
    left, length, lanes = race.clock.left_s, race.plan.length, race.plan.abreast
    if left == float("inf") or not going:
        return {"finish": [entry.trial.name for entry in going], "cooldown": None}
    baseline = race.baseline if race.plan.shape.baseline_finishes and race.baseline.status != "failed" else None
    needs = [] if baseline is None else [(length - baseline.step) * baseline.seconds_a_step]
    finish = []
    for entry in going:
        needs.append((length - entry.step) * entry.seconds_a_step)
        if in_lanes(needs, lanes) > left:
            break
        finish.append(entry.trial.name)
    if finish:
        return {"finish": finish, "cooldown": None}
    both = [entry for entry in (baseline, going[0]) if entry is not None]
    a_step = in_lanes([entry.seconds_a_step for entry in both], lanes)
    behind = in_lanes([(going[0].step - entry.step) * entry.seconds_a_step for entry in both], lanes)
    reach = max(int((left - behind) / a_step), 1) if a_step else 1
    steps = max(min(round(COOLDOWN_SHARE * length), reach // 2), 1)
    at = min(going[0].step + max(reach - steps, 0), length - steps)
    return {"finish": [going[0].trial.name], "cooldown": {"at": at, "steps": steps}}


def cool_down(race: Race) -> None:
    """Out of time: if no candidate has finished, the best one in training falls to lr zero within the reserve."""
    if any(entry.trial.name != BASELINE for entry in race.finished()):
        return
    alive = [e for e in race.leaders() if e.trial.name != BASELINE and e.status != "failed" and e.measured]
    running = [e for e in race.entered.values() if "@" not in e.trial.name and e.trial.name != BASELINE and race.engine.holds(e.trial.name)]
    if race.bench.problem.loop is not None:
        running = []  # stopped within an epoch, it has nothing to go on from
    chosen = next((e for e in alive), None) or next(iter(running), None)
    if chosen is None:
        return
    cooldown = race.cooled.get(chosen.trial.name) or _begun(race, chosen)
    at, steps = cooldown.at, cooldown.steps
    chosen.shorten(cooldown)
    race.engine.drop(chosen.trial.name)
    race.engine.adopt(chosen.trial, race.folder.load_state(chosen.trial.name, at))
    race.clock.reserve_s = 0.0  # this is what the reserve was for
    try:
        race.advance([chosen], at + steps, "out of time, cooling down")
    except DeadlineReached:
        chosen.status, chosen.reason = "cut", "the budget ended during the cooldown"


def _begun(race: Race, chosen: Entered) -> Cooldown:
    """Where the cooldown starts and how long the reserve lets it be; on disk before it begins, so that a resumed race repeats it."""
    if race.bench.problem.loop is not None:
        race.engine.drop(chosen.trial.name)  # it was stopped within an epoch, and a loop goes on by whole ones
    race.ready(chosen)
    state = race.engine.state(chosen.trial.name)
    at = int(state["step"])
    steps = max(min(round(COOLDOWN_SHARE * race.plan.length), race.plan.length - at), 1)
    per_step = chosen.seconds_a_step
    if per_step > 0:
        # what stopping the lanes took is gone already
        free_s = max(race.clock.left_s + race.clock.reserve_s - race.plan.estimate.get("judging_s", 0.0), 0.0)
        steps = max(min(steps, int(0.5 * free_s / per_step)), 1)  # half: judging and writing need the rest
    race.folder.save_state(chosen.trial.name, at, state)
    race.folder.journal.write("cooldown", trial=chosen.trial.name, from_step=at, steps=steps, spent_s=race.clock.spent_s)
    return Cooldown(at, steps)
