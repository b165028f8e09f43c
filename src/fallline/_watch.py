"""Watch: what hooks see of anybody's own training loop, judged by the same rules as `check`; the loop itself is not changed."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from fallline._check import Findings, findings_of, outcome_of
from fallline._problem import Problem
from fallline.rules import rules
from fallline.signals import Signal, Unavailable, Window, parameters, trace
from fallline.signals._drive import Driven
from fallline.signals._setup import Made, Setup
from fallline.signals._watcher import Watcher

if TYPE_CHECKING:
    import torch
    from torch import nn

STRIDE = 1.2  # each look comes at this many times the update of the one before: a hundred looks in a training of a hundred million updates
DENSE = 5  # first updates that are all looked at: what is wrong with a loop shows at once
KEPT = 20_000_000  # numbers of which a copy is kept, to see what never moves; beyond it only the smallest parameters

Record = TypeVar("Record")


class watch:  # noqa: N801  # used as a function is: `with fallline.watch(model, optimizer) as seen`
    """Watches the loop inside its `with` block; `findings` are there when the block has ended, also when it ended with an error.

    Args:
        model: the module that is trained; its own forward must be called (not that of a wrapper around its parts).
        optimizer: the optimizer that steps it.
        loss: a module with parameters of its own, if the loss is one.
        hears: forward passes are heard by a hook on the model; a framework's callback, which is told when the loop goes backward, says so
            itself.
    """

    findings: Findings

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, *, loss: nn.Module | None = None, hears: bool = True) -> None:
        self.model, self.optimizer, self.loss, self.hears = model, optimizer, loss, hears
        self._next = DENSE

    def __enter__(self) -> watch:
        self._before = _copies(self.model)
        self.watcher = Watcher(self.model, self.optimizer, self._due, deep=False, hears=self.hears)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.watcher.close()
        self.findings = self._judged()

    def __str__(self) -> str:
        return str(self.findings)

    def _due(self, update: int) -> bool:
        if update < DENSE:
            return True
        if update < self._next:
            return False
        if update > self._next:  # two updates in a row are looked at: one must be seen from its beginning
            self._next = int(update * STRIDE) + 1
        return True

    def _judged(self) -> Findings:
        made = Made(self.model, self.loss or _no_loss, self.optimizer, None, None)
        events = self.watcher.events
        run = Driven(updates=events.updates, epochs=1, whole=False)
        bad = "" if events.first_bad is None else f"the gradient of a parameter at update {events.first_bad}"
        seen = trace.Trace(
            run=run, events=events, looks=(), made=made, before=self._before, length=10 * events.updates + 10, first_bad=bad,
            groups=tuple({key: value for key, value in group.items() if key != "params"} for group in self.optimizer.param_groups),
        )  # fmt: skip
        known = {"trace": seen, "parameters": parameters.parameters_of(self.model, self.optimizer, self.loss)}
        window = _Seen(_Live(self, made), known)
        return findings_of({rule.code: outcome_of(rule, window, offers=False) for rule in rules().values() if rule.stage != "crash"})


class _Seen(Window):
    """A window on a loop of which only hooks know: no other signal can be measured."""

    def read(self, signal: Signal[Record]) -> Record:
        if signal.name not in self._measured:
            raise Unavailable(f"{signal.title[0].lower()}{signal.title[1:]}: not measured in a watched loop; fallline.check does")
        record: Record = self._measured[signal.name]
        return record


class _Live(Setup):
    """The objects of a running loop, read where they are; there is no problem, no data, and nothing is copied."""

    def __init__(self, watched: watch, made: Made) -> None:
        self.problem = Problem(model=watched.model, train=(), optimizer=watched.optimizer, loop=_their_loop)
        self.run_for, self.raised, self.seed = 0.0, [], 0
        self.train = self.valid = None
        self._made = made

    def make(self, seed: int | None = None) -> Made:
        return self._made


def _their_loop(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
    """Stands for the loop in which the hooks are; it is never called."""


def _no_loss(output: Any, target: Any) -> Any:
    raise Unavailable("the loss is not known in a watched loop")


def _copies(model: nn.Module) -> dict[str, Any]:
    """Copies of the trainable parameters, the smallest first, up to a limit."""
    kept, room = {}, KEPT
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for name, parameter in sorted(named, key=lambda item: item[1].numel()):
        room -= parameter.numel()
        if room < 0:
            break
        kept[name] = parameter.detach().clone()
    return kept
