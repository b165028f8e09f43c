"""The default model for texts: embedded tokens, a look at their neighbours, and attention that pools them into one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class TextNet(nn.Module):
    """Reads codes of tokens (texts, length); 0 is padding, which changes nothing however much of it there is.

    Args:
        tokens: number of codes, padding and unknown included.
        outputs: outputs a text; one output is given as (texts,), several as (texts, outputs).
        width: dimensions of a token.
        reach: tokens that a convolution sees at once, odd.
        depth: convolutions, each beside a shortcut.
        dropout: share of embedded and of pooled values dropped in training.
        start: what the untrained outputs lie around, such as the log-shares of the classes; zeros when left out.
    """

    def __init__(
        self,
        tokens: int,
        outputs: int,
        width: int = 128,
        reach: int = 3,
        depth: int = 1,
        dropout: float = 0.3,
        start: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width, padding_idx=0)
        self.neighbours = nn.ModuleList(nn.Conv1d(width, width, reach, padding=reach // 2) for _ in range(depth))
        self.importance = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, outputs)
        self.single = outputs == 1
        with torch.no_grad():
            self.embedding.weight.mul_(0.3)  # smaller than torch's unit variance: a token earns its weight
            if start:
                self.head.bias.copy_(torch.as_tensor(start))

    def forward(self, codes: Tensor) -> Tensor:
        there = (codes != 0).unsqueeze(2)
        x = self.dropout(self.embedding(codes))
        for convolution in self.neighbours:
            x = (x + convolution(x.transpose(1, 2)).transpose(1, 2).relu()) * there
        share = self.importance(x).masked_fill(~there, -1e9).softmax(dim=1)  # not -inf: a row of padding alone would give NaN
        highest = x.masked_fill(~there, -1e9).amax(dim=1)
        output: Tensor = self.head(self.dropout(torch.cat([(share * x).sum(dim=1), highest], dim=1)))
        return output.squeeze(1) if self.single else output
