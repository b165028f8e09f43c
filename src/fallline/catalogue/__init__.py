"""All that can be chosen: losses, optimizers, schedules and clips, each entry a frozen record of facts in one file.

An entry file holds a docstring (the page that `fallline explain NAME` prints) and `ENTRY`. The docstring's first line is the
title; then follow the sections `What it does`, `When it suits`, `When it does not`, `Source`, each a heading line ending in a colon. An
entry imports torch only inside functions, so that names and pages can be listed without loading it. `code` returns the plain
Python expression that `build(h)` stands for; the contract suite evaluates it and compares. Functions that `code` names are copied into
exported scripts by their source, so they stand alone: imports inside, no reference to this package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fallline._discover import discover
from fallline._errors import UsageError, unknown
from fallline._head import Head
from fallline.catalogue._set_aside import SET_ASIDE as SET_ASIDE
from fallline.catalogue._set_aside import SetAside as SetAside

if TYPE_CHECKING:
    import torch

    from fallline._profile import Profile

Kind = TypeVar("Kind", bound="Entry")
Value: TypeAlias = "float | int | bool | str | list[float] | None"
Settings: TypeAlias = "Mapping[str, Any]"  # name -> Value; Any, because reading a number out of the union would need a cast everywhere
LossFunction: TypeAlias = "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]"
ClipFunction: TypeAlias = "Callable[[Sequence[torch.Tensor]], object]"
LaneUpdate: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], int, Mapping[str, Any]], None]"

EXTRA = 'needs an extra package: pip install "fallline[optimizers]"'
FAMILIES = ("sgd", "adaptive", "sign", "matrix", "averaged", "parameter-free")


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One value inside a recipe: its default with the reason, and the range in which draws are made."""

    default: Value
    why: str  # the reason for the default, one clause
    low: float | None = None
    high: float | None = None
    log: bool = False  # drawn on a logarithmic scale
    choices: tuple[Value, ...] = ()
    unit: str = ""  # "share of the length", "target MAD"; empty: as the paper writes it
    above_zero: bool = False  # zero itself is refused
    above: float | None = None  # values up to here are refused; None: no such bound
    below: float | None = None  # values from here on are refused
    negative: bool = False  # numbers below zero are taken too
    whole: bool = False  # whole numbers only

    def check(self, owner: str, name: str, value: Value) -> None:
        """Raise UsageError when `value` is impossible (not merely outside the range in which draws are made)."""
        if isinstance(self.default, str):
            if value not in self.choices:
                raise UsageError(f"{owner}: {name} must be one of {', '.join(map(str, self.choices))}, got {value!r}")
            return
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise UsageError(f"{owner}: {name} must be true or false, got {value!r}")
            return
        listed = isinstance(value, list) and (self.default is None or isinstance(self.default, list))
        if listed or (self.default is None and value is None):
            for item in value if isinstance(value, list) else []:
                self._check_number(owner, f"each number of {name}", item)
            return
        self._check_number(owner, name, value)

    def _check_number(self, owner: str, name: str, value: Value) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UsageError(f"{owner}: {name} must be a finite number, got {value!r}")
        if self.whole and value != int(value):
            raise UsageError(f"{owner}: {name} must be a whole number, got {value}")
        if self.below is not None and value >= self.below:
            raise UsageError(f"{owner}: {name} must be below {self.below:g}, got {value}; leave it out to let the race choose it")
        if self.above is not None and value <= self.above:
            raise UsageError(f"{owner}: {name} must be above {self.above:g}, got {value}; leave it out to let the race choose it")
        if (value < 0 and not self.negative) or (self.above_zero and value == 0):
            wanted = "positive" if self.above_zero else "zero or more"
            raise UsageError(f"{owner}: {name} must be {wanted}, got {value}; leave it out to let the race choose it")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What every entry of the catalogue declares."""

    name: str  # as users type it
    title: str  # as people write it
    source: str  # paper or documentation
    space: Mapping[str, Hyperparameter] = field(default_factory=dict)
    example: Settings = field(default_factory=dict)  # a non-neutral value for every hyperparameter, for the contract suite
    aliases: tuple[str, ...] = ()
    carries: str = ""  # module that an exported script copies whole, where `code` names something that its own module does not define

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", MappingProxyType(dict(self.space)))
        object.__setattr__(self, "example", MappingProxyType(dict(self.example)))

    def defaults(self) -> dict[str, Value]:
        return {name: hyper.default for name, hyper in self.space.items()}

    def check(self, settings: Settings) -> None:
        """Raise UsageError for a setting that this entry does not have or cannot take."""
        for name, value in settings.items():
            if name not in self.space:
                raise unknown(f"setting of {self.name}", name, self.space)
            self.space[name].check(self.name, name, value)


def _anywhere(profile: Profile) -> str:
    return ""


def _as_declared(settings: Settings, profile: Profile) -> dict[str, Value]:
    return dict(settings)


@dataclass(frozen=True, kw_only=True)
class Loss(Entry):
    """A training criterion `(output, target) -> scalar`, mean over the batch."""

    tasks: tuple[str, ...]  # of fallline._profile.TASKS
    reads: tuple[str, ...]  # kinds of model output it can read: "real", "probability", "log-probability"
    build: Callable[[Settings], LossFunction]
    code: Callable[[Settings], str]
    stock: str = ""  # "torch.nn.HuberLoss" when build returns exactly that class
    plain_for: tuple[str, ...] = ()  # tasks whose plain loss this is
    width: int = 1  # model outputs it needs per target column (2: mean and variance)
    outputs: Callable[[Profile], int] | None = None  # of a head that shares its weights between outputs (CORAL); None: no such head
    pairs: bool = False  # an example's term depends on the other examples of the batch
    learns: bool = False  # `build` gives a module with parameters, which join the optimizer
    scale_free: bool = True  # the target may be standardised; False: counts and rates stay raw
    link: Callable[[torch.Tensor], torch.Tensor] | None = None  # output -> what the plain loss's model would give; None: as it is
    link_code: str = ""  # the same as an expression in `output`
    suits: Callable[[Profile], float] = lambda profile: 0.0  # how strongly the profile speaks for it, 0 not at all, 1 strongly
    metrics: tuple[str, ...] = ()  # metrics that this loss optimises directly
    kin: str = ""  # a loss so alike that racing both would waste a candidate
    on_request: str = ""  # why a race tries it only where the user names it: what it assumes no profile can tell; "" otherwise
    told_by: tuple[str, ...] = ()  # tasks that say what it assumes
    held_constant: bool = False  # a part of it counts as a constant in the gradient, which then is not the slope of the value
    refuses: Callable[[Profile], str] = _anywhere  # why it cannot take these targets; "" when it can
    settle: Callable[[Settings, Profile], dict[str, Value]] = _as_declared  # relative values (target MAD, class counts) -> absolute ones

    def applies(self, profile: Profile) -> str:
        """Why this loss is no candidate for the problem; an empty string when it is."""
        if profile.task not in self.tasks:
            return f"is for {', '.join(self.tasks)}, the task is {profile.task}"
        if profile.output_kind not in self.reads and not self._strips(profile):
            ends = "" if "real" not in self.reads else ", which come from no activation module at its end that could be left out"
            return f"reads {' or '.join(self.reads)} outputs, the model gives {profile.output_kind} outputs{ends}"
        if reason := self._cannot_widen(profile):
            return reason
        if profile.target_scaled and not self.scale_free:
            return "needs raw counts, the target was standardised"
        return self.refuses(profile)

    def waits(self, profile: Profile) -> str:
        """Why a race tries it only where the user names it; "" where it is tried by itself."""
        return "" if profile.task in self.told_by else self.on_request

    def head(self, profile: Profile) -> Head | None:
        """What this loss changes at the end of the model, where it applies; None where it reads what the model gives."""
        outputs = self._wanted(profile)
        strips = self._strips(profile)
        if not outputs and not strips:
            return None
        return Head(
            layer=profile.last_layer if outputs else "",
            outputs=outputs,
            shared=self.outputs is not None,
            without=profile.last_activation if strips else "",
            does=profile.activation_does if strips else "",
        )

    def _strips(self, profile: Profile) -> bool:
        """Whether the activation at the model's end is left out for it."""
        return profile.output_kind not in self.reads and "real" in self.reads and bool(profile.last_activation)

    def _wanted(self, profile: Profile) -> int:
        """Outputs that the model's last layer has to give instead of its own; 0 where its own serve."""
        if self.outputs is not None:
            return self.outputs(profile)
        return 0 if profile.width == self.width else self.width * max(math.prod(profile.target_shape), 1)

    def _cannot_widen(self, profile: Profile) -> str:
        """Why the model does not give the outputs that this loss needs and cannot be made to; "" where it does or can."""
        wanted = self._wanted(profile)
        if not wanted:
            return ""
        if self.outputs is not None:
            needs = f"needs a last layer of {wanted} outputs with shared weights"
        else:
            needs = f"needs {self.width} model output(s) per target, the model gives {profile.width:g}"
            if profile.width > self.width:
                return needs
        if profile.fixed_end:
            return f"{needs}, and its outputs cannot be changed: the model {profile.fixed_end}"
        if profile.last_activation and not self._strips(profile):
            return f"{needs}, and the model ends in an activation ({profile.last_activation})"
        return ""


@dataclass(frozen=True, kw_only=True)
class LaneRule:
    """An optimizer's step for many lanes at once: the same formula, with a number for each lane in it.

    `update(weights, gradients, state, step, h)` changes weights and state in place; `step` counts from 1. The first dimension of all
    tensors is the lane. `h` holds a tensor (lanes, 1, ...) for each number, and the plain value of each setting in `alike`, in which the
    lanes of one call agree. Decay may differ between columns too.
    """

    update: LaneUpdate
    keeps: Callable[[Settings], tuple[str, ...]]  # state shaped like the weights, under the names that torch gives it
    scalars: Mapping[str, float] = field(default_factory=dict)  # one number a parameter, with its first value
    counts: bool = True  # torch keeps the number of steps beside each parameter
    alike: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Optimizer(Entry):
    """An update rule; `build(groups, h)` returns one `torch.optim.Optimizer` whose `lr` is the peak."""

    family: str  # of FAMILIES
    build: Callable[[list[dict[str, Any]], Settings], torch.optim.Optimizer]
    code: Callable[[Settings, str], str]  # an expression in `groups`, which spell weight_decay; the text is appended (", fused=True")
    state_copies: int  # floats kept per parameter, beside the parameter and its gradient
    decay: str = "weight_decay"  # how decay is spelled: "weight_decay" (decoupled), "l2" (coupled) or "" (none)
    passes_per_step: int = 1  # forward-backward passes that one step costs
    full_batch: bool = False  # only meaningful when a batch is the whole of train
    closure: bool = False  # evaluates the loss itself: step(closure)
    switches: bool = False  # eval() puts the weights that it wants judged in the place of those that it trains, train() undoes that
    measures_first: bool = False  # its first step only measures and moves nothing
    lags: bool = False  # lr is in its momentum or its average too, so that a schedule acts some steps late
    heeds_schedule: bool = True  # False: lr is read once, and no schedule acts
    package: str = ""  # the module beside torch that it comes from, brought by the extra `optimizers`
    matrices: bool = False  # treats matrices apart from the other parameters
    stock: str = ""  # "torch.optim.AdamW" when build returns exactly that class
    refuses: Callable[[Profile], str] = _anywhere
    lanes: LaneRule | None = None  # None: lanes of it are not stepped together
    lanes_of_matrices: LaneRule | None = None  # where it treats them apart: weights are (lanes, *shape)

    @property
    def installed(self) -> bool:
        """Whether the package that it comes from is at hand."""
        return not self.package or find_spec(self.package) is not None

    def applies(self, profile: Profile) -> str:
        """Why this optimizer is no candidate for the problem; an empty string when it is."""
        if self.full_batch and profile.batches_per_epoch > 1:
            return "needs the whole of train in one batch"
        if not self.installed:
            return EXTRA
        return self.refuses(profile)


@dataclass(frozen=True, kw_only=True)
class Schedule(Entry):
    """A pure function `factor(step, length, h)` that multiplies the peak lr; steps count from 0 to length - 1."""

    factor: Callable[[int, int, Settings], float]
    reads_metric: bool = False  # then `react` multiplies the factor too
    react: Callable[[Sequence[float], Settings], float] | None = None  # metric history (lower is better) at fixed points -> factor
    flat: bool = False  # the factor is 1 throughout
    peaks_at: float = 0.0  # share of the length at which lr is highest; late ones are not cut early


@dataclass(frozen=True, kw_only=True)
class Clip(Entry):
    """What is done to gradients between backward and step; `build(h)` gives a function of the parameters.

    One that remembers has `state_dict` and `load_state_dict` besides; a training carries it over a pause.
    """

    build: Callable[[Settings], ClipFunction | None]
    begin: Callable[[Settings], str] = lambda h: ""  # a statement before the first step, where `code` needs something made
    code: Callable[[Settings], str]  # a statement in `parameters`; "" for none
    # (gradients of all parameters as one row a lane, a tensor (lanes, 1) for each number) -> the same clipped; None: not for many at once
    lanes: Callable[[torch.Tensor, Mapping[str, Any]], torch.Tensor] | None = None


@dataclass(frozen=True, kw_only=True)
class Topic(Entry):
    """A page on a choice that is no entry of its own: it has no space, only a title and a docstring."""


def all_losses() -> dict[str, Loss]:
    return discover("fallline.catalogue.losses", Loss)


def all_optimizers() -> dict[str, Optimizer]:
    return discover("fallline.catalogue.optimizers", Optimizer)


def all_schedules() -> dict[str, Schedule]:
    return discover("fallline.catalogue.schedules", Schedule)


def all_clips() -> dict[str, Clip]:
    return discover("fallline.catalogue.clips", Clip)


def all_topics() -> dict[str, Topic]:
    return discover("fallline.catalogue.topics", Topic)


def _named(kind: str, name: str, entries: Mapping[str, Kind]) -> Kind:
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key in entries:
        return entries[key]
    for entry in entries.values():
        if key in entry.aliases:
            return entry
    for known in SET_ASIDE:
        if (known.kind, known.name) == (kind, key):
            raise UsageError(f"{kind} {key} is no candidate: {known.why}")
    raise unknown(kind, name, entries, aliases=[alias for entry in entries.values() for alias in entry.aliases])


def loss(name: str) -> Loss:
    return _named("loss", name, all_losses())


def optimizer(name: str) -> Optimizer:
    return _named("optimizer", name, all_optimizers())


def schedule(name: str) -> Schedule:
    return _named("schedule", name, all_schedules())


def clip(name: str) -> Clip:
    return _named("clip", name, all_clips())


def topic(name: str) -> Topic:
    return _named("topic", name, all_topics())


def all_entries() -> Iterable[tuple[str, Entry]]:
    """Every entry with its kind ("loss", "optimizer", "schedule", "clip"), in catalogue order."""
    for kind, entries in (("loss", all_losses()), ("optimizer", all_optimizers()), ("schedule", all_schedules()), ("clip", all_clips())):
        for entry in entries.values():
            yield kind, entry
