"""Model: what a model may be given as, and how a fresh one is made from it."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fallline._errors import FalllineError, RefusedError, UsageError, nearest, unknown
from fallline._weights import check_file

KEYS = ("factory", "keywords", "weights")

_made_so_far: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()  # by id: the weights that functions have returned


@dataclass(frozen=True)
class Given:
    """A model as it was given: a module, a function or the name of either, the keywords of the call, and the file of its first weights."""

    factory: Any
    keywords: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None

    @classmethod
    def of(cls, model: Any) -> Given:
        if isinstance(model, Mapping):
            file = model.get("weights")
            return cls(model.get("factory"), model.get("keywords", {}), None if file is None else Path(file))
        return cls(*model) if isinstance(model, tuple) and len(model) == 2 else cls(model)

    def found(self) -> Any:
        """The module or the function that makes it, imported where it is named."""
        return imported(self.factory) if isinstance(self.factory, str) else self.factory


def check_model(model: Any) -> None:
    """Refuse what is neither a function, nor a module with numbers in it, nor the name of one."""
    if isinstance(model, Mapping):
        for key in model:
            if key not in KEYS:
                raise unknown("key in model", str(key), KEYS)
        if not isinstance(model.get("weights", ""), str | Path):
            raise UsageError(f"weights must be the path of a file, got {type(model['weights']).__name__}")
    given = Given.of(model)
    named = isinstance(given.factory, str)
    alone = not isinstance(model, tuple) or named  # a tuple is a name with keywords
    if not (alone and (named or callable(given.factory)) and isinstance(given.keywords, Mapping)):
        wanted = (
            'a function without arguments, a Module, or "package.module:name", alone or with keywords, '
            'or {"factory": any of these, "weights": a file}'
        )
        raise UsageError(f"model must be {wanted}, got {type(model).__name__}")
    if isinstance(given.factory, nn.Module):
        refuse_meta(given.factory)
    if given.weights is not None:
        check_file(given.weights)


def made(factory: Any, keywords: Mapping[str, Any]) -> nn.Module:
    """A new module by a user's function; refuses one that it has returned before."""
    try:
        model = factory(**keywords)
    except FalllineError:
        raise
    except Exception as error:  # whatever the user's function raises
        called = (
            f"{getattr(factory, '__name__', type(factory).__name__)}({', '.join(f'{key}={value!r}' for key, value in keywords.items())})"
        )
        hint = "" if keywords else "; give a function without arguments, such as lambda: MyModel(10), or a module"
        raise RefusedError(f"making the model, {called} raised {type(error).__name__}: {error}{hint}") from error
    if not isinstance(model, nn.Module):
        raise RefusedError(f"model must be a torch Module or a function that returns one, the function returned {type(model).__name__}")
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if any(_made_so_far.get(id(parameter)) is parameter for parameter in weights):
        raise RefusedError(
            "the function must build a new module on each call, it returned the same one, or one with the same weights; "
            "give the module itself as model to start every candidate from its weights"
        )
    _made_so_far.update({id(parameter): parameter for parameter in weights})
    return model


def imported(path: str) -> Any:
    """The object that "package.module:name" names; says plainly what is missing."""
    module_name, _, name = path.partition(":")
    if not name:
        raise UsageError(f'a model given by name is written "package.module:name", got {path!r}')
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's package raises while it loads
        versions = f"; {module_name.split('.')[0]} must match torch {torch.__version__}" if "torch" in module_name else ""
        raise UsageError(f"cannot import {module_name!r} for the model {path!r}: {type(error).__name__}: {error}{versions}") from error
    if not hasattr(module, name):
        close = nearest(name, dir(module))
        raise UsageError(f"{module_name} has no {name!r}{'; did you mean ' + ' or '.join(close) + '?' if close else ''}")
    return getattr(module, name)


def refuse_meta(model: nn.Module) -> None:
    """Refuse a model of shapes alone: nothing can be trained from weights that have no numbers."""
    named = next((name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta), None)
    if named is not None:
        raise RefusedError(
            f"{named} of the model lies on the meta device, where tensors have shapes and no numbers; make the model outside of "
            'torch.device("meta"), or give its tensors numbers with to_empty(device="cpu") and load_state_dict'
        )
