"""Negative log-likelihood

What it does:
Reads log-probabilities (the output of a log-softmax) and class numbers, and takes the mean of -output[y]. After a
log-softmax it is cross-entropy exactly; by itself it is nothing but a look-up, with a gradient of -1/n at the right
class and zero everywhere else, so all the work of comparing classes is left to the log-softmax.

When it suits:
The model already ends in log-softmax: tutorials of character RNNs, mixtures whose log-probabilities are added by
log-sum-exp, conditional models that multiply factors. Fallline offers it when the outputs are log-probabilities, that
is, when their exponentials add up to 1.

When it does not:
On raw logits it runs without a word and makes nonsense: the loss falls without bound because nothing keeps the logits
in check. A negative value of this loss proves that the outputs were no log-probabilities. On probabilities (softmax
without the log) it goes from -1/C to -1, learns slowly and ranks badly. If you can change the model, drop the
log-softmax and take cross_entropy, which also offers smoothing and weights.

Source:
R. A. Fisher, On the Mathematical Foundations of Theoretical Statistics (1922), for maximum likelihood.
torch.nn.NLLLoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.NLLLoss(ignore_index=int(h["ignore_index"]))


def suits(profile: Profile) -> float:
    # it applies to log-probabilities only, and is then what the model was made for
    return 1.0


ENTRY = Loss(
    name="nll",
    title="Negative log-likelihood",
    source="Fisher (1922); torch.nn.NLLLoss",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("multiclass", "ordinal", "sequence"),
    reads=("log-probability",),
    build=build,
    code=lambda h: f"torch.nn.NLLLoss(ignore_index={int(h['ignore_index'])})",
    stock="torch.nn.NLLLoss",
    plain_for=("multiclass", "ordinal", "sequence"),
    suits=suits,
    metrics=("log_loss", "perplexity", "accuracy", "top5_accuracy"),
    aliases=("nll_loss", "negative_log_likelihood"),
)
