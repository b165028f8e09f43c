"""Problem: a model, its data and the metric that matters, with the user's present set-up as the baseline."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from fallline._batches import INIT, leaves, seeded, stream
from fallline._errors import UsageError, nearest, unknown
from fallline._model import Given, check_model, made, refuse_meta
from fallline._weights import fill
from fallline.metrics import TASKS, Metric, OwnMetric, resolve

PRECISIONS = ("32", "64", "bf16", "16")
SCHEDULER_STEPS = ("epoch", "batch")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a problem came from and what its door did to the data; empty for problems made in Python."""

    kind: str = "python"
    source: str = ""  # path of the file
    options: Mapping[str, Any] = field(default_factory=dict)  # what to give the door to open it again
    preparation: Mapping[str, Any] | None = None  # what the door fitted on train, as plain JSON
    scale: tuple[float, float] | None = None  # the target was (y - location) / scale; metrics and the final model undo it
    labels: tuple[str, ...] = ()  # class names in order of their index
    notes: tuple[str, ...] = ()  # what the door did, one sentence each, printed before the race
    train_groups: Any = None  # ids of rows that belong together, one a training row
    audit_groups: Any = None  # the same for audit: the unit that is resampled
    valid_groups: Any = None
    reopen: Callable[[int], Problem] | None = None  # the same problem with its rows split by another seed; None: split by `open_data`


@dataclass(kw_only=True, eq=False)
class Problem:
    """What is to be trained, on what, and how it is judged.

    Args:
        model: a factory `() -> Module`; a module, whose present weights every candidate starts from; or `"package.module:name"`,
            alone or as `("package.module:name", {"keyword": value})`; or `{"factory": ..., "keywords": {...}, "weights": "file.pt"}`, whose
            tensors are filled from a local file (.safetensors, or .pt read with weights_only) where name and shape agree.
        train, valid, audit: `(inputs, target)` tensors, a map-style `Dataset` or a `DataLoader`. What is missing is split off train.
        metric: a name (`fallline metrics` lists them), a torchmetrics `Metric`, or a callable `(output, target) -> float` that is called
            once with all outputs and targets of a split, on the CPU. None: the usual metric of the task.
        direction: "min" or "max"; needed for a callable only.
        task: regression, count, binary, multiclass, ordinal (classes 0 to K - 1 in their order), multilabel, sequence or embedding (outputs
            (N, dimensions), a class number each); None: inferred from targets and outputs, ordinal and embedding never.
        epochs: length of the full training in passes over train; None: set by a written rule from rows and model kind.
        batch_size: examples a batch; given, never raced. None: the DataLoader's, else set by a written rule from the rows.
        unpack: `unpack(batch) -> (inputs, target)`; inputs are a tensor, a tuple (positional) or a dict (keywords).
        precision: "32", "64", "bf16" (autocast) or "16" (autocast with gradient scaling, CUDA only).
        accumulate: batches a step.
        positive: the label of the positive class of a binary task.
        ignore_index: target value that losses and metrics pass over.
        loss, optimizer, scheduler, clip, loop: the user's own set-up, the baseline of the race. `loss(output, target)`; `optimizer` an
            object or `model -> optimizer`; `scheduler` an object or `optimizer -> scheduler`; `clip` a global norm or
            `parameters -> None`; `loop(model, loss, optimizer, scheduler, loader)` trains one epoch.
        scheduler_step: when their scheduler steps, "epoch" or "batch".
        shuffle: whether the order of examples changes each epoch.
        patience: epochs without improvement after which the baseline stops, keeping its best weights.

    Raises:
        UsageError: an argument is impossible. RefusedError: the data cannot be trained on as they are.
    """

    model: Any
    train: Any
    valid: Any = None
    audit: Any = None
    metric: Any = None
    direction: str | None = None
    task: str | None = None
    epochs: float | None = None
    batch_size: int | None = None
    unpack: Callable[[Any], tuple[Any, Tensor]] | None = None
    precision: str = "32"
    accumulate: int = 1
    positive: Any = None
    ignore_index: int | None = None
    loss: Any = None
    optimizer: Any = None
    scheduler: Any = None
    scheduler_step: str = "epoch"
    clip: Any = None
    shuffle: bool = True
    loop: Callable[..., Any] | None = None
    patience: int | None = None
    origin: Origin = field(default_factory=Origin, repr=False)

    def __new__(cls, *_: Any, **given: Any) -> Problem:
        """Refuses a field that there is not, and names the nearest."""
        known = [f.name for f in fields(cls) if f.repr]
        for name in given.keys() - {"origin", *known}:
            raise TypeError(str(unknown("field of Problem", name, known)))
        return object.__new__(cls)

    def __post_init__(self) -> None:
        self.precision = str(self.precision)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("scheduler_step", self.scheduler_step, SCHEDULER_STEPS)
        if self.task is not None:
            self.task = self.task.lower().replace("-", "").replace("_", "")
            _one_of("task", self.task, TASKS)
        _whole("batch_size", self.batch_size)
        _whole("accumulate", self.accumulate)
        _whole("patience", self.patience)
        known = isinstance(self.epochs, int | float) and not isinstance(self.epochs, bool)
        if self.epochs is not None and not (known and 0 < self.epochs < math.inf):
            raise UsageError(f"epochs must be positive, got {self.epochs!r}; leave it out to have it set from the number of rows")
        for name in ("unpack", "loop", "loss"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise UsageError(f"{name} must be callable, got {type(value).__name__}")
            if isinstance(value, type) and issubclass(value, nn.Module):
                raise UsageError(f"{name} must be an object, got the class {value.__name__}; write {name}={value.__name__}()")
        if self.loop is not None and not _takes(self.loop, 5):
            raise UsageError("loop must take (model, loss, optimizer, scheduler, loader) and train one epoch")
        if self.train is None:
            raise UsageError("train is missing; give (inputs, target) tensors, a Dataset or a DataLoader")
        check_model(self.model)
        _check_own_parts(self)
        self.resolved_metric()

    def resolved_metric(self) -> Metric | OwnMetric | None:
        """The metric with its direction; None when it is left to the task."""
        return None if self.metric is None else resolve(self.metric, self.direction)

    def new_model(self, seed: int = 0) -> nn.Module:
        """A fresh model with the initial weights of `seed`; a module given by the user is copied with the weights it has."""
        with seeded(stream(0, INIT)):  # what a module draws while it is imported is the same in every process
            given = Given.of(self.model)
            factory = given.found()
        with seeded(stream(seed, INIT)):
            model = copy.deepcopy(factory) if isinstance(factory, nn.Module) else made(factory, given.keywords)
        refuse_meta(model)
        if given.weights is not None:
            fill(model, given.weights)
        if self.precision == "64":
            model = model.double()
        if not model.training:  # left in eval mode as a whole, as pretrained models come; otherwise each part keeps its mode (frozen norms)
            model.train()
        return model

    def own_parts(self) -> tuple[str, ...]:
        """Names of the parts of the user's set-up that were given."""
        return tuple(name for name in ("loss", "optimizer", "scheduler", "clip", "loop") if getattr(self, name) is not None)


def call(model: nn.Module, inputs: Any) -> Tensor:
    """The model's output for a batch of inputs: a tensor, a tuple of positional or a dict of keyword arguments."""
    output: Tensor
    if isinstance(inputs, Tensor):
        output = model(inputs)
    elif isinstance(inputs, tuple | list):
        output = model(*inputs)
    elif isinstance(inputs, Mapping):
        output = model(**inputs)
    else:
        output = model(inputs)
    return output


def pair(batch: Any) -> tuple[Any, Tensor]:
    """The default `unpack`: a batch that is a pair of inputs and target."""
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise UsageError(
        f"a batch must be (inputs, target), got {told(batch)}; give Problem(unpack=...) that turns your batch into (inputs, target)"
    )


def torch_loss(loss: Any) -> str:
    """The name in torch.nn or torch.nn.functional of a loss that is torch's own; "" for the user's, also one that shares a name."""
    if getattr(loss, "__module__", "") == "torch.nn.functional":
        return str(loss.__name__)
    own = type(loss)
    return own.__name__ if getattr(nn, own.__name__, None) is own and issubclass(own, nn.modules.loss._Loss) else ""


def told(batch: Any) -> str:
    """What a batch is, for messages: "a list of 3", "a dict of x, y", "a Tensor"."""
    if isinstance(batch, Mapping):
        return f"a {type(batch).__name__} of {', '.join(map(str, batch))}"
    return f"a {type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"


def _check_own_parts(problem: Problem) -> None:
    if isinstance(problem.optimizer, torch.optim.Optimizer):
        if not isinstance(problem.model, nn.Module):
            raise UsageError(
                "an optimizer object belongs to one model; give model as that module, or optimizer as a function model -> optimizer"
            )
    elif problem.optimizer is not None and not callable(problem.optimizer):
        raise UsageError(f"optimizer must be a torch Optimizer or a function model -> optimizer, got {type(problem.optimizer).__name__}")
    if problem.scheduler is not None and problem.optimizer is None:
        raise UsageError("a scheduler needs the optimizer that it schedules; give optimizer too")
    clip = problem.clip
    if clip is not None and not callable(clip) and (isinstance(clip, bool) or not isinstance(clip, int | float) or not clip > 0):
        raise UsageError(f"clip must be a positive global norm or a function parameters -> None, got {clip!r}")


def refuse_strangers(problem: Problem) -> None:
    """Refuse parts that do not belong together, before a training starts from them; a problem that is only looked at may hold them."""
    if isinstance(problem.optimizer, torch.optim.Optimizer) and isinstance(problem.model, nn.Module):
        mine = {id(parameter) for parameter in problem.model.parameters()}
        held = [parameter for group in problem.optimizer.param_groups for parameter in group["params"]]
        if not any(id(parameter) in mine for parameter in held):
            raise UsageError("the optimizer holds none of the model's parameters; build it from the same module that you give as model")
    if hasattr(problem.scheduler, "optimizer") and problem.scheduler.optimizer is not problem.optimizer:
        raise UsageError("the scheduler belongs to another optimizer; build it from the optimizer that you give, or give a function")


def _takes(function: Callable[..., Any], count: int) -> bool:
    """Whether a function can be called with so many arguments; one that shows no signature can."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        close = nearest(value, allowed, 1)
        raise UsageError(f"{name} must be one of {', '.join(allowed)}, got {value!r}{f'; did you mean {close[0]}?' if close else ''}")


def _whole(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{name} must be a whole number of at least 1, got {value!r}")


def rows_in(batch: Any) -> int:
    """How many examples a raw batch holds: the common first dimension of its tensors."""
    return next((len(leaf) for leaf in leaves(batch) if leaf.ndim), 0)
