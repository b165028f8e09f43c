"""Weight decay

What it does:
Pulls every weight a little towards zero at every step. Decoupled decay (`weight_decay`, as in AdamW) multiplies the
weight by 1 - lr * weight_decay, apart from the gradient's step. Coupled decay (`l2`, as in torch's SGD and Adam) adds
l2 * w to the gradient, as the penalty l2 / 2 * |w|^2 on the loss would. For plain SGD the two are the same number;
under momentum nearly so; in Adam they are not, since the coupled form is divided by sqrt(v), and weights with large
gradients are hardly decayed. After t steps a weight that gets no gradient has shrunk by exp(-sum of
lr * weight_decay): lr 1e-3, decay 0.01 and 10,000 steps take away 10 %, decay 0.1 takes 63 %.

When it suits:
Many passes over little data, where weights grow to fit noise. Networks with batch or layer norm, where it acts in
another way: the size of the weights before a norm does not change the output, so decay does not make them simpler but
keeps the effective lr (lr / |w|^2) from fading. The usual values: 5e-4 as l2 for SGD on small images, 0.01 to 0.1 as
weight_decay for AdamW and Muon, more for longer training of larger models. What matters is the product with lr and
steps, so double one and halve another.

When it does not:
On biases, on the scales of norm layers and on embeddings: there is little growth to stop there, and a rare embedding
row would be decayed at steps in which it is not even used. Fallline keeps decay off them (`decay_on = "matrices"`),
while torch's own default decays whatever it is given, which is what the baseline does. One pass over much data:
nothing is fitted twice, and decay only slows. With l2 inside Adam expect a weak and uneven effect; a decay so strong
that lr * weight_decay passes 0.001 a step fights the gradient itself.

Source:
A. Krogh and J. Hertz, A Simple Weight Decay Can Improve Generalization, NIPS 1991; I. Loshchilov and F. Hutter,
Decoupled Weight Decay Regularization, ICLR 2019; G. Zhang et al., Three Mechanisms of Weight Decay Regularization,
ICLR 2019.
"""

from __future__ import annotations

from fallline.catalogue import Topic

ENTRY = Topic(
    name="weight_decay", title="Weight decay", source="Krogh and Hertz (1991); Loshchilov and Hutter (2019)", aliases=("decay", "l2")
)
