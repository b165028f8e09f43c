"""Perplexity

What it does:
    exp(log loss): the number of equally likely classes that would be as hard to guess; 1 is perfect, the number of classes is guessing.
When it suits:
    Language and other sequences over a vocabulary, where others report it. It orders models exactly as log_loss does.
When it does not:
    Vocabularies differ: it is per token, so models with different tokens cannot be compared. For anything else log_loss says the same.
Source:
    Jelinek, Mercer, Bahl and Baker (1977), "Perplexity: a measure of the difficulty of speech recognition tasks".
"""

from __future__ import annotations

import math

from fallline.metrics import Metric
from fallline.metrics._means import mean_of
from fallline.metrics.log_loss import each

ENTRY = Metric(
    name="perplexity",
    title="Perplexity",
    direction="min",
    best=1.0,
    tasks=("multiclass", "sequence"),
    whole=mean_of(each, math.exp),
    each=each,
    of_mean=math.exp,  # never overflows: log_loss keeps probabilities above the smallest float, whose -log is 708
    source="Jelinek et al., 1977, https://doi.org/10.1121/1.2016299",
    aliases=("ppl",),
)
