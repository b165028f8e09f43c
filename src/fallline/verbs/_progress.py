"""Progress on stderr: one live block on a terminal, one line an event elsewhere. It hears the race's lines and reads its journal."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fallline._budget import Clock, spoken
from fallline._journal import read
from fallline.reports._layout import console, drawn
from fallline.reports._words import number

if TYPE_CHECKING:
    from rich.console import RenderableType

RUN = "run folder: "  # how `choose` says where it writes


class Progress:
    """Shows what a race says. `say` takes its lines; `folder` is the run's folder once it was said."""

    def __init__(self, clock: Clock, *, quiet: bool = False, folder: str | None = None) -> None:
        self.clock = clock
        self.quiet = quiet
        self.folder = folder
        self._stage = "reading and measuring"
        self._standing: tuple[int, Standing] | None = None  # with the journal's size at which it was read
        self._live: Any = None
        self._console = console(sys.stderr) if drawn(sys.stderr) and not quiet else None

    def __enter__(self) -> Progress:
        if self._console is not None:
            from rich.live import Live

            # it asks for the block four times a second by itself, so that the time moves while a stage runs
            self._live = Live(console=self._console, get_renderable=self._block, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line of the race; lines that begin with spaces tell what a stage gave."""
        if line.startswith(RUN):
            self.folder = line.removeprefix(RUN)
        elif self.folder is not None and not line.startswith(" "):
            self._stage = line
        if self.quiet:
            return
        if self._console is not None:
            self._console.print(line, soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _block(self) -> RenderableType:
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        spent = self.clock.spent_s
        limit = "" if self.clock.budget_s is None else f" of {spoken(self.clock.budget_s)}"
        rows = [("now", self._stage)]
        left = ""
        if self.folder is not None:
            standing = self._now(Path(self.folder))
            rows += [("race", standing.counts()), ("best", standing.best())]
            left = standing.left()
        rows.append(("time", f"{spoken(spent)}{limit}{left}"))
        for name, value in rows:
            grid.add_row(name, value)
        return grid

    def _now(self, folder: Path) -> Standing:
        """The standing, read anew when the journal has grown."""
        size = (folder / "journal.jsonl").stat().st_size
        if self._standing is None or self._standing[0] != size:
            self._standing = (size, Standing(folder))
        return self._standing[1]


class Standing:
    """How a race stands, by the journal and the plan in its folder."""

    def __init__(self, folder: Path) -> None:
        from fallline.reports._folder import plan_and_facts

        self.plan, facts = plan_and_facts(folder)
        self.sign = -1.0 if facts.get("direction") == "max" else 1.0
        self.metric = str(facts.get("metric", ""))
        self.rungs: dict[str, dict[str, Any]] = {}
        self.decisions: dict[str, str] = {}
        self.steps, self.seconds, self.heard_at = 0, 0.0, time.time()
        for event in read(folder / "journal.jsonl"):
            if event["event"] == "rung":
                measured = event["measurement"]
                self.rungs[event["trial"]] = {**measured, "final": event.get("final")}
                self.heard_at = event["at"]
                self.steps += measured["steps"]
                self.seconds += measured["train_s"] + measured["eval_s"]
            elif event["event"] == "decision":
                self.decisions[event["trial"]] = event["decision"]

    def counts(self) -> str:
        """How many are in the race, and how many are out."""
        known = {row["name"] for row in self.plan.get("candidates", ())} | {name for name in self.rungs if "@" not in name} - {"baseline"}
        failed = {name for name in known if self.rungs.get(name, {}).get("fault")}
        dropped = {name for name in known - failed if self.decisions.get(name, "continue") != "continue"}
        out = [f"{len(names)} {word}" for names, word in ((dropped, "dropped"), (failed, "failed")) if names]
        return ", ".join([f"{len(known - failed - dropped)} of {len(known)} candidates in it", *out])

    def best(self) -> str:
        """The best value of those that came furthest."""
        alive = [
            (row["step"], row["final"] if row["final"] is not None else row["value"], name)
            for name, row in self.rungs.items()
            if "@" not in name
        ]
        valued = [(step, float(value), name) for step, value, name in alive if isinstance(value, int | float)]
        if not valued:
            return "-"
        furthest = max(step for step, _, _ in valued)
        step, value, name = min((row for row in valued if row[0] == furthest), key=lambda row: self.sign * row[1])
        return f"{name}, {self.metric} {number(value)} at step {step:,}"

    def left(self) -> str:
        """The time still needed, by the steps that were measured; the plan's own estimate before there are any."""
        work = float(self.plan.get("estimate", {}).get("work", 0.0)) * float(self.plan.get("length", 0))
        if not self.steps or not work:
            return ""
        needed = max(work - self.steps, 0) * self.seconds / self.steps - (time.time() - self.heard_at)
        return f", about {spoken(needed)} to go" if needed > 0 else ""
