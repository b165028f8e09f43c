"""Setting: a problem made ready for a race: data split, profile measured, metric resolved."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from fallline._bench import Workbench
from fallline._counted import counted
from fallline._data import Data, default_epochs, open_data
from fallline._errors import UsageError
from fallline._judge import Judge, judge_of
from fallline._machine import cores
from fallline._measure import measure
from fallline._model import Given
from fallline._plan import FEW_EXAMPLES, Plan, threads_for
from fallline._problem import Problem, refuse_strangers
from fallline._profile import Profile
from fallline._rehearse import rehearse
from fallline._weights import told


@dataclass(frozen=True)
class Setting:
    """A problem made ready: data split, profile measured, judge found; the plan is still open."""

    problem: Problem
    data: Data
    profile: Profile
    judge: Judge
    device: torch.device
    notes: tuple[str, ...]

    def bench(self, plan: Plan) -> Workbench:
        """The workbench of a plan."""
        return self.bench_of(plan.look_rows, plan.seed)

    def bench_of(self, look_rows: int, seed: int) -> Workbench:
        """A workbench whose looks read `look_rows` examples of valid, drawn by the seed; 0: all."""
        rows = None
        if 0 < look_rows < self.data.valid.size:
            generator = torch.Generator().manual_seed(seed)
            rows = torch.randperm(self.data.valid.size, generator=generator)[:look_rows].sort().values
        return Workbench(problem=self.problem, data=self.data, judge=self.judge, device=self.device, look_rows=rows)

    @property
    def few(self) -> bool:
        """Whether one split of these examples cannot decide."""
        return self.data.train.size + self.data.valid.size + self.data.audit.size < FEW_EXAMPLES

    @property
    def can_split_again(self) -> bool:
        """Whether another seed gives other rows for valid and audit."""
        given = self.problem.valid is not None or self.problem.audit is not None
        return self.problem.origin.reopen is not None or not given

    @property
    def steps_per_epoch(self) -> int:
        per_epoch = self.data.batches(0, torch.device("cpu")).per_epoch
        return max(per_epoch // self.problem.accumulate, 1)


def prepare(problem: Problem, *, seed: int = 0, device: str | None = None) -> Setting:
    """Split the data, measure the profile, resolve the metric.

    Raises:
        UsageError, RefusedError: what cannot be trained on, with what to do.
    """
    try:
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise UsageError(f"device must be cpu, cuda or cuda:0, got {device!r}") from error
    if where.type == "meta":
        raise UsageError("device must be cpu, cuda or cuda:0, got 'meta', on which nothing is computed; leave device out to use the CPU")
    if where.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, but torch sees no CUDA device; leave device out to use the CPU")
    if problem.precision == "16" and where.type != "cuda":
        raise UsageError('precision "16" needs a CUDA device; use "bf16" or "32" on a CPU')
    refuse_strangers(problem)
    data = open_data(problem, seed)
    with threads(1):
        profile = measure(problem, data, where, seed=seed)
    data = replace(data, output_numbers=math.prod(profile.output_shape), layer_bytes=profile.layer_bytes)
    wanted = threads_for(profile, cores())
    if wanted > 1:
        with threads(wanted):
            profile = replace(profile, step_s=measure(problem, data, where, seed=seed).step_s)
    epochs = problem.epochs or default_epochs(data.train.size, data.batch_size, profile.model_kind)
    profile = replace(profile, passes=float(epochs))
    judge = judge_of(problem, profile)
    rehearse(Workbench(problem=problem, data=data, judge=judge, device=where), profile)
    length = f"{counted(epochs, 'pass')} over train in batches of {data.batch_size}"
    length += "" if problem.epochs else ", a length set from the number of rows and the kind of model; say epochs to change it"
    weights = Given.of(problem.model).weights
    filled = [] if weights is None else [told(problem.new_model(seed), weights)]
    notes = [
        *problem.origin.notes,
        *filled,
        *data.notes,
        f"task {profile.task}, metric {judge.metric.name} ({_better(judge)} is better)",
        length,
    ]
    return Setting(problem, data, profile, judge, where, tuple(notes))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with `count` intra-op threads: a small model's step is faster on one, and sums then come out the same everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _better(judge: Judge) -> str:
    return "lower" if judge.metric.direction == "min" else "higher"
