"""Fix: the remedies of a diagnosis tried against the set-up as it is, beside a blind sweep of learning rates; the proven ones are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from fallline._arm import SEEDS, Arm, Arms
from fallline._budget import Clock, seconds
from fallline._check import RUN_FOR, Findings, check, untouched
from fallline._errors import UsageError
from fallline._problem import Problem
from fallline._repair import BLIND, NOT_PROVEN, NOTHING_TO_TRY, REPAIRED, Repair, Tried, to_write
from fallline._verdict import BETTER, NO_DIFFERENCE
from fallline.changes import Change, optimizers
from fallline.rules import Finding

PRICE = 40.0  # plain trainings at most: the set-up twice, nineteen for remedies (a length tripled twice over is the dearest), as much blind
LEAST = 6.0  # the set-up twice, a remedy twice and two learning rates
ROUNDS = 4  # a cause, what it hid, and what that hid
SWEEP = (0.1, 10.0, 0.3, 3.0, 0.01, 100.0, 0.03, 30.0)  # factors of lr in the order in which a blind search would try them
FEWEST = 4  # learning rates, also where the remedies took fewer trainings: fewer are no sweep


def fix(
    problem: Problem,
    *,
    price: float = PRICE,
    budget: str | float | None = None,
    run_for: float = RUN_FOR,
    seed: int = 0,
    device: str | None = None,
    say: Callable[[str], None] | None = None,
    clock: Clock | None = None,
) -> Repair:
    """Look for faults, try each remedy that can be made from outside, and keep what is proven; the user's objects stay as they are.

    Valid decides; audit reports, where there is one. A remedy is proven when the 95 % interval of its difference from the set-up without
    it, over examples and seeds, excludes zero on the good side.

    Args:
        price: plain trainings that this may cost in all; half of what the set-up itself leaves goes to the blind sweep.
        budget: wall time such as "10m" after which nothing more is tried.
        run_for: seconds that each look for faults may train.
        seed: of splits, initial weights, batch order and draws; each is trained from this seed, what counts from the next too. Where two
            promise what they do not prove, the best is trained from two more, and the mean of the three later ones counts.
        say: receives one line an event; None: quiet.

    Raises:
        UsageError, RefusedError: one message with what to do.
    """
    if not price >= LEAST:
        raise UsageError(
            f"price must be at least {LEAST:g} plain trainings (the set-up and a remedy, twice each, and a sweep), got {price!r}"
        )
    clock = clock or Clock(None if budget is None else seconds(budget))
    with untouched(problem):
        return _Search(problem, price, run_for, seed, device, say or _quiet, clock).run()


@dataclass(frozen=True)
class _Entry:
    """What was tried for a finding, with the place of its line."""

    code: str
    arm: Arm
    place: int


@dataclass
class _Search:
    """One search for a repair: rounds of trying, each on what the round before has kept."""

    problem: Problem
    price: float
    run_for: float
    seed: int
    device: str | None
    say: Callable[[str], None]
    clock: Clock
    own: float = 0.0  # plain trainings that the set-up as it is has taken
    tried: list[Tried] = field(default_factory=list)
    sweep: list[Tried] = field(default_factory=list)

    def run(self) -> Repair:
        began = time.perf_counter()
        findings = self._looked(self.problem)
        every = list(_flat(findings))
        offers = [change for finding in every for change in finding.changes]
        own_audit = self.problem.audit is not None
        on_audit = own_audit and any(change.beyond_valid for change in offers)
        self.arms = Arms(self.seed, self.device, on_audit, own_audit or self.problem.valid is None, self.clock.pulse)
        self.base = best = Arm(self.problem)
        if any(on_audit or not change.beyond_valid for change in offers):  # else nothing is to be compared, and nothing is trained
            self.base = self.arms.train(self.problem)
            self.arms.again(self.base, SEEDS[1])
            self.own = self._spent()
            self.say(f"as it is: {_value(self.base)}")
            best = self._rounds(findings)
        remedies = self._spent() - self.own
        blind = self._swept(remedies)
        status, best, against = self._chosen(best, blind)
        written = to_write(every, self.tried, mended=best is not self.base)
        comparison = self.arms.compared(best, self.base, reports=True) if best is not self.base else None
        judge = next((arm.setting.judge for arm in (best, self.base) if arm.setting is not None), None)
        alone = self.arms.compared(best, best, reports=True, seeds=False)
        after = comparison.mine if comparison is not None else None if alone is None else alone.mine
        swept = self._spent() - self.own - remedies
        cost = {"trainings": self._spent(), "remedies": remedies, "sweep": swept}
        cost = {**{name: round(value, 2) for name, value in cost.items()}, "seconds": round(time.perf_counter() - began, 1)}
        before = comparison.theirs if comparison is not None else after if best is self.base else None
        return Repair(
            status=status, problem=best.problem, recipe=best.recipe, findings=findings, kept=best.changes, tried=tuple(self.tried),
            sweep=tuple(self.sweep), written=written, metric="" if judge is None else judge.metric.name,
            direction="" if judge is None else judge.metric.direction, before=before, after=after, comparison=comparison,
            against_sweep=against, fault=self.base.fault, reported_on=self._reported_on(), cost=cost,
            by_seed={"before": tuple(self.base.values.values()), "after": tuple(best.values.values())},
        )  # fmt: skip

    # rounds

    def _rounds(self, findings: Findings) -> Arm:
        best = self.base
        for turn in range(1, ROUNDS + 1):
            found = self._round(turn, best, findings)
            if found is None:
                break
            best = found
            self.say(f"kept: {'; '.join(change.words for change in best.changes)}")
            if self._left() < 1:
                break
            findings = self._looked(best.problem)
        return best

    def _round(self, turn: int, best: Arm, findings: Findings) -> Arm | None:
        """The best proven arm of one round; None where none is proven.

        One seed and the interval over examples say what is worth a second seed; proven is what both seeds show, or four of the best one.
        """
        every: list[_Entry] = []
        found: list[_Entry] = []  # worth a second seed
        seen = set[str]()  # what two findings offer is tried once
        for grave in (True, False):  # what is only worth knowing is tried where nothing else has helped
            for root in findings:
                for finding in (root, *root.consequences):
                    if (finding.severity != "info") is not grave or not finding.changes:
                        continue
                    got = self._tried(turn, best, finding, seen)
                    every += got
                    if helped := [entry for entry in got if self._better(entry.arm, best, seeds=False)]:
                        found += helped
                        break  # what the cause explains is looked at again once it is mended
            if found:
                break
        found += self._combined(turn, best, found or every)  # faults that hide each other show only when all are mended
        for place, entry in enumerate(sorted(found, key=lambda entry: self._rank(entry.arm))):
            self.arms.again(entry.arm, SEEDS[1])
            if not place and not self._better(entry.arm, best) and self._left() >= self._more(entry.arm, best):
                self.arms.on_more_seeds(entry.arm, best)
            proven = self._better(entry.arm, best)
            self.tried[entry.place] = replace(self._line(self.tried[entry.place], entry.arm, best), kept=proven)
            if proven:
                return entry.arm
        return None

    def _tried(self, turn: int, best: Arm, finding: Finding, seen: set[str]) -> list[_Entry]:
        """A finding's changes, each trained on what is kept so far."""
        done = {change.words for change in best.changes if not change.repeats}
        entries = []
        for change in finding.changes:
            if change.words in seen | done or self._left() < self._cost(change):
                continue
            if change.beyond_valid and not self.arms.on_audit:
                continue  # nobody can judge it; it is told as a line to write
            seen.add(change.words)
            arm = self.arms.train(self.problem, (*best.changes, change))
            self.tried.append(self._row((finding.code,), change.words, change.source, turn, arm, best))
            entries.append(_Entry(finding.code, arm, len(self.tried) - 1))
        return entries

    def _combined(self, turn: int, best: Arm, entries: list[_Entry]) -> list[_Entry]:
        """The best remedy of each finding, all at once, the root first; empty where that is not worth a second seed."""
        leaders: dict[str, Arm] = {}
        for entry in entries:
            if entry.code not in leaders or entry.arm.better_than(leaders[entry.code]):
                leaders[entry.code] = entry.arm
        if len(leaders) < 2 or self._left() < 1:
            return []
        changes = tuple(arm.changes[-1] for arm in leaders.values())
        arm = self.arms.train(self.problem, (*best.changes, *changes))
        words, source = " + ".join(change.words for change in changes), "; ".join(change.source for change in changes)
        self.tried.append(self._row(tuple(leaders), words, source, turn, arm, best))
        return [_Entry("+".join(leaders), arm, len(self.tried) - 1)] if self._better(arm, best, seeds=False) else []

    def _row(self, codes: tuple[str, ...], words: str, source: str, turn: int, arm: Arm, best: Arm) -> Tried:
        row = Tried(
            codes=codes, changes=arm.changes, words=words, source=source, round=turn, before=None, after=None, interval=None,
            status=NO_DIFFERENCE,
        )  # fmt: skip
        row = self._line(row, arm, best)
        self.say(f"{words}: {_value(arm)}, {row.status}")
        return row

    def _line(self, row: Tried, arm: Arm, best: Arm) -> Tried:
        """The line with the figures that are known by now."""
        comparison = self.arms.compared(arm, best)
        return replace(
            row, before=best.value if comparison is None else comparison.theirs,
            after=arm.value if comparison is None else comparison.mine, reason=arm.fault,
            interval=None if comparison is None else comparison.interval, status=self.arms.status(arm, best, comparison),
        )  # fmt: skip

    def _better(self, arm: Arm, other: Arm, *, seeds: bool = True) -> bool:
        return self.arms.status(arm, other, self.arms.compared(arm, other, seeds=seeds)) == BETTER

    def _rank(self, arm: Arm) -> float:
        assert arm.setting is not None and arm.value is not None
        return arm.setting.judge.sign * arm.value

    # the blind sweep

    def _swept(self, work: float) -> Arm | None:
        """The best of as many learning rates as the remedies have cost trainings, on the user's set-up."""
        best: Arm | None = None
        for count, factor in enumerate(SWEEP):
            if count >= max(FEWEST, work) or self._spent() >= self.price or self.clock.left_s <= 0 or not self.tried:
                break
            change = optimizers.scaled_lr(factor)
            arm = self.arms.train(self.problem, (change,))
            self.sweep.append(self._row((), change.words, change.source, 1, arm, self.base))
            if arm.value is not None and (best is None or arm.better_than(best)):
                best = arm
        return best

    def _chosen(self, best: Arm, blind: Arm | None) -> tuple[str, Arm, str]:
        """What is kept, and how it stands beside the best of the sweep."""
        mended = best is not self.base
        status = REPAIRED if mended else NOT_PROVEN if self.tried else NOTHING_TO_TRY
        if blind is None:
            return status, best, BETTER if mended and self.sweep else ""  # none of the sweep trains
        if self._better(blind, best, seeds=False):
            self.arms.again(blind, SEEDS[1])
            if not self._better(blind, best) and self.price - self._spent() >= self._more(blind, best):
                self.arms.on_more_seeds(blind, best)
        if not self._better(blind, best):
            return status, best, self.arms.status(best, blind, self.arms.compared(best, blind)) if mended else ""
        self.tried = [replace(row, kept=False) for row in self.tried]
        self.sweep = [replace(self._line(row, blind, self.base), kept=True) if row.changes == blind.changes else row for row in self.sweep]
        return BLIND, blind, ""

    # what else is said

    def _looked(self, problem: Problem) -> Findings:
        self.say("looking for faults")
        return check(problem, run_for=self.run_for)

    def _reported_on(self) -> str:
        if self.arms.on_audit:
            return "half of audit; the other half decided, since valid cannot judge all remedies"
        return "audit" if self.arms.reports_audit else "valid, which decided too: no audit split was given"

    def _plain(self) -> float:
        """Updates of one plain training; of the first that could be planned, where the set-up as it is cannot."""
        return max(self.base.length or self.arms.first_length, 1)

    def _spent(self) -> float:
        """Plain trainings so far."""
        return self.arms.updates / self._plain()

    def _cost(self, change: Change) -> float:
        """Plain trainings that a change takes: more where it trains for longer."""
        longer, epochs = change.arguments.get("epochs"), self.problem.epochs
        return float(longer) / epochs if longer and epochs else 1.0

    def _more(self, *arms: Arm) -> float:
        """Plain trainings that two more seeds of these take."""
        return self.arms.updates_of_more(*arms) / self._plain()

    def _left(self) -> float:
        """Plain trainings that remedies may still cost, the second seeds and as many learning rates kept back."""
        if self.clock.left_s <= 0:
            return 0.0
        return (self.price - len(SEEDS)) / 2 - (self._spent() - self.own)


def _flat(findings: Findings) -> Iterator[Finding]:
    for root in findings:
        yield root
        yield from root.consequences


def _value(arm: Arm) -> str:
    return arm.fault if arm.value is None else f"{arm.value:.4g}"


def _quiet(_: str) -> None:
    pass
