"""Drive: a copy of the set-up trained for some updates, in the user's own loop where there is one, else in a straight one."""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fallline._batches import STEP, Batches, reseeder, seeded, stream
from fallline._loop import EpochLoader
from fallline.signals import Unavailable
from fallline.signals._setup import CPU, Made, Setup

BROKEN = 3  # updates in a row without a finite loss after which a run is over


class Enough(BaseException):
    """Ends a run inside the user's own loop; no Exception, so that theirs does not catch it."""


@dataclass
class Driven:
    """What a run gave."""

    losses: list[float] = field(default_factory=list)  # of each update, as the loss gave it
    scales: list[float] = field(
        default_factory=list
    )  # gradient that arrived at the loss, of each backward pass: 1 / K where K passes are averaged
    epochs: int = 0
    updates: int = 0
    calls: list[int] = field(default_factory=list)  # of scheduler.step in each whole epoch of the user's loop
    called: int = 0  # times that scheduler.step was called in the user's loop
    drawn: int = 0  # batches that the user's loop took
    early: bool = False  # the scheduler stepped before the first update
    raised: str = ""
    whole: bool = False  # all updates that were asked for were made
    seconds: float = 0.0

    @property
    def finite(self) -> bool:
        return all(math.isfinite(loss) for loss in self.losses)


class _Counted(EpochLoader):
    """The loader that the user's loop gets, with a count of what it takes."""

    def __init__(self, batches: Batches, done: Driven) -> None:
        super().__init__(batches, done.epochs, batches.order.seed)
        self._done = done

    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            self._done.drawn += 1
            yield batch


@dataclass
class Drive:
    """One run of one copy. `each(update)` is called after every update."""

    setup: Setup
    made: Made
    updates: int
    seconds: float
    each: Callable[[int], None] | None = None
    done: Driven = field(default_factory=Driven)

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._broken = self._calls = 0
        self._heard: list[float] = []
        self._silent_calls = 0

    def run(self) -> Driven:
        assert self.made.optimizer is not None
        handle = self.made.optimizer.register_step_post_hook(self._after)
        self.made.model.train()
        try:
            with warnings.catch_warnings(), seeded(0):
                warnings.simplefilter("ignore")  # what torch warns of is what the rules look for
                (self._straight if self.setup.problem.loop is None else self._theirs)()
        except Enough:
            pass
        except Unavailable as error:
            self.done.raised = str(error)
        except Exception as error:  # whatever the user's code raises
            self.done.raised = str(self.setup.told(f"training, at update {self.done.updates},", error))
        finally:
            handle.remove()
        self.done.whole = self.done.updates >= self.updates
        self.done.seconds = time.perf_counter() - self._began
        self.setup.spent.seconds += self.done.seconds
        return self.done

    def heard(self, output: Any, target: Tensor) -> Any:
        """The user's loss, listened to."""
        loss = self.made.loss(output, target)
        if isinstance(loss, Tensor):
            value = float(loss.detach().float().mean())
            self._heard.append(value)
            self._silent_calls += 1
            if loss.requires_grad:
                loss.register_hook(lambda gradient: self.done.scales.append(float(gradient.float().mean())))
            self._broken = 0 if math.isfinite(value) else self._broken + 1
        if self._broken >= BROKEN or time.perf_counter() - self._began > self.seconds:
            self._note()
            raise Enough
        return loss

    def _note(self) -> None:
        if self._heard:
            self.done.losses.append(sum(self._heard) / len(self._heard))
            self._heard.clear()

    def _after(self, *_: Any) -> None:
        self._note()
        self._silent_calls = 0
        self.done.updates += 1
        if self.each is not None:
            self.each(self.done.updates)

    def _straight(self) -> None:
        setup, made = self.setup, self.made
        problem, batches, reseed = setup.problem, setup.batches(), reseeder(CPU, everywhere=True)
        optimizer = made.optimizer
        assert optimizer is not None
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        needs_closure = inspect.signature(type(optimizer).step).parameters["closure"].default is inspect.Parameter.empty
        per_epoch = setup.per_epoch
        for update in range(self.updates):

            def backward(update: int = update) -> Tensor:
                optimizer.zero_grad()
                for k in range(update * problem.accumulate, (update + 1) * problem.accumulate):
                    inputs, target = batches(k)
                    reseed(stream(setup.seed, STEP, k))
                    loss = self.heard(setup.forward(made.model, inputs), target)
                    (loss / problem.accumulate).backward()
                if made.clip is not None:
                    made.clip(parameters)
                return loss  # type: ignore[no-any-return]  # the user's

            if needs_closure:
                optimizer.step(backward)  # type: ignore[arg-type]  # torch says float, and takes the loss
            else:
                backward()
                optimizer.step()
            if made.scheduler is not None:
                at_end = (update + 1) % per_epoch == 0
                if problem.scheduler_step == "batch" or at_end:
                    self.step_scheduler()
            self.done.epochs = (update + 1) // per_epoch

    def _theirs(self) -> None:
        setup, made, loop = self.setup, self.made, self.setup.problem.loop
        assert loop is not None
        batches = setup.batches()
        self._listen_to_scheduler()
        while self.done.updates < self.updates and self.done.epochs < math.ceil(setup.epochs):
            calls = self._calls
            loop(made.model, self.heard, made.optimizer, made.scheduler, _Counted(batches, self.done))
            self.done.epochs += 1
            self.done.calls.append(self._calls - calls)
            if made.scheduler is not None and self._calls == calls:
                self.step_scheduler()  # the loop leaves it to its caller, once an epoch
                self._calls = calls
            if self.done.updates == 0 and self.done.epochs >= 2:
                return  # a loop that makes no update makes none later

    def _listen_to_scheduler(self) -> None:
        scheduler = self.made.scheduler
        if scheduler is None:
            return
        step = scheduler.step

        def counted(*arguments: Any, **keywords: Any) -> Any:
            self._calls += 1
            self.done.called += 1
            self.done.early |= self.done.updates == 0
            return step(*arguments, **keywords)

        scheduler.step = counted

    def step_scheduler(self) -> None:
        scheduler = self.made.scheduler
        if isinstance(scheduler, ReduceLROnPlateau):
            value = self.setup.loss_on(self.made, "train" if self.setup.valid is None else "valid")
            scheduler.step(value if scheduler.mode == "min" else -value)
        else:
            scheduler.step()


def drive(setup: Setup, made: Made, updates: int, seconds: float, each: Callable[[int], None] | None = None) -> Driven:
    """Train `made` for so many updates, or until the time is over."""
    if made.optimizer is None:
        raise Unavailable("there is no optimizer")
    return Drive(setup, made, updates, seconds, each).run()
