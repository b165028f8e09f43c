"""Averaged weights

What it does:
Keeps a second copy of the weights, an exponential moving average: after every step
average <- decay * average + (1 - decay) * weights, and hands the average back. It looks back over about
1 / (1 - decay) steps: 100 at 0.99, 1,000 at 0.999. Floating-point buffers (the running statistics of batch norm) are
averaged too, counters are copied. The training itself does not change.

When it suits:
As a stand-in for a learning-rate decay that is still to come: at a constant lr weights circle around the minimum, and
their average lies inside the circle. That makes the state at any step readable, which is what a race that judges at a
tenth of the length needs (with data passed once, or while the loss still falls everywhere). Final weights of long,
noisy trainings: generative models, detectors, small batches.

When it does not:
After a decay to zero there is no circle left: at the end of a cosine the average equals the weights within noise, or
lags behind them. An average over more than about a tenth of the steps so far still holds the bad beginning: keep
1 / (1 - decay) below that. On small noisy data with many passes it can rank candidates wrongly; the best checkpoint
so far is the fairer figure there. It costs one copy of the weights and one pass over them each step.

Source:
B. T. Polyak and A. B. Juditsky, Acceleration of Stochastic Approximation by Averaging (1992); P. Izmailov et al.,
Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018; H. Sandler et al., Training Trajectories,
Mini-batch Losses and the Curious Role of the Learning Rate (2023), for averages as a stand-in for decay.
torch.optim.swa_utils.AveragedModel.
"""

from __future__ import annotations

from fallline.catalogue import Topic

ENTRY = Topic(
    name="averaging",
    title="Averaged weights",
    source="Polyak and Juditsky (1992); Izmailov et al. (2018)",
    aliases=("ema", "swa", "average"),
)
