"""Who goes on at a rung."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from fallline.policies import Decision, Standing
from fallline.policies.drop_behind import DropBehind
from fallline.policies.keep_best import KeepBest

VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6))
FIELDS = st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=8)


def entered(field: list[tuple[float | None, bool]]) -> list[Standing]:
    return [Standing(f"t{i}", value, "adaptive", late) for i, (value, late) in enumerate(field)]


def going(decisions: dict[str, Decision]) -> set[str]:
    return {trial for trial, decision in decisions.items() if decision is Decision.CONTINUE}


@given(FIELDS, st.integers(1, 5))
def test_as_many_go_on_as_there_are_seats_and_the_leader_is_one_of_them(field: list[tuple[float | None, bool]], count: int) -> None:
    standings = entered(field)
    decisions = KeepBest(count).decide(standings)
    alive = [standing for standing in standings if standing.value is not None]
    assert len(going(decisions)) == min(count, len(alive))
    if alive:
        assert min(alive, key=lambda s: (s.value, s.trial)).trial in going(decisions)
    assert all((decisions[s.trial] is Decision.STOP) == (s.value is None) for s in standings)


@given(FIELDS, st.integers(1, 5))
def test_who_goes_on_does_not_depend_on_the_order_of_entry(field: list[tuple[float | None, bool]], count: int) -> None:
    standings = entered(field)
    assert KeepBest(count).decide(standings) == KeepBest(count).decide(standings[::-1])


def test_the_last_seat_is_kept_for_a_recipe_whose_lr_has_not_peaked() -> None:
    standings = [Standing("a", 1.0), Standing("b", 2.0), Standing("late", 3.0, peaks_later=True), Standing("later", 4.0, peaks_later=True)]
    assert going(KeepBest(2).decide(standings)) == {"a", "late"}
    assert going(KeepBest(1).decide(standings)) == {"a"}


def test_no_seat_is_moved_when_an_unpeaked_recipe_is_already_among_the_best() -> None:
    standings = [Standing("late", 1.0, peaks_later=True), Standing("b", 2.0), Standing("later", 3.0, peaks_later=True)]
    assert going(KeepBest(2).decide(standings)) == {"late", "b"}


@given(st.lists(st.floats(0.0, 10.0), min_size=2, max_size=5), st.floats(0.0, 10.0), st.floats(0.1, 100.0), st.floats(-50.0, 50.0))
def test_well_behind_means_the_same_in_any_unit(values: list[float], baseline: float, factor: float, shift: float) -> None:
    grid = [round(value, 3) for value in values]  # far enough apart that a change of unit rounds nothing across the line
    policy, moved = DropBehind(0.2, round(baseline, 3)), DropBehind(0.2, round(baseline, 3) * factor + shift)
    line = min(grid) + 0.2 * (round(baseline, 3) - min(grid))
    assume(all(abs(value - line) > 1e-6 for value in grid))
    here = policy.decide([Standing(f"t{i}", value) for i, value in enumerate(grid)])
    there = moved.decide([Standing(f"t{i}", value * factor + shift) for i, value in enumerate(grid)])
    assert here == there


def test_on_the_way_the_leader_goes_on_and_those_that_lost_a_fifth_of_its_lead_stop() -> None:
    standings = [Standing("leader", 1.0), Standing("near", 1.1), Standing("far", 1.3), Standing("late", 1.5, peaks_later=True)]
    decisions = DropBehind(0.2, baseline=2.0).decide([*standings, Standing("failed", None)])
    assert going(decisions) == {"leader", "near", "late"}
    assert decisions["far"] is Decision.PAUSE
    assert decisions["failed"] is Decision.STOP
    assert going(DropBehind(0.2, baseline=0.5).decide(standings)) == {s.trial for s in standings}, "nobody leads, nothing to measure by"
