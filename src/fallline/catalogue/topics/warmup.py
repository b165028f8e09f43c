"""Warm-up

What it does:
Starts below the peak learning rate and climbs to it in a straight line during the first share of the training: at
step k of w the factor is (k + 1) / (w + 1), never zero, so no step is wasted. The schedule proper begins where the
climb ends, on the steps that are left. `warmup = 0.05` on 2,000 steps is 100 steps; 0 is none.

When it suits:
Adam and its relatives: in the first steps their second moment rests on a handful of gradients, so steps are about lr
in every weight at once, whatever the gradient says. Transformers, above all with the norm after the residual sum,
break without it. Large batches with an lr scaled up to match (Goyal et al. trained ImageNet at a batch of 8,192 with
5 epochs of it). Pretrained weights under a fresh head. In general: whenever the peak is near the largest lr that
holds, since the sharpest curvature falls during the first steps.

When it does not:
Plain SGD on a well-conditioned problem at a moderate lr gains nothing, and every step of the climb is a step at less
than the peak: at a share of 0.1 you give away 5 % of the training's lr. RAdam and one_cycle bring a warm-up of their
own. If training breaks without warm-up at every lr you try, look at the initialisation and the inputs' scale first:
warm-up can hide both.

Source:
P. Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour (2017); J. Gilmer et al., A Loss Curvature
Perspective on Training Instability in Deep Learning, ICLR 2022; L. Liu et al., On the Variance of the Adaptive
Learning Rate and Beyond, ICLR 2020.
"""

from __future__ import annotations

from fallline.catalogue import Topic

ENTRY = Topic(name="warmup", title="Warm-up", source="Goyal et al. (2017); Gilmer et al. (2022)", aliases=("warm_up",))
