"""Ctrl-C: once, the race stops cleanly and says how to go on; twice, at once. Progress is a line an event, and quiet means quiet."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fallline._budget import Clock
from fallline._cli import main
from fallline._errors import InterruptedRun
from fallline._journal import Journal
from fallline.verbs._interrupt import stopped_by_ctrl_c
from fallline.verbs._progress import RUN, Progress, Standing


def write_table(path: Path) -> None:
    draw = random.Random(0)
    rows = ((draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(300))
    path.write_text("a,b,y\n" + "".join(f"{a:.4f},{b:.4f},{a * 2 + b + draw.gauss(0, 0.1):.4f}\n" for a, b in rows), encoding="utf-8")


def test_ctrl_c_stops_the_race_and_resume_finishes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path / "table.csv")
    # so long that the signal arrives in the middle, however busy the machine is
    flags = ["--target", "y", "--metric", "mae", "--epochs", "400", "--price", "1"]
    command = [sys.executable, "-m", "fallline", "choose", "table.csv", *flags]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8") as race:
        # a race that never begins would leave readline waiting; then the timer ends it
        limit = threading.Timer(120, race.kill)
        limit.start()
        assert race.stderr is not None
        seen = []
        for line in race.stderr:
            seen.append(line)
            if line.startswith("rung one"):
                race.send_signal(signal.SIGINT)
                break
        rest = "".join([*seen, race.stderr.read()])
        assert race.stdout is not None
        printed = race.stdout.read()
        code = race.wait()
        limit.cancel()
    assert code == 130, rest
    assert printed == ""
    assert "Traceback" not in rest
    found = re.search(r"go on with: fallline (resume (\S+))", rest)
    assert found, rest
    assert not (tmp_path / found[2] / "verdict.json").exists()
    monkeypatch.chdir(tmp_path)
    assert main([*found[1].split(), "-q"]) == 0
    assert (tmp_path / found[2] / "verdict.json").exists()
    assert (tmp_path / found[2] / "model.safetensors").exists()


def press() -> None:
    """Ctrl-C; Python runs the handler before the next statement."""
    os.kill(os.getpid(), signal.SIGINT)


def pressed_twice(clock: Clock, run: str | None) -> None:
    with stopped_by_ctrl_c(clock, lambda: run, quiet=True):
        press()
        assert clock.stop_asked
        press()
        pytest.fail("it went on")


def test_the_first_ctrl_c_asks_and_the_second_stops_at_once() -> None:
    clock, before = Clock(), signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRun, match="fallline resume runs/x"):
        pressed_twice(clock, "runs/x")
    assert clock.stop_asked
    assert signal.getsignal(signal.SIGINT) is before


def test_before_the_race_the_first_ctrl_c_stops_at_once() -> None:
    clock, before = Clock(), signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRun, match="nothing was written"):
        pressed_twice(clock, None)
    assert not clock.stop_asked
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_put_back_after_a_race_without_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopped_by_ctrl_c(Clock(), lambda: None, quiet=True):
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_off_a_terminal_progress_is_a_line_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Clock()) as progress:
        for line in ("a note", f"{RUN}runs/x", "rung one: a, b", "  a: mae 0.5 after 3 steps"):
            progress.say(line)
    assert progress.folder == "runs/x"
    assert capsys.readouterr().err == f"a note\n{RUN}runs/x\nrung one: a, b\n  a: mae 0.5 after 3 steps\n"


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Clock(), quiet=True) as progress:
        progress.say("a note")
    assert capsys.readouterr() == ("", "")


def write_race(folder: Path) -> None:
    """A race in the middle, as its folder tells it."""
    (folder / "plan.json").write_text(
        '{"length": 100, "estimate": {"work": 2.0}, "candidates": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}'
    )
    (folder / "problem.json").write_text('{"facts": {"metric": "auroc", "direction": "max"}}')
    journal = Journal(folder / "journal.jsonl")
    for trial, value, fault in (("a", 0.7, ""), ("b", 0.8, ""), ("c", None, "diverged"), ("baseline", 0.75, ""), ("baseline@1", 0.9, "")):
        measurement = {"trial": trial, "step": 10, "value": value, "fault": fault, "steps": 10, "train_s": 1.0, "eval_s": 0.0}
        journal.write("rung", trial=trial, goal=10, measurement=measurement, final=None)
    for trial, decision in (("a", "pause"), ("b", "continue"), ("c", "stop")):
        journal.write("decision", trial=trial, decision=decision)


def test_the_standing_of_a_race_is_read_from_its_folder(tmp_path: Path) -> None:
    write_race(tmp_path)
    standing = Standing(tmp_path)
    assert standing.counts() == "1 of 3 candidates in it, 1 dropped, 1 failed"
    assert standing.best() == "b, auroc 0.8 at step 10", "the best of the first seeds, higher being better"
    assert standing.left() in (", about 15 s to go", ", about 14 s to go"), "150 of 200 steps, at a tenth of a second each"


class Terminal(io.StringIO):
    """A terminal that keeps what it is shown."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_race(tmp_path)
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(Clock(60.0), folder=str(tmp_path)) as progress:
        progress.say("rung one: a, b, c")
    for text in ("rung one", "1 of 3 candidates in it", "b, auroc 0.8 at step 10", "of 60 s"):
        assert text in shown.getvalue()
