"""Step: one trial in training. The same code runs under every engine and under `fallline.train`."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fallline import catalogue
from fallline._adapt import adapt
from fallline._average import Average
from fallline._batches import STEP, reseeder, stream
from fallline._bench import Diverged, Look, Workbench, autocast, materialise, step_plateau
from fallline._demands import backward_keeping_graph, graph_every, judging, needs_closure, step_with_closure
from fallline._errors import RefusedError
from fallline._kept import load_state, loss_state, restore_loss
from fallline._parts import build_clip, build_loss, build_optimizer, build_scheduler, lr_curve
from fallline._problem import call
from fallline._recipe import Recipe
from fallline.metrics import NUMBERED

CHUNK = 32  # steps at most between looks at the loss and the clock: a few microseconds spread over some milliseconds
PULSE_S = 0.02  # seconds between them that are aimed at, so that a slow model is stopped within a step


@dataclass
class Training:
    """One candidate at one seed, in training. `run` advances it, `look` judges it, `state` and `restore` carry it over a pause."""

    bench: Workbench
    recipe: Recipe
    model: nn.Module
    shadow_decay: float | None = None  # decay of an average that only rungs read: it stands in for the lr decay still to come
    step: int = 0
    looks: list[Look] = field(default_factory=list)
    best: Look | None = None
    last_loss: float = math.nan
    stopped_at: int | None = None  # by patience
    eval_s: float = 0.0  # seconds spent looking

    def __post_init__(self) -> None:
        problem, recipe = self.bench.problem, self.recipe
        self.loss = build_loss(recipe, problem, next(self.model.parameters(), None))
        self.optimizer = build_optimizer(recipe, self.model, problem, self.loss)
        self.closure = needs_closure(recipe, problem.precision)
        self.graph_every = graph_every(recipe, problem.precision)
        self.clip = build_clip(recipe, problem)
        self.own_scheduler = build_scheduler(recipe, self.optimizer, problem) if recipe.schedule.own else None
        self.curve = None if recipe.schedule.own else lr_curve(recipe)
        entry = None if recipe.schedule.own else catalogue.schedule(recipe.schedule.name)
        self.react = entry.react if entry is not None and entry.reads_metric else None
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        self.batches = self.bench.data.batches(recipe.seed, self.bench.device)
        self.average = Average(self.model, recipe.average.decay) if recipe.average else None
        shadowed = self.shadow_decay is not None and self.average is None
        self.shadow = Average(self.model, self.shadow_decay) if shadowed and self.shadow_decay is not None else None
        self.best_weights: dict[str, Tensor] | None = None
        self.scaler = torch.amp.GradScaler(self.bench.device.type) if problem.precision == "16" else None
        self._stride = 1
        self._parameters = [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def steps_per_epoch(self) -> int:
        return max(self.batches.per_epoch // self.bench.problem.accumulate, 1)

    @property
    def judged(self) -> nn.Module:
        """The weights that looks judge and the recipe hands back: the average where it keeps one."""
        return self.model if self.average is None else self.average.model

    @property
    def ended(self) -> bool:
        return self.stopped_at is not None or self.step >= self.recipe.end

    def advance(self, until: int, pulse: Callable[[], None] | None = None) -> None:
        """Train to step `until`, looking at valid where the recipe says so; `pulse` is called every few steps and may raise."""
        while (due := self.next_look(until)) is not None:
            self.run(due, pulse)
            self.look()
        if not self.ended:
            self.run(until, pulse)

    def next_look(self, until: int) -> int | None:
        """The next step up to `until` at which valid is looked at; None where there is none."""
        last = self.looks[-1].step if self.looks else -1
        due = next((step for step in self.recipe.looks() if step > last), None)
        return None if due is None or due > until or (self.ended and self.step != due) else due

    def run(self, until: int, pulse: Callable[[], None] | None = None) -> None:
        """Train to step `until` without looking.

        Raises:
            Diverged: the loss is not finite.
        """
        while self.step < until:
            began = time.perf_counter()
            end = min(until, self.step + self._stride)
            if self.own_scheduler is not None:
                end = min(end, (self.step // self.steps_per_epoch + 1) * self.steps_per_epoch)
            loss = self._chunk(end)
            self.last_loss = float(loss)
            if not math.isfinite(self.last_loss):
                raise Diverged(f"the loss became {self.last_loss} by step {self.step}")
            if self.own_scheduler is not None and self.bench.problem.scheduler_step == "epoch" and self.step % self.steps_per_epoch == 0:
                self._step_own_scheduler()
            self._stride = min(2 * self._stride, CHUNK) if time.perf_counter() - began < PULSE_S else max(self._stride // 2, 1)
            if pulse is not None:
                pulse()

    def _chunk(self, end: int) -> Tensor:
        """The training loop itself. Names are local because a small model's step costs only some 200 microseconds."""
        problem, seed, device = self.bench.problem, self.recipe.seed, self.bench.device
        model, loss_of, optimizer, batches, clip, average = (
            self.model,
            self.loss,
            self.optimizer,
            self.batches,
            self.clip,
            self.average or self.shadow,
        )
        reseed, accumulate, own_loss, curve = reseeder(device), problem.accumulate, self.recipe.loss.own, self.curve
        groups, peaks, parameters, scaler = optimizer.param_groups, self.peaks, self._parameters, self.scaler
        classes = self.bench.judge.task in NUMBERED
        precision = autocast(problem.precision, device)
        widens = problem.precision in ("bf16", "16") and not own_loss  # a target in half precision would lose its digits
        scheduler = self.own_scheduler if problem.scheduler_step == "batch" else None
        reaction = self.reaction()

        def gradients(step: int) -> Tensor:
            """Backward through all batches of one step; gives the loss of the last, or of all where the optimizer reads it."""
            parts: list[Tensor] = []
            for k in range(step * accumulate, (step + 1) * accumulate):
                inputs, target = batches(k)
                reseed(stream(seed, STEP, k))
                with precision:
                    output = call(model, inputs)
                    if widens:
                        output = output.float()
                    loss: Tensor = loss_of(output, target if classes or own_loss else target.to(output.dtype))
                if accumulate > 1:
                    loss = loss / accumulate
                if self.graph_every and step % self.graph_every == 0:
                    backward_keeping_graph(loss, parameters)
                else:
                    (loss if scaler is None else scaler.scale(loss)).backward()
                parts.append(loss.detach())
            if scaler is not None and clip is not None:
                scaler.unscale_(optimizer)
            if clip is not None:
                clip(parameters)
            return torch.stack(parts).sum() if self.closure and accumulate > 1 else loss

        loss = torch.zeros(())
        for step in range(self.step, end):
            if curve is not None or reaction != 1.0:
                factor = reaction if curve is None else reaction * curve(step)
                for group, peak in zip(groups, peaks, strict=True):
                    group["lr"] = peak * factor
            if self.closure:
                loss = step_with_closure(optimizer, model, partial(gradients, step))
            else:
                loss = gradients(step)
                if scaler is None:
                    optimizer.step()
                else:
                    scaler.step(optimizer)
                    scaler.update()
            optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(step)
            if scheduler is not None:
                scheduler.step()
        self.step = end
        return loss.detach()

    def reaction(self) -> float:
        """What a schedule that reads the metric makes of the looks so far; 1 for all others."""
        if self.react is None:
            return 1.0
        return self.react([self.bench.judge.sign * look.value for look in self.looks], self.recipe.schedule.settings)

    def _step_own_scheduler(self) -> None:
        if isinstance(self.own_scheduler, ReduceLROnPlateau):
            step_plateau(self.own_scheduler, self.measure(), self.bench.judge.sign)
        elif self.own_scheduler is not None:
            self.own_scheduler.step()

    def measure(self) -> float:
        """The metric now, on the looked-at examples of valid; changes nothing."""
        return self._timed(self.judged)

    def _timed(self, model: nn.Module) -> float:
        began = time.perf_counter()
        with judging(self.optimizer):
            value = self.bench.look(model, self.recipe)
        self.eval_s += time.perf_counter() - began
        return value

    def look(self) -> float:
        """Judge, remember, and keep the weights if they are the best so far and the recipe hands back the best.

        Raises:
            Diverged: the metric is not finite.
        """
        value = self.measure()
        if not math.isfinite(value):
            raise Diverged(f"the metric became {value} by step {self.step}")
        look = Look(self.step, value)
        self.looks.append(look)
        sign = self.bench.judge.sign
        if self.best is None or sign * value < sign * self.best.value:
            self.best = look
            if self.recipe.keep == "best":
                with judging(self.optimizer):
                    self.best_weights = {name: tensor.detach().clone() for name, tensor in self.judged.state_dict().items()}
        elif self.recipe.patience is not None and sum(past.step > self.best.step for past in self.looks) >= self.recipe.patience:
            self.stopped_at = self.step
        return value

    def standing(self) -> float:
        """What a rung compares: the metric now (of the shadow average where there is one), or the best look if that is handed back."""
        if self.shadow is not None:
            return self._timed(self.shadow.model)
        now = self.looks[-1].value if self.looks and self.looks[-1].step == self.step else self.measure()
        if self.recipe.keep == "best" and self.best is not None:
            sign = self.bench.judge.sign
            return min((now, self.best.value), key=lambda value: sign * value if math.isfinite(value) else math.inf)
        return now

    def final(self) -> nn.Module:
        """The trained model that the recipe hands back."""
        with judging(self.optimizer):
            model = copy.deepcopy(self.judged)
        if self.best_weights is not None:
            model.load_state_dict(self.best_weights)
        if self.average is not None:
            for mine, theirs in zip(model.parameters(), self.model.parameters(), strict=True):
                mine.requires_grad_(theirs.requires_grad)
        return model

    def state(self) -> dict[str, Any]:
        """Everything a later process needs to go on as if there had been no pause: tensors and plain containers."""
        remembered = getattr(self.clip, "state_dict", None)
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "shadow": None if self.shadow is None else self.shadow.model.state_dict(),
            "scheduler": None if self.own_scheduler is None else self.own_scheduler.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "clip": None if remembered is None else remembered(),
            "loss": loss_state(self.loss),
            "looks": [(look.step, look.value) for look in self.looks],
            "best": None if self.best is None else (self.best.step, self.best.value),
            "best_weights": self.best_weights,
            "last_loss": self.last_loss,
            "stopped_at": self.stopped_at,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a `state`; the recipe may be a child's, with the same parts."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        load_state(self.optimizer, state["optimizer"])
        restore_loss(self.loss, state)
        if self.average is not None and state["average"] is not None:
            self.average.model.load_state_dict(state["average"])
        if self.shadow is not None and state["shadow"] is not None:
            self.shadow.model.load_state_dict(state["shadow"])
        if self.own_scheduler is not None:
            self.own_scheduler.load_state_dict(state["scheduler"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        remember = getattr(self.clip, "load_state_dict", None)
        if remember is not None:
            remember(state["clip"])
        self.looks = [Look(step, value) for step, value in state["looks"]]
        self.best = None if state["best"] is None else Look(*state["best"])
        self.best_weights = state["best_weights"]
        self.last_loss = state["last_loss"]
        self.stopped_at = state["stopped_at"]


def start(bench: Workbench, recipe: Recipe, shadow_decay: float | None = None) -> Training:
    """A fresh trial of `recipe`: initial weights, batch order and dropout masks follow from its seed."""
    model = bench.problem.new_model(recipe.seed).to(bench.device)
    materialise(model, bench, recipe.seed)
    adapt(model, recipe.head, recipe.seed)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RefusedError("the model has no trainable parameters; check requires_grad, or that layers are assigned to self")
    return Training(bench, recipe, model, shadow_decay)
