"""No clipping

What it does:
Leaves the gradients as backward made them. The step that the optimizer takes is then its rule and nothing else, and
no time is spent, while a global norm reads every gradient twice a step.

When it suits:
Feed-forward and convolutional networks with normalisation layers, batches of 32 and more, and losses with bounded
gradients (L1, Huber, cross-entropy). Adaptive optimizers already divide by the gradient's size, so a lasting change
of scale does not reach the weights.

When it does not:
Recurrent networks, transformers without warm-up, squared errors with outliers, log-rates: one batch whose gradient is
a thousand times the usual throws plain SGD out of the basin in one step, and fills Adam's second moment so that the
next 1 / (1 - beta2) = 1,000 steps are too small. Where the gradient norm's largest value is more than ten times its
median, clip.

Source:
torch.optim: no optimizer of torch clips by itself.
"""

from __future__ import annotations

from fallline.catalogue import Clip

ENTRY = Clip(
    name="none",
    title="No clipping",
    source="torch.optim (no optimizer clips by itself)",
    build=lambda h: None,
    code=lambda h: "",
    aliases=("off", "no"),
)
