"""Parts: a recipe made into plain torch objects for one model: loss, optimizer, scheduler, clip."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from fallline import catalogue
from fallline._adapt import is_adapted
from fallline._batches import HEAD, seeded, stream
from fallline._errors import UsageError, unknown
from fallline._kinds import parameter_kinds
from fallline._problem import Problem
from fallline._recipe import Recipe
from fallline.catalogue.schedules import warmed


@dataclass(frozen=True)
class Parts:
    """Plain torch objects: `loss(output, target)`, `optimizer`, `scheduler` (stepped after every update), `clip(parameters)` or None."""

    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | ReduceLROnPlateau | None
    clip: Callable[[Sequence[Tensor]], object] | None


def build(recipe: Recipe, model: nn.Module, problem: Problem | None = None) -> Parts:
    """The parts of `recipe` for `model`; parts named `own` are taken from `problem`."""
    if recipe.head is not None and not is_adapted(model, recipe.head):
        raise UsageError(
            f"the recipe's loss needs another end of the model ({recipe.head.said('its')}); give the model that recipe.adapt(model) returns"
        )
    loss = build_loss(recipe, problem, next(model.parameters(), None))
    optimizer = build_optimizer(recipe, model, problem, loss)
    return Parts(
        loss,
        optimizer,
        build_scheduler(recipe, optimizer, problem),
        build_clip(recipe, problem),
    )


def build_loss(recipe: Recipe, problem: Problem | None = None, like: Tensor | None = None) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss as a plain function or module; its class weights, where it has some, lie beside `like` and have its dtype.

    One that learns is a copy of its own for each training: the user's as it stands, an entry's drawn from the recipe's seed.
    """
    if recipe.loss.own:
        own = _own(problem, "loss")
        if not learnt(own):
            theirs: Callable[[Tensor, Tensor], Tensor] = own  # Problem has checked that it can be called
            return theirs
        copied: nn.Module = copy.deepcopy(own)
        return copied if like is None else copied.to(like.device)
    entry = catalogue.loss(recipe.loss.name)
    with seeded(stream(recipe.seed, HEAD, 1)) if entry.learns else contextlib.nullcontext():
        loss = entry.build({**entry.defaults(), **recipe.loss.settings})
    return loss.to(like.device, like.dtype) if like is not None and isinstance(loss, nn.Module) else loss


def learnt(loss: Any) -> list[Tensor]:
    """The trainable parameters of a loss; most have none."""
    return [parameter for parameter in loss.parameters() if parameter.requires_grad] if isinstance(loss, nn.Module) else []


def build_clip(recipe: Recipe, problem: Problem | None = None) -> Callable[[Sequence[Tensor]], object] | None:
    if not recipe.clip.own:
        entry = catalogue.clip(recipe.clip.name)
        return entry.build({**entry.defaults(), **recipe.clip.settings})
    clip = _own(problem, "clip")
    return clip if callable(clip) else partial(torch.nn.utils.clip_grad_norm_, max_norm=float(clip))


def build_optimizer(recipe: Recipe, model: nn.Module, problem: Problem | None = None, loss: Any = None) -> torch.optim.Optimizer:
    """The optimizer over the model's parameters, and those of a `loss` that learns, without decay.

    The user's own holds what it held: where that was parameters of their loss, those of the copy that is trained.
    """
    if not recipe.optimizer.own:
        entry = catalogue.optimizer(recipe.optimizer.name)
        settings = {**entry.defaults(), **recipe.optimizer.settings}
        groups = parameter_groups(model, recipe.decay_on, apart=entry.matrices)
        if learnt(loss):
            groups.append({"params": learnt(loss), "decay": False, "kind": "other"})
        if recipe.body_lr is None:
            return entry.build(groups, settings)
        return _with_body_lr(recipe, model, groups, settings)
    own = _own(problem, "optimizer")
    assert problem is not None
    copied = recipe.loss.own and loss is not None and bool(learnt(loss))
    copies = {id(old): new for old, new in zip(problem.loss.parameters(), loss.parameters(), strict=True)} if copied else {}
    if isinstance(own, torch.optim.Optimizer):
        return _rebuilt(own, problem.model, model, copies)
    optimizer = own(model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise UsageError(f"optimizer(model) must return a torch Optimizer, got {type(optimizer).__name__}")
    for group in optimizer.param_groups:
        group["params"] = [copies.get(id(parameter), parameter) for parameter in group["params"]]
    return optimizer


@dataclass(frozen=True)
class LaneParts:
    """How a recipe's optimizer and clip act on many lanes at once; `settings` and `clip_settings` are complete."""

    rule: catalogue.LaneRule
    of_matrices: catalogue.LaneRule | None
    settings: Mapping[str, Any]
    decay: str  # the setting that is decay, "" for none
    decay_all: bool  # decay acts on biases, norms and embeddings too
    clip: Callable[[Tensor, Mapping[str, Any]], Tensor] | None
    clip_settings: Mapping[str, Any]


def lane_parts(recipe: Recipe) -> LaneParts | str:
    """The lane parts of a recipe, or why it has none."""
    if recipe.optimizer.own or recipe.clip.own or recipe.schedule.own:
        return "its optimizer, schedule or clip is your own"
    if recipe.head is not None:
        return "its model has another end than the others'"
    optimizer, clip = catalogue.optimizer(recipe.optimizer.name), catalogue.clip(recipe.clip.name)
    if optimizer.lanes is None:
        return f"{optimizer.name} has no step for many lanes at once"
    if recipe.body_lr is not None:
        return "its body and its head have lrs of their own"
    settings, clip_settings = (
        {**entry.defaults(), **part.settings} for entry, part in ((optimizer, recipe.optimizer), (clip, recipe.clip))
    )
    if clip.lanes is None and clip.build(clip_settings) is not None:
        return f"clipping by {clip.name} is not done for many lanes at once"
    return LaneParts(
        optimizer.lanes, optimizer.lanes_of_matrices, settings, optimizer.decay, recipe.decay_on == "all", clip.lanes, clip_settings
    )


def build_scheduler(
    recipe: Recipe, optimizer: torch.optim.Optimizer, problem: Problem | None = None
) -> LRScheduler | ReduceLROnPlateau | None:
    """The schedule as torch's own scheduler, one step an update; the user's is stepped in the user's unit."""
    if recipe.schedule.own:
        own = _own(problem, "scheduler")
        assert problem is not None
        scheduler: LRScheduler = copied_scheduler(own, problem.optimizer, optimizer) if hasattr(own, "optimizer") else own(optimizer)
        return scheduler
    entry = catalogue.schedule(recipe.schedule.name)
    if entry.reads_metric:
        known = inspect.signature(ReduceLROnPlateau).parameters
        return ReduceLROnPlateau(optimizer, **{name: value for name, value in recipe.schedule.settings.items() if name in known})
    curve = lr_curve(recipe)
    return None if curve is None else LambdaLR(optimizer, _Held(curve, recipe.end))


@dataclass(frozen=True)
class _Held:
    """A curve that keeps its last value after the end, where a scheduler is stepped once more than there are updates."""

    curve: Callable[[int], float]
    end: int

    def __call__(self, step: int) -> float:
        return self.curve(min(step, max(self.end - 1, 0)))


def lr_curve(recipe: Recipe) -> Callable[[int], float] | None:
    """step -> what multiplies the peak lr, apart from a reaction to the metric; None where it is 1 throughout."""
    entry = catalogue.schedule(recipe.schedule.name)
    settings = {**entry.defaults(), **recipe.schedule.settings}
    warmup = float(settings.get("warmup") or 0.0)
    change, cooldown, length, shape = recipe.lr_change, recipe.cooldown, recipe.steps, entry.factor

    def scheduled(step: int) -> float:
        ramp, left_step, left_length = warmed(step, length, warmup)
        factor = ramp * shape(left_step, left_length, settings)
        return factor * change.factor if change is not None and step >= change.at else factor

    if cooldown is not None:
        held = scheduled(max(cooldown.at - 1, 0))
        return lambda step: scheduled(step) if step < cooldown.at else held * (1.0 - (step - cooldown.at) / cooldown.steps)
    if entry.flat and not warmup and change is None:
        return None
    return scheduled


def parameter_groups(model: nn.Module, decay_on: str, *, apart: bool = False) -> list[dict[str, Any]]:
    """Trainable parameters as groups {"params", "decay", "kind"}.

    With `decay_on="all"` decay acts on everything, as torch does when it is given `model.parameters()`; with "matrices" biases, norms
    and embeddings are kept off it. `apart` splits matrices from the rest in any case.
    """
    kinds = parameter_kinds(model)
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    everything = decay_on == "all"
    if everything and not apart:
        return [{"params": [parameter for _, parameter in named], "decay": True, "kind": "other"}]
    matrices = [parameter for name, parameter in named if kinds[name] in ("matrix", "convolution")]
    others = [parameter for name, parameter in named if kinds[name] not in ("matrix", "convolution")]
    groups = [{"params": matrices, "decay": True, "kind": "matrix"}, {"params": others, "decay": everything, "kind": "other"}]
    return [group for group in groups if group["params"]]


def body_apart(model: nn.Module, groups: Sequence[dict[str, Any]], head: Sequence[str], lr: float) -> list[dict[str, Any]]:
    """Every group in two: the body, which has this peak lr, and what keeps the optimizer's: `head` by name, and what a loss learns."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    parts = []
    for body in (True, False):
        for group in groups:
            ends = [part + "." for part in head]
            of_body = [p in names and not any(f"{names[p]}.".startswith(end) for end in ends) for p in group["params"]]
            chosen = [p for p, inside in zip(group["params"], of_body, strict=True) if inside == body]
            if chosen:
                parts.append({**group, "params": chosen, **({"lr": lr} if body else {})})
    return parts


def _with_body_lr(recipe: Recipe, model: nn.Module, groups: list[dict[str, Any]], settings: dict[str, Any]) -> torch.optim.Optimizer:
    """The optimizer with an lr of its own for the body.

    Raises:
        UsageError: a name of the head is no part of the model, all of it is head, or the optimizer knows one lr only.
    """
    assert recipe.body_lr is not None
    entry, head = catalogue.optimizer(recipe.optimizer.name), recipe.body_lr.head
    known = [*dict(model.named_modules()), *dict(model.named_parameters())]
    for name in head:
        if name not in known:
            raise unknown("part of the model in the recipe's head", name, [name for name in known if name])
    parts = body_apart(model, groups, head, settings["lr"] * recipe.body_lr.factor)
    if not any("lr" in group for group in parts):
        raise UsageError(f"the recipe's head, {', '.join(head)}, is all that is trained of the model; leave body_lr out")
    optimizer = entry.build(parts, settings)
    if len(optimizer.param_groups) != len(parts):
        raise UsageError(f"optimizer {entry.name} knows one lr for all parameters; leave body_lr out, or take another optimizer")
    return optimizer


def _own(problem: Problem | None, name: str) -> Any:
    value = None if problem is None else getattr(problem, name)
    if value is None:
        raise UsageError(f"the recipe's {name} is the user's own, but the problem has no {name}; give the problem that it was made for")
    return value


def _rebuilt(own: torch.optim.Optimizer, old: nn.Module, new: nn.Module, copies: Mapping[int, Tensor]) -> torch.optim.Optimizer:
    """The user's optimizer object over a copy of the model: same class, same groups, same options, fresh state."""
    names = {id(parameter): name for name, parameter in old.named_parameters()}
    fresh = dict(new.named_parameters())
    groups = []
    for group in own.param_groups:
        # parameters that the model does not have stay as they are: the set-up may be wrong, and is kept as it is
        mapped = [fresh[names[id(p)]] if id(p) in names else copies.get(id(p), p) for p in group["params"]]
        groups.append({**{key: value for key, value in group.items() if key != "param_names"}, "params": mapped})
    known = inspect.signature(type(own)).parameters
    try:
        return type(own)(groups, **{key: value for key, value in own.defaults.items() if key in known})
    except TypeError as error:
        raise UsageError(
            f"cannot make a second {type(own).__name__} for a copy of the model ({error}); give a function: optimizer=lambda model: ..."
        ) from error


def copied_scheduler(own: Any, old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> Any:
    """The user's scheduler object on another optimizer, from its first step."""
    copied = copy.deepcopy(own, {id(old): new})
    for scheduler in (copied, *getattr(copied, "_schedulers", ())):
        # The count only serves torch's warning about call order, which looks for a wrapper that the new optimizer does not have.
        scheduler._step_count = max(getattr(scheduler, "_step_count", 1), 2)
    return copied
