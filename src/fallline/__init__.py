"""Fallline chooses loss, optimizer, learning rate, schedule, weight decay and clipping for a PyTorch model, on evidence.

Problem -> Profile -> catalogue -> candidate Recipes -> race (plan, engine, policy) -> Verdict
                                                           |
                                    runs/<id>/: journal, plan, recipe.toml, model.safetensors -> reports, exporters, resume
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fallline._check import Findings as Findings
    from fallline._check import check as check
    from fallline._choose import choose as choose
    from fallline._choose import resume as resume
    from fallline._errors import FalllineError as FalllineError
    from fallline._errors import RefusedError as RefusedError
    from fallline._errors import UsageError as UsageError
    from fallline._fix import fix as fix
    from fallline._problem import Problem as Problem
    from fallline._recipe import Recipe as Recipe
    from fallline._repair import Repair as Repair
    from fallline._result import Verdict as Verdict
    from fallline._train import train as train
    from fallline._watch import watch as watch
    from fallline.callbacks.hf import TrainerWatch as TrainerWatch
    from fallline.callbacks.lightning import LightningWatch as LightningWatch
    from fallline.doors import open_problem as open_problem
    from fallline.rules import Finding as Finding

# In the order of the flow; each is imported when it is first used, so that `fallline --help` does not wait for torch.
_PUBLIC = {
    "Problem": "fallline._problem",
    "open_problem": "fallline.doors",
    "choose": "fallline._choose",
    "resume": "fallline._choose",
    "Verdict": "fallline._result",
    "Recipe": "fallline._recipe",
    "train": "fallline._train",
    "check": "fallline._check",
    "fix": "fallline._fix",
    "Repair": "fallline._repair",
    "watch": "fallline._watch",
    "Findings": "fallline._check",
    "Finding": "fallline.rules",
    "FalllineError": "fallline._errors",
    "UsageError": "fallline._errors",
    "RefusedError": "fallline._errors",
}
# Only where their framework is installed; otherwise they say what to install, so `from fallline import *` leaves them out.
_EXTRA = {"LightningWatch": "fallline.callbacks.lightning", "TrainerWatch": "fallline.callbacks.hf"}
__all__ = list(_PUBLIC)  # a list of the table's names


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name) or _EXTRA.get(name)
    if module is None:
        raise AttributeError(f"module 'fallline' has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted({**_PUBLIC, **_EXTRA})
