"""Watching: what all callbacks share: one watch from the begin of a training to its end, and a reason where there can be none."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline._check import Findings, findings_of
from fallline._watch import watch
from fallline.rules import NotApplicable, rules

if TYPE_CHECKING:
    import torch
    from torch import nn

LOG = logging.getLogger("fallline")
MISSING = "{name} needs {framework}, which is not installed; pip install 'fallline[{extra}]'"


class Watching:
    """Begins and ends a watch; `findings` is None before the first training has ended."""

    findings: Findings | None = None
    _watch: watch | None = None

    def begin(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], *, hears: bool = True, sharded: str = "") -> None:
        """Watch this training; `sharded` names a strategy under which a process holds parts of the parameters only."""
        self.findings, self._watch = None, None
        if sharded:
            self.findings = _unasked(f"under {sharded} a process sees parts of the parameters only")
        elif len(optimizers) != 1:
            self.findings = _unasked(f"one optimizer is watched, and this training has {len(optimizers)}; fallline.watch takes one of them")
        else:
            self._watch = watch(model, optimizers[0], hears=hears).__enter__()

    @property
    def running(self) -> watch | None:
        return self._watch

    def end(self, *, speaks: bool) -> None:
        """The training is over; one process of several speaks."""
        if self._watch is None:
            return
        seen, self._watch = self._watch, None
        seen.__exit__(None, None, None)
        self.findings = seen.findings
        if speaks and any(finding.severity != "info" for finding in seen.findings):
            LOG.warning("%s", seen.findings)


def _unasked(reason: str) -> Findings:
    return findings_of({code: NotApplicable(reason) for code in rules()})
