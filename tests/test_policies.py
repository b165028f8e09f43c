"""Who goes on at a rung."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fallline.policies import Decision, KeepBest, Standing

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
