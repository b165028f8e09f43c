"""A run's folder, `runs/<id>/`: journal, plan, problem, recipe, weights, checkpoints. Nothing is written outside it."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fallline._errors import UsageError, nearest
from fallline._journal import Journal, read, write_text, write_whole

RUNS = Path("runs")


class Run:
    """The folder of one run and its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / ".lock")  # the system frees it when the process ends, however it ends
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UsageError(f"the run {folder} is still being raced by another process; wait for it, or stop it first") from error
        self.journal = Journal(folder / "journal.jsonl")

    def release(self) -> None:
        """Let other processes have the run."""
        self._lock.release()

    def discard(self, *, keep_folder: bool) -> None:
        """Take back what was written: a refusal leaves nothing behind. An empty folder that was there before is kept."""
        self.release()
        shutil.rmtree(self.folder, ignore_errors=True)
        if keep_folder:
            self.folder.mkdir(exist_ok=True)

    @property
    def id(self) -> str:
        return self.folder.name

    @classmethod
    def create(cls, slug: str, out: str | Path | None = None) -> Run:
        """A new folder: `out` itself where given (it must be empty or absent), else runs/<date>-<slug>[-n]."""
        if out is None:
            stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_-]+', '-', slug).strip('-')[:40] or 'problem'}"
            folder, number = RUNS / stem, 2
            while folder.exists():
                folder, number = RUNS / f"{stem}-{number}", number + 1
        else:
            folder = Path(out)
            if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
                raise UsageError(
                    f"--out {folder} exists and is not empty; name a new folder, or continue that run with: fallline resume {folder}"
                )
        try:
            (folder / "checkpoints").mkdir(parents=True)
            return cls(folder)
        except OSError as error:
            raise UsageError(f"cannot write the run's folder {folder}: {error.strerror or error}; name another with --out") from error

    @classmethod
    def open(cls, name: str | Path) -> Run:
        """An existing run by folder or by id."""
        return cls(find(name))

    def events(self) -> list[dict[str, Any]]:
        return list(read(self.folder / "journal.jsonl"))

    def write_json(self, name: str, data: Any) -> None:
        write_text(self.folder / name, json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"the run {self.folder} has no readable {name} ({error}); it did not get that far") from error

    def checkpoint(self, trial: str, step: int) -> Path:
        return self.folder / "checkpoints" / f"{re.sub(r'[^A-Za-z0-9_.+@-]+', '_', trial)}.{step}.pt"

    def save_state(self, trial: str, step: int, state: dict[str, Any]) -> None:
        """Write a trial's state; the journal line that mentions it comes after this returns."""
        import torch  # here, so that listing runs does not wait for it

        write_whole(self.checkpoint(trial, step), lambda file: torch.save(state, file))

    def load_state(self, trial: str, step: int) -> dict[str, Any]:
        """A trial's state on the CPU; `load_state_dict` moves what belongs on the device, and generators and counters stay."""
        import torch

        state: dict[str, Any] = torch.load(self.checkpoint(trial, step), map_location="cpu", weights_only=True)
        return state

    def drop_states(self, trial: str, *, keep: tuple[int, ...] = ()) -> None:
        """Delete a trial's states, apart from those at the steps to keep."""
        kept = {self.checkpoint(trial, step) for step in keep}
        stem = self.checkpoint(trial, 0).name[: -len("0.pt")]
        for path in (self.folder / "checkpoints").iterdir():
            if path.name.startswith(stem) and path.name[len(stem) :].removesuffix(".pt").isdigit() and path not in kept:
                path.unlink(missing_ok=True)


def find(name: str | Path) -> Path:
    """The folder of a run given by path or id; an unknown one is refused with the nearest."""
    for folder in (Path(name), RUNS / str(name)):
        if (folder / "journal.jsonl").exists():
            return folder
    known = [folder.name for folder in all_runs()]
    close = nearest(str(name), known)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known runs: {', '.join(known)}" if known else "there is no run in ./runs"
    raise UsageError(f"no run {str(name)!r}; {hint}")


def all_runs() -> list[Path]:
    """The folders of all runs below ./runs, oldest first."""
    if not RUNS.is_dir():
        return []
    return sorted(folder for folder in RUNS.iterdir() if (folder / "journal.jsonl").exists())
