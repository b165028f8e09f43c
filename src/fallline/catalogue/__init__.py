"""All that can be chosen: losses, optimizers, schedules and clips, each entry a frozen record of facts in one file.

An entry file holds a docstring (the page that `fallline explain NAME` prints) and `ENTRY`. The docstring's first line is the
title; then follow the sections `What it does`, `When it suits`, `When it does not`, `Source`, each a heading line ending in a colon. An
entry imports torch only inside functions, so that names and pages can be listed without loading it. `code` returns the plain
Python expression that `build(h)` stands for; the contract suite evaluates it and compares. Functions that `code` names are copied into
exported scripts by their source, so they stand alone: imports inside, no reference to this package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fallline._discover import discover
from fallline._errors import UsageError, unknown
from fallline.catalogue._entry import Entry as Entry
from fallline.catalogue._entry import Hyperparameter as Hyperparameter
from fallline.catalogue._entry import Settings as Settings
from fallline.catalogue._entry import Value as Value
from fallline.catalogue._entry import anywhere
from fallline.catalogue._loss import Loss as Loss
from fallline.catalogue._loss import LossFunction as LossFunction
from fallline.catalogue._set_aside import SET_ASIDE as SET_ASIDE
from fallline.catalogue._set_aside import SetAside as SetAside

if TYPE_CHECKING:
    import torch

    from fallline._profile import Profile

Kind = TypeVar("Kind", bound="Entry")
ClipFunction: TypeAlias = "Callable[[Sequence[torch.Tensor]], object]"
LaneUpdate: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], int, Mapping[str, Any]], None]"

EXTRA = 'needs an extra package: pip install "fallline[optimizers]"'
FAMILIES = ("sgd", "adaptive", "sign", "matrix", "averaged", "parameter-free")


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
    graph_every: Callable[[Settings], int] | None = None  # steps, from the first on, whose gradients it differentiates again: every so many
    switches: bool = False  # eval() puts the weights that it wants judged in the place of those that it trains, train() undoes that
    measures_first: bool = False  # its first step only measures and moves nothing
    lags: bool = False  # lr is in its momentum or its average too, so that a schedule acts some steps late
    heeds_schedule: bool = True  # False: lr is read once, and no schedule acts
    drifts: bool = False  # moves weights whose gradient is zero, by a rule of its own
    single: bool = False  # does not train, or does not pause, in double precision
    package: str = ""  # the module beside torch that it comes from, brought by the extra `optimizers`
    matrices: bool = False  # treats matrices apart from the other parameters
    lr_scale: str = ""  # the setting that multiplies lr for all that is no matrix; "": one lr for all
    stock: str = ""  # "torch.optim.AdamW" when build returns exactly that class
    refuses: Callable[[Profile], str] = anywhere
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


def _key(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def _at_hand(name: str, entries: Mapping[str, Kind]) -> Kind | None:
    """The entry with a file of its own that has this name or this alias."""
    key = _key(name)
    return entries.get(key) or next((entry for entry in entries.values() if key in entry.aliases), None)


def set_aside(kind: str, name: str) -> SetAside | None:
    """What is known under this name and is no entry."""
    return next((known for known in SET_ASIDE if (known.kind, known.name) == (kind, _key(name))), None)


def _refuse(kind: str, name: str, entries: Mapping[str, Kind], others: Iterable[str] = ()) -> UsageError:
    """Why there is no such entry: it is set aside, or nothing has that name; `others` are offered only where they are near."""
    if (aside := set_aside(kind, name)) is not None:
        return UsageError(f"{kind} {aside.name} is no candidate: {aside.why}")
    return unknown(kind, name, entries, aliases=[*(alias for entry in entries.values() for alias in entry.aliases), *others])


def _named(kind: str, name: str, entries: Mapping[str, Kind]) -> Kind:
    found = _at_hand(name, entries)
    if found is None:
        raise _refuse(kind, name, entries)
    return found


def loss(name: str) -> Loss:
    return _named("loss", name, all_losses())


def optimizer(name: str) -> Optimizer:
    """The optimizer of this name: an entry with a file of its own, else any other of pytorch_optimizer.

    With the package before it (`pytorch_optimizer:AdaBelief`) a name means the package's class, whatever else bears it.
    """
    entries = all_optimizers()
    if (found := _at_hand(name, entries)) is not None:
        return found
    from fallline.catalogue import _library  # the record is read only for a name that has no file

    within, packaged = _library.stripped(name)
    if packaged and (same := _library.entry_of(within)):
        return entries[same]
    aside = None if packaged else set_aside("optimizer", name)
    if aside is None and (other := _library.named(within)) is not None:
        return other
    raise _refuse("optimizer", name, entries, _library.names())


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
