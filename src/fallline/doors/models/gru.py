"""The default model for sequences: a GRU (Cho et al., 2014, arXiv:1406.1078) that ends where each sequence ends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SequenceGRU(nn.Module):
    """Reads sequences (sequences, steps, channels) with the length of each; what follows an end changes nothing.

    Args:
        channels: numbers a step.
        outputs: outputs a sequence, or a step; one output is given as (sequences,), several as (sequences, outputs).
        each_step: an output for every step, (sequences, outputs, steps), from what was read up to it; else one from the last state.
        hidden: units of the state.
        dropout: share of the state dropped in training before the outputs.
        start: what the untrained outputs lie around, such as the log-shares of the classes; zeros when left out.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        each_step: bool = False,
        hidden: int = 64,
        dropout: float = 0.1,
        start: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, outputs)
        self.single = outputs == 1
        self.each_step = each_step
        if start:
            with torch.no_grad():
                self.head.bias.copy_(torch.as_tensor(start))

    def forward(self, steps: Tensor, length: Tensor) -> Tensor:
        states, _ = self.gru(steps)
        if self.each_step:
            each: Tensor = self.head(self.dropout(states)).transpose(1, 2)
            return each
        last = states[torch.arange(len(states), device=states.device), length - 1]
        output: Tensor = self.head(self.dropout(last))
        return output.squeeze(1) if self.single else output
