"""Kept: what a training keeps of its optimizer and of a loss that learns, and how it is taken over again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fallline._parts import learnt


def loss_state(loss: Any) -> dict[str, Tensor] | None:
    """What a loss that learns has learnt; None for all others."""
    return loss.state_dict() if learnt(loss) else None


def restore_loss(loss: Any, state: Mapping[str, Any]) -> None:
    """Take over what a loss had learnt in the `state` of a training."""
    if state.get("loss") is not None:
        loss.load_state_dict(state["loss"])


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """`optimizer.load_state_dict(state)`, with every number in the precision in which it was kept.

    torch casts state to the parameters' dtype: NAdam's product of momenta, kept in float32, then goes on in float64 and elsewhere. What
    belongs to no parameter stands under a word instead of a number.
    """
    optimizer.load_state_dict(state)
    saved = [values for _, values in sorted((key, values) for key, values in state["state"].items() if isinstance(key, int))]
    order = [parameter for group in optimizer.param_groups for parameter in group["params"] if parameter in optimizer.state]
    for parameter, values in zip(order, saved, strict=False):
        for name, value in values.items():
            if isinstance(value, Tensor) and not value.ndim and optimizer.state[parameter][name].dtype != value.dtype:
                optimizer.state[parameter][name] = value.clone()
