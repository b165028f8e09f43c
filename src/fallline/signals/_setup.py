"""Setup: the user's present set-up, opened without splitting anything off, as objects that can be made, run and thrown away.

What raises while it is made is kept as evidence: a set-up under suspicion may be wrong in any way.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from fallline._batches import EVAL_BATCH, INIT, Batches, Order, Source, leaves, seeded, stream
from fallline._bench import autocast
from fallline._data import default_batch_size, default_epochs, source_of
from fallline._errors import FalllineError
from fallline._model import refuse_meta
from fallline._parts import copied_scheduler
from fallline._problem import Problem, call, pair
from fallline.signals import Unavailable
from fallline.signals._plain import plain_loss

CPU = torch.device("cpu")
PROBE_ROWS = 512  # rows of a probe: a share of 1 % is seen, any model passes them forward in well under a second
WORK = 4e9  # floating-point operations of one measurement before training: some tenths of a second on one core
MANY_ANSWERS = 1000  # numbers in the target of an example: a mask of 32 by 32, the codes of a text


@dataclass(frozen=True)
class Raised:
    """What the user's own code raised, and where."""

    where: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.where} raised {self.kind}: {self.message}"


@dataclass
class Made:
    """One copy of the set-up: it may be trained and thrown away."""

    model: nn.Module
    loss: Callable[[Any, Tensor], Any]
    optimizer: torch.optim.Optimizer | None
    scheduler: Any
    clip: Callable[[Any], object] | None


@dataclass
class Spent:
    """Seconds of training so far, over all copies and variants of one set-up."""

    seconds: float = 0.0


@dataclass
class Setup:
    """The set-up of a problem, or what of it is at hand."""

    problem: Problem
    run_for: float = 30.0  # seconds that training copies may take in all
    raised: list[Raised] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    seed: int = 0

    def __post_init__(self) -> None:
        self.train, self.order, own_batch = self._open("train")
        self.valid = self._open("valid")[0] if self.problem.valid is not None else None
        rows = 0 if self.train is None else self.train.size
        self.batch_size = min(self.problem.batch_size or own_batch or default_batch_size(rows), max(rows, 1))
        self.unpack = self.problem.unpack or pair
        self._template: nn.Module | None = None
        self._batches: Batches | None = None
        self._plain: Callable[[Any, Tensor], Any] | None = None
        self._answers = 0.0  # numbers in the target of an example
        self._operations = -1.0  # of a forward pass over one example; negative: not counted yet

    def _open(self, split: str) -> tuple[Source | None, dict[str, Any], int | None]:
        with seeded(stream(self.seed, INIT)):
            try:
                source, order, _ = source_of(split, getattr(self.problem, split), self.problem)
            except FalllineError as error:
                self.raised.append(Raised(f"opening {split}", type(error).__name__, str(error)))
                return None, {}, None
        size = order.pop("batch_size", None)
        order["shuffle"] = order.get("shuffle", True) and self.problem.shuffle
        return source, order, size

    def left(self, share: float) -> float:
        """Seconds that one measurement may train: its share of the time, while there is so much left."""
        return max(min(self.run_for * share, self.run_for - self.spent.seconds), 0.0)

    def varied(self, **changes: Any) -> Setup:
        """The set-up with some arguments of its problem changed; the time for training stays one."""
        return Setup(replace(self.problem, **changes), run_for=self.run_for, spent=self.spent, seed=self.seed)

    # data

    def batches(self) -> Batches:
        """Training batches, as the user's own loader would give them."""
        if self.train is None or not self.train.size:
            raise Unavailable("there are no training examples that can be read")
        order = Order(self.train.size, self.batch_size, seed=self.seed, **self.order)
        return Batches(self.train, order, self.unpack, CPU, own_unpack=self.unpack is not pair)

    def batch(self, k: int) -> tuple[Any, Tensor]:
        """Training batch k.

        Raises:
            Unavailable: the user's dataset or unpack raised; kept in `raised` too.
        """
        if self._batches is None:
            self._batches = self.batches()
        try:
            return self._batches(k)
        except Exception as error:  # whatever the user's dataset, collate function or unpack raises
            raise Unavailable(str(self.told("reading a batch", error))) from error

    def sample(self, split: str = "train", rows: int = PROBE_ROWS) -> tuple[Any, Tensor]:
        """Inputs and target of some examples of a split, drawn by the seed, always the same ones."""
        source: Source | None = getattr(self, split)
        if source is None:
            raise Unavailable(f"there are no {split} examples that can be read")
        generator = torch.Generator().manual_seed(self.seed)
        chosen = torch.randperm(source.size, generator=generator)[:rows].sort().values
        return self.take(source, chosen)

    def affordable(self, rows: int, *, passes: int = 1, least: int = 32) -> int:
        """So many of `rows` examples that `passes` forward passes over them stay within `WORK`; counted, not timed, so always the same.

        `least` are taken all the same; of examples with an answer at every position an eighth of that, since each is a thousand answers.
        """
        if self._operations < 0:
            from torch.utils.flop_counter import FlopCounterMode

            inputs, target = self.sample(rows=2)
            with FlopCounterMode(display=False) as counter:
                self.judged(self.make().model, inputs)
            examples = max(len(target) if target.ndim else 1, 1)
            self._operations, self._answers = counter.get_total_flops() / examples, target.numel() / examples
        least = max(least // 8, 2) if self._answers >= MANY_ANSWERS else least
        return max(min(rows, int(WORK / max(passes * self._operations, 1.0))), min(least, rows))

    def take(self, source: Source, rows: Tensor) -> tuple[Any, Tensor]:
        try:
            with seeded(stream(self.seed, INIT)):
                inputs, target = self.unpack(source.take(rows, 0))
        except Exception as error:  # whatever the user's dataset, collate function or unpack raises
            raise Unavailable(str(self.told("reading examples", error))) from error
        if not isinstance(target, Tensor):
            raise Unavailable(f"the target is {type(target).__name__}, no tensor")
        return inputs, target

    def whole(self, split: str, most: int) -> Iterator[tuple[Any, Tensor]]:
        """A split in order, at most so many examples, in large batches."""
        source: Source | None = getattr(self, split)
        if source is None:
            raise Unavailable(f"there are no {split} examples that can be read")
        for rows in torch.arange(min(source.size, most)).split(EVAL_BATCH):
            yield self.take(source, rows)

    @property
    def per_epoch(self) -> int:
        """Updates an epoch; in a loop of the user's own, batches an epoch."""
        batches = self.batches().per_epoch
        return batches if self.problem.loop is not None else max(batches // self.problem.accumulate, 1)

    @property
    def epochs(self) -> float:
        """Length of the training in passes: what the user said, else what the written rule says."""
        if self.problem.epochs is not None:
            return float(self.problem.epochs)
        return default_epochs(0 if self.train is None else self.train.size, self.batch_size, "mlp")

    @property
    def length(self) -> int:
        """Length of the training in updates."""
        return max(math.ceil(self.epochs * self.per_epoch), 1)

    # objects

    def told(self, where: str, error: Exception) -> Raised:
        """Remember what the user's code raised."""
        found = Raised(where, type(error).__name__, str(error).strip() or "no message")
        if found not in self.raised:
            self.raised.append(found)
        return found

    def make(self, seed: int | None = None) -> Made:
        """A fresh copy of everything; the user's objects are not touched.

        Raises:
            Unavailable: the user's own function raised; kept in `raised` too.
        """
        problem, where = self.problem, "making the model"
        own = isinstance(problem.optimizer, torch.optim.Optimizer)
        try:
            with seeded(stream(self.seed if seed is None else seed, INIT)):
                if isinstance(problem.model, nn.Module) and own:  # copied together, so that whatever they share stays shared
                    model, optimizer = copy.deepcopy((problem.model, problem.optimizer))
                    if not model.training:  # as a problem's new model: left in eval mode as a whole, as pretrained models come
                        model.train()
                else:
                    model, optimizer = self._model(self.seed if seed is None else seed), None
                self._materialise(model)
                where = "making the optimizer"
                if problem.optimizer is None:
                    optimizer = torch.optim.AdamW(model.parameters())
                elif not own:
                    optimizer = problem.optimizer(model)
                where = "making the scheduler"
                scheduler = problem.scheduler
                if scheduler is not None:
                    theirs = getattr(scheduler, "optimizer", None)
                    scheduler = (
                        scheduler(optimizer) if theirs is None else copied_scheduler(scheduler, theirs, self._scheduled(theirs, optimizer))
                    )
        except Unavailable:
            raise
        except Exception as error:  # whatever the user's functions raise
            raise Unavailable(str(self.told(where, error))) from error
        loss = copy.deepcopy(problem.loss) if isinstance(problem.loss, nn.Module) else problem.loss or self.plain_loss(model)
        return Made(model, loss, optimizer, scheduler, self._clip())

    def _scheduled(self, theirs: torch.optim.Optimizer, made: torch.optim.Optimizer | None) -> torch.optim.Optimizer:
        """What the user's scheduler object acts on: the copied optimizer, or a copy of the stranger that it was built for."""
        return made if theirs is self.problem.optimizer and made is not None else copy.deepcopy(theirs)

    def _model(self, seed: int) -> nn.Module:
        try:
            return self.problem.new_model(seed)
        except FalllineError:
            if self._template is None:
                made = self.problem.model() if callable(self.problem.model) else None
                if not isinstance(made, nn.Module):
                    raise
                refuse_meta(made)
                self._template = made
            return copy.deepcopy(self._template)  # the function gives the same module each time

    def _materialise(self, model: nn.Module) -> None:
        """Lazy layers get their weights before the optimizer reads them."""
        if any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in model.parameters()):
            with torch.no_grad():
                self.forward(model, self.sample(rows=2)[0])

    def _clip(self) -> Callable[[Any], object] | None:
        clip = self.problem.clip
        if clip is None or callable(clip):
            return clip  # type: ignore[no-any-return]  # the user's own function
        return lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, max_norm=float(clip))

    def forward(self, model: nn.Module, inputs: Any) -> Tensor:
        """The model's output, in the user's precision; `Unavailable` where the model raises or gives no tensor."""
        try:
            with autocast(self.problem.precision, CPU):
                output = call(model, inputs)
        except Exception as error:  # whatever the user's model raises
            raise Unavailable(str(self.told("the model's forward pass", error))) from error
        if not isinstance(output, Tensor):
            raise Unavailable(f"the model gives {type(output).__name__}, no tensor")
        return output

    def plain_loss(self, model: nn.Module) -> Callable[[Any, Tensor], Any]:
        """The loss that is taken where the user gives none."""
        if self._plain is None:
            inputs, target = self.sample(rows=8 if self.sample(rows=2)[1].numel() >= 2 * MANY_ANSWERS else 64)
            self._plain = plain_loss(self.problem.task, self.judged(model, inputs), target)
        return self._plain

    def loss_on(self, made: Made, split: str = "train", rows: int = PROBE_ROWS) -> float:
        """Their loss on the same examples each time, in eval mode, every module's own mode put back; inf where it cannot be computed."""
        inputs, target = self.sample(split, rows)
        output = self.judged(made.model, inputs)
        try:
            with torch.no_grad():
                return float(torch.as_tensor(made.loss(output, target)).float().mean())
        except Exception as error:  # whatever the user's loss raises
            raise Unavailable(str(self.told("the loss", error))) from error

    def judged(self, model: nn.Module, inputs: Any, draw: int = 0) -> Tensor:
        """The output in eval mode without gradients, every module's own mode put back; what it draws, it draws under `draw`."""
        modes = [(module, module.training) for module in model.modules()]
        try:
            with torch.no_grad(), seeded(stream(self.seed, INIT, draw)):
                return self.forward(model.eval(), inputs)
        finally:
            for module, mode in modes:
                module.training = mode

    def floats(self, inputs: Any) -> list[Tensor]:
        """The floating-point tensors among the inputs, detached."""
        return [leaf.detach() for leaf in leaves(inputs) if leaf.is_floating_point()]
