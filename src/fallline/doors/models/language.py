"""The default model for running text: a GRU (Cho et al., 2014, arXiv:1406.1078) that predicts each next character."""

from __future__ import annotations

from torch import Tensor, nn


class CharGRU(nn.Module):
    """Reads codes (pieces, length) and gives logits (pieces, symbols, length): at each place for the character that follows.

    Args:
        symbols: number of codes, unknown included.
        width: dimensions of a character.
        hidden: units of the state.
        dropout: share of the state dropped in training before the outputs.
    """

    def __init__(self, symbols: int, width: int = 64, hidden: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, codes: Tensor) -> Tensor:
        states, _ = self.gru(self.embedding(codes))
        output: Tensor = self.head(self.dropout(states)).transpose(1, 2)
        return output
