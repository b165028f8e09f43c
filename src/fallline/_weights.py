"""Weights: local files of a model's weights, and how a model is filled from one. What does not fit stays as the model was made."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fallline._counted import counted
from fallline._errors import RefusedError, UsageError

SAFETENSORS = ".safetensors"
TORCH = (".pt", ".pth", ".bin")  # as torch.save writes them
WRAPPERS = ("state_dict", "model_state_dict", "model")  # where training loops keep a model's weights in a checkpoint
SHOWN = 4  # names that a line lists


def check_file(path: Path) -> None:
    """Refuse a file that cannot hold weights, by its name."""
    if path.suffix not in (SAFETENSORS, *TORCH):
        raise UsageError(f"weights must be a file that ends in {SAFETENSORS}, {', '.join(TORCH)}, got {path}")
    if not path.is_file():
        raise UsageError(f"no file {path} with weights for the model; the path counts from {Path.cwd()}")


def fill(model: nn.Module, path: Path) -> None:
    """The model's tensors take the values that the file has for their names, where the shapes agree.

    Raises:
        RefusedError: the file cannot be read, or none of its tensors fits.
    """
    held, _ = tensors_in(path)
    fitting = fits(model, held)
    if not fitting:
        theirs, ours = (", ".join(list(names)[:SHOWN]) for names in (held, model.state_dict()))
        raise RefusedError(f"{path} fits the model nowhere: it holds {theirs}, ..., the model has {ours}, ...; rename its tensors to match")
    model.load_state_dict(fitting, strict=False)


def fits(model: nn.Module, held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a file's tensors those that the model has, in the same shape."""
    own = model.state_dict()
    return {name: tensor for name, tensor in held.items() if name in own and own[name].shape == tensor.shape}


def unfilled(model: nn.Module, path: Path) -> list[str]:
    """The parameters for which the file has no values."""
    fitting = fits(model, tensors_in(path)[0])
    return [name for name, _ in model.named_parameters() if name not in fitting]


def tensors_in(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors in a file by name, and under which key of a checkpoint they lay; "" for a file of tensors alone.

    Nothing in a file is run: torch.load reads it with weights_only.
    """
    try:
        held: Any = load_file(path) if path.suffix == SAFETENSORS else torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RefusedError(f"{path} holds more than tensors, and to read it could run code; save model.state_dict() instead") from error
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        raise RefusedError(f"cannot read weights from {path}: {error}; save model.state_dict() with torch.save or safetensors") from error
    key = ""
    if isinstance(held, Mapping) and not _all_tensors(held):
        key = next((name for name in WRAPPERS if isinstance(held.get(name), Mapping) and _all_tensors(held[name])), "")
        held = held.get(key)
    if not isinstance(held, Mapping) or not held:
        raise RefusedError(f"{path} holds no tensors by name; save model.state_dict()")
    return dict(held), key


def told(model: nn.Module, path: Path) -> str:
    """What of the model was filled from the file, in words."""
    fresh, total = unfilled(model, path), sum(1 for _ in model.parameters())
    shown = ", ".join(fresh[:SHOWN]) + (", ..." if len(fresh) > SHOWN else "")
    made = f"; as they are made: {shown}" if fresh else ""
    return f"weights of {path.name} for {total - len(fresh)} of {counted(total, 'parameter')}{made}"


def digest(path: Path) -> str:
    """The file's contents as a short text, so that a resumed race knows whether it is the same file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _all_tensors(held: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(value, Tensor) for name, value in held.items())
