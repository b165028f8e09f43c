"""A trial that runs in the user's own `loop`: whole epochs, unchanged; steps are counted by a hook on the optimizer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from fallline import catalogue
from fallline._adapt import adapt
from fallline._batches import STEP, Batches, reseeder, stream, tree_map
from fallline._bench import Diverged, Look, Workbench, materialise, step_plateau
from fallline._demands import judging
from fallline._errors import RefusedError, UsageError
from fallline._kept import load_state, loss_state, restore_loss
from fallline._parts import build_loss, build_optimizer, build_scheduler, lr_curve
from fallline._recipe import Recipe
from fallline.metrics import NUMBERED

if TYPE_CHECKING:
    from torch import Tensor, nn


class EpochLoader:
    """One epoch of raw batches in our order, as the user's own DataLoader would give them."""

    def __init__(self, batches: Batches, epoch: int, seed: int) -> None:
        self.batches = batches
        self.epoch = epoch
        self.seed = seed
        self.dataset = getattr(batches.source, "dataset", None)
        self.batch_size = batches.order.batch_size

    def __len__(self) -> int:
        return self.batches.per_epoch

    def __iter__(self) -> Iterator[Any]:
        reseed = reseeder(self.batches.device, everywhere=True)  # a user's loop may draw with numpy or random: mixup
        for k in range(self.epoch * len(self), (self.epoch + 1) * len(self)):
            batch = tree_map(lambda leaf: leaf.to(self.batches.device), self.batches.raw(k))
            reseed(stream(self.seed, STEP, k))
            yield batch


class LoopTraining:
    """One candidate in the user's loop. Candidates get their own loss, optimizer and lr curve; what the loop does itself is not raced."""

    def __init__(self, bench: Workbench, recipe: Recipe, model: nn.Module) -> None:
        if recipe.average is not None or (not recipe.schedule.own and catalogue.schedule(recipe.schedule.name).reads_metric):
            unfit = "averaged weights and schedules that read the metric"
            raise UsageError(f"{unfit} cannot run in your own loop; take another recipe or schedule")
        self.bench, self.recipe, self.model = bench, recipe, model
        problem = bench.problem
        self.loss = build_loss(recipe, problem, next(model.parameters(), None))
        self.optimizer = build_optimizer(recipe, model, problem, self.loss)
        entry = None if recipe.optimizer.own else catalogue.optimizer(recipe.optimizer.name)
        if entry is not None and entry.closure:
            raise UsageError(f"optimizer {entry.name} calls a closure, which your own loop does not give it; take another")
        if entry is not None and entry.graph_every is not None:
            raise UsageError(f"optimizer {entry.name} reads second derivatives, for which your own loop keeps no graph; take another")
        self.batches = bench.data.batches(recipe.seed, bench.device)
        self.curve = None if recipe.schedule.own else lr_curve(recipe)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        # a loop may step the scheduler it is given; a candidate's lr is set before each update instead, so its scheduler does nothing
        self.scheduler = build_scheduler(recipe, self.optimizer, problem) if recipe.schedule.own else LambdaLR(self.optimizer, _one)
        self.step = self.epoch = 0
        self.looks: list[Look] = []
        self.best: Look | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.last_loss, self.eval_s = math.nan, 0.0
        self.stopped_at: int | None = None
        self._pulse: Callable[[], None] = lambda: None
        self.optimizer.register_step_pre_hook(self._before_step)
        self.optimizer.register_step_post_hook(self._after_step)

    @classmethod
    def start(cls, bench: Workbench, recipe: Recipe) -> LoopTraining:
        model = bench.problem.new_model(recipe.seed).to(bench.device)
        materialise(model, bench, recipe.seed)
        return cls(bench, recipe, adapt(model, recipe.head, recipe.seed))

    @property
    def ended(self) -> bool:
        return self.stopped_at is not None or self.step >= self.recipe.end

    def _before_step(self, *_: Any) -> None:
        if self.curve is not None:
            factor = self.curve(min(self.step, self.recipe.end - 1))
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"] = peak * factor

    def _after_step(self, *_: Any) -> None:
        self.step += 1
        self._pulse()

    def advance(self, until: int, pulse: Callable[[], None] | None = None) -> None:
        """Run whole epochs until at least `until` updates are made; valid is looked at after each epoch."""
        self._pulse = pulse or self._pulse
        while self.step < until and not self.ended:
            before, calls = self.step, _last_epoch(self.scheduler)
            self.model.train()
            problem = self.bench.problem
            assert problem.loop is not None
            problem.loop(self.model, self._heard, self.optimizer, self.scheduler, EpochLoader(self.batches, self.epoch, self.recipe.seed))
            self.epoch += 1
            if self.step == before:
                raise RefusedError(
                    "the loop made no optimizer step in one epoch; it must call optimizer.step() on the optimizer it is given"
                )
            if self.recipe.schedule.own and self.scheduler is not None and _last_epoch(self.scheduler) == calls:
                self._step_scheduler()  # the loop leaves it to its caller, once an epoch
            self.look()

    def _heard(self, output: Tensor, target: Tensor) -> Tensor:
        as_given = self.recipe.loss.own or self.bench.judge.task in NUMBERED
        loss = self.loss(output, target if as_given else target.to(output.dtype))  # as in `_step`
        self.last_loss = float(loss.detach().mean())
        if not math.isfinite(self.last_loss):
            raise Diverged(f"the loss became {self.last_loss} by step {self.step}")
        return loss

    def _step_scheduler(self) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            step_plateau(self.scheduler, self.measure(), self.bench.judge.sign)
        elif self.scheduler is not None:
            self.scheduler.step()

    def measure(self) -> float:
        began = time.perf_counter()
        with judging(self.optimizer):
            value = self.bench.look(self.model, self.recipe)
        self.eval_s += time.perf_counter() - began
        return value

    def look(self) -> float:
        value = self.measure()
        if not math.isfinite(value):
            raise Diverged(f"the metric became {value} by step {self.step}")
        look, sign = Look(self.step, value), self.bench.judge.sign
        self.looks.append(look)
        if self.best is None or sign * value < sign * self.best.value:
            self.best = look
            if self.recipe.keep == "best":
                with judging(self.optimizer):
                    self.best_weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        elif self.recipe.patience is not None and sum(past.step > self.best.step for past in self.looks) >= self.recipe.patience:
            self.stopped_at = self.step
        return value

    def standing(self) -> float:
        if self.recipe.keep == "best" and self.best is not None:
            return self.best.value
        return self.looks[-1].value if self.looks else self.measure()

    def final(self) -> nn.Module:
        with judging(self.optimizer):
            model = copy.deepcopy(self.model)
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)
        return model

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step, "epoch": self.epoch, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "loss": loss_state(self.loss), "looks": [(look.step, look.value) for look in self.looks],
            "best": None if self.best is None else (self.best.step, self.best.value), "best_weights": self.best_weights,
            "last_loss": self.last_loss, "stopped_at": self.stopped_at,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self.step, self.epoch = state["step"], state["epoch"]
        self.model.load_state_dict(state["model"])
        load_state(self.optimizer, state["optimizer"])
        restore_loss(self.loss, state)
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.looks = [Look(step, value) for step, value in state["looks"]]
        self.best = None if state["best"] is None else Look(*state["best"])
        self.best_weights = state["best_weights"]
        self.last_loss, self.stopped_at = state["last_loss"], state["stopped_at"]


def _one(_: int) -> float:
    return 1.0


def _last_epoch(scheduler: Any) -> int:
    return int(getattr(scheduler, "last_epoch", 0))
