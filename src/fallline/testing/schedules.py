"""The contract of a schedule: a pure function within (0, 1] that reaches the peak, at any length, and stands alone in a script."""

from __future__ import annotations

from itertools import pairwise

from fallline.catalogue import Schedule, Settings
from fallline.catalogue._pages import source_of
from fallline.catalogue.schedules import warmed

LENGTHS = (1, 2, 10, 1000)
WARMUPS = (0.0, 0.1, 0.5)
NEARLY = 0.95  # of the peak: a turning point may lie between two steps


def curve(entry: Schedule, length: int, settings: Settings, warmup: float = 0.0) -> list[float]:
    """What multiplies the peak lr at every step of a training of this length, warm-up included."""
    factors = []
    for step in range(length):
        ramp, left_step, left_length = warmed(step, length, warmup)
        factors.append(ramp * entry.factor(left_step, left_length, settings))
    return factors


def check_bounds(entry: Schedule, seed: int = 0) -> None:
    """Every factor is above zero and at most one, and the peak is reached, at every length and with every warm-up."""
    for settings in (entry.defaults(), entry.example):
        for length in LENGTHS:
            for warmup in WARMUPS:
                case = f"{entry.name}, {dict(settings)}, length {length}, warm-up {warmup}"
                factors = curve(entry, length, settings, warmup)
                assert all(type(factor) is float for factor in factors), f"{case}: a factor is a float"
                assert all(0.0 < factor <= 1.0 for factor in factors), f"{case}: factors from {min(factors)} to {max(factors)}"
                assert max(factors) >= NEARLY, f"{case}: the peak lr is never reached, only {max(factors):.3f} of it"


def check_edges(entry: Schedule, seed: int = 0) -> None:
    """Asked for a length of zero, or for the step after the last, it still gives a number from 0 to 1."""
    for settings in (entry.defaults(), entry.example):
        for step, length in ((0, 0), (1, 0), *((length, length) for length in LENGTHS)):
            factor = entry.factor(step, length, settings)
            assert 0.0 <= factor <= 1.0, f"{entry.name}: {factor} at step {step} of {length}"


def check_code(entry: Schedule, seed: int = 0) -> None:
    """Copied by its source into a script without this package, it gives the same numbers."""
    names: dict[str, object] = {}
    exec(source_of(entry.factor), names)
    copied = names[entry.factor.__name__]
    assert callable(copied)
    for settings in (entry.defaults(), entry.example):
        for length in LENGTHS:
            same = all(copied(step, length, dict(settings)) == entry.factor(step, length, settings) for step in range(length))
            assert same, f"{entry.name}: its source and itself differ at length {length}"


def check_hyperparameters(entry: Schedule, seed: int = 0) -> None:
    """Every hyperparameter does something: its example, alone, changes the curve, or the reaction to a metric that stalls."""
    stalled = [1.0, 0.9, *([0.89] * 10)]

    def shape(settings: Settings) -> tuple[list[float], float]:
        reaction = entry.react(stalled, settings) if entry.react else 1.0
        return curve(entry, 100, settings, float(settings.get("warmup") or 0.0)), reaction

    for name in entry.space:
        changed = {**entry.defaults(), name: entry.example[name]}
        assert shape(changed) != shape(entry.defaults()), f"{entry.name}: {name} = {entry.example[name]} changes nothing"


def check_peak(entry: Schedule, seed: int = 0) -> None:
    """`peaks_at` is where the curve is highest; a flat one is at the peak throughout."""
    factors = curve(entry, 1000, entry.defaults())
    assert not entry.flat or (set(factors) == {1.0} and not entry.reads_metric), f"{entry.name}: says it is flat, but lr changes"
    at = factors[min(round(entry.peaks_at * 1000), 999)]
    assert at >= NEARLY * max(factors), f"{entry.name}: says it peaks at {entry.peaks_at} of the length, where the factor is {at:.3f}"


def check_reaction(entry: Schedule, seed: int = 0) -> None:
    """One that reads the metric leaves progress alone, and never raises lr again."""
    assert entry.reads_metric == (entry.react is not None), f"{entry.name}: reads_metric and react go together"
    if entry.react is None:
        return
    for settings in (entry.defaults(), entry.example):
        better = [2.0**-step for step in range(20)]
        for history in (better, [-1.0 / value for value in better]):
            assert entry.react([], settings) == entry.react(history, settings) == 1.0, f"{entry.name}: reacts to steady progress"
        stalled = [entry.react([1.0] * looks, settings) for looks in range(30)]
        assert all(0.0 < after <= before <= 1.0 for before, after in pairwise(stalled)), f"{entry.name}: {stalled}"
        assert stalled[-1] < 1.0, f"{entry.name}: 30 looks without progress change nothing"


CHECKS = (check_bounds, check_edges, check_code, check_hyperparameters, check_peak, check_reaction)
