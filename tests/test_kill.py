"""A process killed outright at any moment loses nothing that was finished: `resume` gives the verdict of the unbroken run."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROWS = 1500


def fallline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fallline", *arguments]


def table(path: Path) -> Path:
    """A regression table with a category and missing values."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, 4))
    kind = generator.integers(0, 3, ROWS)
    y = 50 * x[:, 0] + 20 * x[:, 1] ** 2 + 30 * kind + generator.normal(size=ROWS)
    lines = ["a,b,c,d,kind,y"]
    for row, k, target in zip(x, kind, y, strict=True):
        lines.append(",".join([*(f"{v:.4f}" for v in row[:3]), "" if row[3] > 1.5 else f"{row[3]:.4f}", "xyz"[k], f"{target:.3f}"]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def essence(folder: Path) -> dict[str, Any]:
    """What must not depend on whether the run was broken: the verdict and every candidate's figures."""
    document = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    return {key: document[key] for key in ("problem", "recipe", "verdict", "candidates")}


def command(path: Path, folder: Path) -> list[str]:
    return fallline("choose", str(path), "--target", "y", "--epochs", "30", "--engine", "processes", "--out", str(folder))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, int]:
    """A table, the folder of an unbroken run over it, and the number of events in its journal."""
    folder = tmp_path_factory.mktemp("unbroken")
    path = table(folder / "table.csv")
    subprocess.run(command(path, folder / "run"), check=True, capture_output=True)
    return path, folder / "run", events(folder / "run")


def events(folder: Path) -> int:
    journal = folder / "journal.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


HANDFUL = 4  # moments that every run of the tests tries; `make slow` tries the rest
MOMENTS = [pytest.param(moment, marks=[pytest.mark.slow] if moment >= HANDFUL else []) for moment in range(50)]


def workers(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text(encoding="ascii").rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_is_killed_at_a_random_moment_changes_no_verdict(moment: int, unbroken: tuple[Path, Path, int], tmp_path: Path) -> None:
    """Even moments: the whole program, which is resumed. Odd ones: one of its workers, which is replaced."""
    path, whole, total = unbroken
    folder, generator = tmp_path / "run", random.Random(moment)
    awaited = generator.randrange(1, total - 1)
    running = subprocess.Popen(command(path, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while events(folder) < awaited:
        assert running.poll() is None, "the race ended before the event that was awaited"
        time.sleep(0.002)
    time.sleep(generator.uniform(0.0, 0.2))  # somewhere between two events
    if moment % 2:
        while running.poll() is None and not (started := workers(running.pid)):
            time.sleep(0.002)
        if running.poll() is not None:
            pytest.skip("the race was over before a worker could be killed")
        with contextlib.suppress(ProcessLookupError):  # it may end between the look and the shot
            os.kill(generator.choice(started), signal.SIGKILL)
        assert running.wait() == 0
    else:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        subprocess.run(fallline("resume", str(folder)), check=True, capture_output=True)
    assert essence(folder) == essence(whole)
    assert (folder / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
