"""Check: what is wrong with a set-up, asked before it is trained in full: its objects first, then a short watched run of a copy."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from fallline._batches import seeded
from fallline._problem import Problem
from fallline._setting import threads
from fallline.rules import Finding, NotApplicable, Outcome, Rule, judged, offered, rules
from fallline.rules._order import ranked
from fallline.signals import Window
from fallline.signals._setup import Setup

RUN_FOR = 30.0  # seconds of the watched run at most: enough for a schedule of a small model to show its shape, short enough to wait for


class Findings(tuple[Finding, ...]):
    """What was found, the root first; with what could not be asked, and why."""

    not_applicable: dict[str, str]  # code of a rule -> the reason
    silent: tuple[str, ...]  # codes of the rules that found nothing
    seconds: float

    def __str__(self) -> str:
        from fallline.reports._findings import told

        return told(self)


def check(problem: Problem, *, run_for: float = RUN_FOR) -> Findings:
    """Look for faults in the user's set-up; nothing is split off, and the user's objects stay as they are.

    Args:
        problem: the set-up under suspicion; it may be wrong in any way, also such that it raises.
        run_for: seconds that training a copy of it may take; 0: the objects and the data alone.
    """
    began = time.perf_counter()
    with threads(1), seeded(0), untouched(problem):
        window = Window(Setup(problem, run_for=run_for))
        known = sorted(rules().values(), key=lambda rule: rule.stage == "crash")  # what raised is known when all others have looked
        outcomes = {rule.code: outcome_of(rule, window) for rule in known}
    return findings_of(outcomes, time.perf_counter() - began)


def outcome_of(rule: Rule, window: Window, *, offers: bool = True) -> Outcome:
    """A rule that fails on a set-up nobody thought of says so; the others still look. `offers`: a finding comes with the changes for it."""
    try:
        outcome = judged(rule, window)
        return offered(rule, window, outcome) if offers and isinstance(outcome, Finding) else outcome
    except Exception as error:  # a fault of the rule, or of the user's code in a place where it was not expected
        return NotApplicable(f"the rule itself failed: {type(error).__name__}: {error}")


def findings_of(outcomes: Mapping[str, Outcome], seconds: float = 0.0) -> Findings:
    """The outcomes of all rules by code, as findings in their order."""
    found = Findings(ranked([outcome for outcome in outcomes.values() if isinstance(outcome, Finding)], rules()))
    found.not_applicable = {code: outcome.reason for code, outcome in outcomes.items() if isinstance(outcome, NotApplicable)}
    found.silent = tuple(code for code, outcome in outcomes.items() if outcome is None)
    found.seconds = seconds
    return found


@contextlib.contextmanager
def untouched(problem: Problem) -> Iterator[None]:
    """A module that the user gave has its weights, buffers, gradients and modes again afterwards: their loop or loss may reach it."""
    model = problem.model
    if not isinstance(model, nn.Module):
        yield
        return
    kept = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers()) if tensor.is_leaf]
    gradients = [(tensor, tensor.grad) for tensor in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in kept:
                if tensor.shape == value.shape and not torch.equal(tensor, value):
                    tensor.copy_(value)
        for tensor, gradient in gradients:
            tensor.grad = gradient
        for module, mode in modes:
            module.training = mode
