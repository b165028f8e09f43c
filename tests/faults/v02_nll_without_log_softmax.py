"""A recurrent topic classifier returns F.softmax(...) and is trained with nn.NLLLoss, which expects logarithms of probabilities.

The owner saw a loss that was negative from the first step, between -1 and 0, and wondered whether that was right. NLLLoss then only
picks out the probability of the right class, so an example that the model gets badly wrong, where p is near zero, sends next to no
gradient: some topics are never learnt.

Source: AnubhavGupta3377/Text-Classification-Models-Pytorch#9; clvrai/ACGAN-PyTorch#4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L04"
HARM = (0.535, 0.911)  # accuracy, faulty and healthy: means over three seeds
TOPICS, WORDS, LENGTH = 12, 300, 16


class TopicGRU(nn.Module):
    """Reads a sentence of word ids; the mean of its states says the topic."""

    def __init__(self, log: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 32)
        self.gru = nn.GRU(32, 48, batch_first=True)
        self.out = nn.Linear(48, TOPICS)
        self.log = log

    def forward(self, sentence: Tensor) -> Tensor:
        states, _ = self.gru(self.words(sentence))
        scores = self.out(states.mean(1))
        return functional.log_softmax(scores, dim=1) if self.log else functional.softmax(scores, dim=1)


def sentences(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Word ids drawn from a mixture: four words in ten belong to the topic, the rest to everyday language."""
    world = torch.Generator().manual_seed(20)
    everyday = torch.distributions.Dirichlet(torch.full((WORDS,), 0.2))
    generator = torch.Generator().manual_seed(seed)
    topic = torch.randint(TOPICS, (rows,), generator=generator)
    own = torch.stack([torch.randperm(WORDS, generator=world)[:15] for _ in range(TOPICS)])
    common = torch.rand(WORDS, generator=world).pow(4) * everyday.concentration
    words = torch.multinomial(common.expand(rows, WORDS), LENGTH, replacement=True, generator=generator)
    special = own[topic].gather(1, torch.randint(15, (rows, LENGTH), generator=generator))
    return torch.where(torch.rand(rows, LENGTH, generator=generator) < 0.4, special, words), topic


def setup(log: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: TopicGRU(log),
        train=sentences(1_600, seed=21),
        valid=sentences(600, seed=22),
        metric="accuracy",
        batch_size=32,
        epochs=10,
        loss=nn.NLLLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup(log=False)


def healthy() -> fallline.Problem:
    return setup(log=True)
