"""Optimizer steps over lanes: which columns of which lanes are updated by one call of a lane rule, and with what state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from fallline._parts import LaneParts

Key: TypeAlias = "tuple[Any, ...]"


@dataclass(frozen=True)
class Column:
    """Where one parameter lies in a lane's row."""

    name: str
    shape: torch.Size
    first: int
    matrix: bool  # a matrix or the kernel of a convolution: what decay acts on, and what some optimizers treat apart

    @property
    def end(self) -> int:
        return self.first + math.prod(self.shape)


def key_of(parts: LaneParts) -> Key:
    """Lanes with equal keys are updated by one call: the same rule, keeping the same state, with the same plain settings."""
    alike = tuple((name, parts.settings[name]) for name in parts.rule.alike)
    return id(parts.rule), parts.rule.keeps(parts.settings), alike


@dataclass
class Block:
    """Some lanes and some columns, stepped together."""

    rows: slice
    columns: tuple[Column, ...]
    parts: Sequence[LaneParts]
    apart: bool  # matrices that their optimizer treats apart
    state: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> Any:
        rule = self.parts[0].of_matrices if self.apart else self.parts[0].rule
        assert rule is not None
        return rule

    def view(self, rows: Tensor) -> Tensor:
        """This block of a tensor with one row a lane."""
        part = rows[self.rows, self.columns[0].first : self.columns[-1].end]
        return part.view(len(part), *self.columns[0].shape) if self.apart else part

    def open(self, weights: Tensor, optimizers: Sequence[torch.optim.Optimizer], modules: Sequence[Mapping[str, nn.Parameter]]) -> None:
        """Take state and settings over from the lanes' own optimizers."""
        here = self.view(weights)
        each = (len(here), *[1] * (here.ndim - 1))
        for name in self.rule.keeps(self.parts[0].settings):
            self.state[name] = torch.zeros_like(here, memory_format=torch.contiguous_format)
        for name, first in self.rule.scalars.items():
            # torch keeps such numbers in float32, whatever the weights are in
            self.state[name] = torch.full(each, first, dtype=torch.float32, device=here.device)
        for lane, (optimizer, parameters) in enumerate(zip(optimizers, modules, strict=True)):
            for column in self.columns:
                kept = optimizer.state.get(parameters[column.name], {})
                for name in self.state:
                    if kept.get(name) is not None:
                        self._slot(name, lane, column).copy_(kept[name])
        settings = [parts.settings for parts in self.parts]
        for name, value in settings[0].items():
            plain = name in self.rule.alike or not isinstance(value, int | float) or isinstance(value, bool)
            self.numbers[name] = value if plain else here.new_tensor([float(one[name]) for one in settings]).view(each)
        if self.parts[0].decay:
            self.numbers[self.parts[0].decay] = self._decay(here, each)

    def _decay(self, here: Tensor, each: tuple[int, ...]) -> Tensor:
        """Decay by lane, and by column where a lane has it on matrices only."""
        decay = here.new_tensor([float(parts.settings[parts.decay]) for parts in self.parts]).view(each)
        if self.apart or all(parts.decay_all for parts in self.parts):
            return decay
        on = torch.cat([torch.full((column.end - column.first,), column.matrix) for column in self.columns]).to(here.device)
        everywhere = torch.tensor([parts.decay_all for parts in self.parts], device=here.device).view(each)
        return decay * (on | everywhere)

    def step(self, weights: Tensor, gradients: Tensor, number: int, lr: Tensor) -> None:
        """One update; `lr` is (lanes, 1) over all lanes, `number` counts from 1."""
        here = self.view(weights)
        self.numbers["lr"] = lr[self.rows].view(len(here), *[1] * (here.ndim - 1))
        self.rule.update(here, self.view(gradients), self.state, number, self.numbers)

    def close(self, lane: int, optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], steps: int) -> None:
        """Give lane number `lane` of this block's lanes its state back, as its own optimizer would have it after so many steps."""
        if not steps:
            return
        for column in self.columns:
            parameter = parameters[column.name]
            kept: dict[str, Any] = {"step": torch.tensor(float(steps))} if self.rule.counts else {}
            for name in self.state:
                slot = self._slot(name, lane, column)
                kept[name] = slot.clone() if name in self.rule.scalars else slot.reshape(column.shape).clone()
            if kept:
                optimizer.state[parameter] = kept

    def _slot(self, name: str, lane: int, column: Column) -> Tensor:
        """The state of one parameter of one lane, to read or to write."""
        row = self.state[name][lane]
        if name in self.rule.scalars:
            return row.view(())
        if self.apart:
            return row
        first = column.first - self.columns[0].first
        return row[first : first + math.prod(column.shape)].view(column.shape)


def blocks_of(parts: Sequence[LaneParts], columns: Sequence[Column]) -> list[Block]:
    """The blocks of lanes that are ordered so that equal keys are neighbours; matrices come first among the columns."""
    blocks = []
    first = 0
    while first < len(parts):
        end = first
        while end < len(parts) and key_of(parts[end]) == key_of(parts[first]):
            end += 1
        rows, these = slice(first, end), parts[first:end]
        rest = tuple(columns)
        if these[0].of_matrices is not None:
            blocks += [Block(rows, (column,), these, apart=True) for column in columns if column.matrix]
            rest = tuple(column for column in columns if not column.matrix)
        if rest:
            blocks.append(Block(rows, rest, these, apart=False))
        first = end
    return blocks
