"""Healthy programs: models, losses and heads that resemble a fault."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fallline import Problem
from faults_more import healthy
from faults_more.networks import Attending, Recurrent, Residual, Tagging, Words, adam, masks, pictures, sgd, tanh_net, waves
from faults_more.tasks import bars, patches, pitches, seeded, sentences, sounds, spirals, surface, tagged, tags, topics


@healthy
def pictures_under_smoothed_cross_entropy() -> Problem:
    """Logits under label smoothing and Nesterov momentum."""
    return Problem(model=pictures, optimizer=sgd(0.05, nesterov=True), **bars(loss=nn.CrossEntropyLoss(label_smoothing=0.1)))


@healthy
def masks_with_a_weight() -> Problem:
    """Raw outputs of a model of masks; most pixels are dark."""
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0))
    return Problem(model=masks, optimizer=adam(2e-3, torch.optim.RMSprop), **patches(loss=loss))


@healthy
def several_labels() -> Problem:
    """Four labels a row, each a question of its own."""
    return Problem(model=lambda: tanh_net(12, 4), optimizer=adam(), **topics())


@healthy
def attention_tagger() -> Problem:
    """An encoder with batch_first, softmax over words inside."""
    return Problem(model=Attending, optimizer=adam(5e-3), **tags(epochs=40))


@healthy
def tagger_without_padding() -> Problem:
    """Padding is left out by ignore_index."""
    loss = lambda output, target: nn.functional.cross_entropy(output.transpose(1, 2), target, ignore_index=0)  # noqa: E731
    return Problem(model=Tagging, optimizer=adam(5e-3), ignore_index=0, **tags(padded=True, loss=loss))


@healthy
def recurrent_regression() -> Problem:
    """A GRU with gradient clipping at 1."""
    return Problem(model=lambda: Recurrent(1), optimizer=adam(5e-3), clip=1.0, **sounds())


@healthy
def lstm_classifier() -> Problem:
    """An LSTM under NAdam; its gates are sigmoids."""
    return Problem(model=lambda: Recurrent(3, nn.LSTM), optimizer=adam(5e-3, torch.optim.NAdam), **pitches(epochs=25))


@healthy
def plain_recurrent_net() -> Problem:
    """A tanh RNN with orthogonal recurrent weights."""

    def model() -> nn.Module:
        made = Recurrent(3, nn.RNN)
        nn.init.orthogonal_(made.cells.weight_hh_l0)
        return made

    return Problem(model=model, optimizer=adam(3e-3), clip=1.0, **pitches(epochs=25))


@healthy
def convolutional_autoencoder() -> Problem:
    """Inputs are the targets; the middle is narrow on purpose."""
    made = bars(metric=None, task="regression", epochs=12)
    same = {split: (made[split][0], made[split][0]) for split in ("train", "valid")}
    model = lambda: nn.Sequential(  # noqa: E731
        nn.Flatten(), nn.Linear(144, 64), nn.ReLU(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 144), nn.Unflatten(1, (1, 12, 12))
    )
    return Problem(model=model, optimizer=adam(), **{**made, **same, "loss": nn.MSELoss()})


@healthy
def pictures_with_norms() -> Problem:
    """Batch norm in two dimensions, batches of 40, weight decay of 0.05 under AdamW."""
    return Problem(model=lambda: pictures(norm=True), optimizer=adam(3e-3, torch.optim.AdamW, weight_decay=0.05), **bars())


@healthy
def squeeze_and_excite() -> Problem:
    """A sigmoid gate on channels."""

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.way = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Sigmoid())

        def forward(self, x: Tensor) -> Tensor:
            return x * self.way(x)[:, :, None, None]

    def model() -> nn.Module:
        made = list(pictures())
        return nn.Sequential(*made[:2], Gate(), *made[2:])

    return Problem(model=model, optimizer=adam(), **bars())


@healthy
def siamese_twins_share_weights() -> Problem:
    """One encoder is called twice a pass; the loss is binary."""
    x, y = torch.randn(900, 12, generator=seeded(1)), None
    y = ((x[:, :6] * x[:, 6:]).sum(dim=1, keepdim=True) > 0).float()

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.out = tanh_net(6, 16), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.map(x[:, :6]) * self.map(x[:, 6:]))

    return Problem(
        model=Pair, train=(x[:700], y[:700]), valid=(x[700:], y[700:]), metric="accuracy", task="binary", epochs=15, batch_size=35,
        loss=nn.BCEWithLogitsLoss(), optimizer=adam(5e-3),
    )  # fmt: skip


@healthy
def narrow_but_enough() -> Problem:
    """Two units in the middle, which is what a plane needs."""
    model = lambda: nn.Sequential(  # noqa: E731
        nn.Linear(2, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
        nn.ReLU(),
        nn.Linear(2, 32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )
    return Problem(model=model, optimizer=adam(5e-3), **spirals(rows=1500, epochs=25))


@healthy
def log_normal_amounts() -> Problem:
    """Skewed positive targets under a softplus head and a logarithmic loss."""
    made = surface(metric="mae")
    positive = {split: (made[split][0], (0.7 * made[split][1]).exp()) for split in ("train", "valid")}
    loss = lambda output, target: (output.clamp_min(1e-6).log() - target.log()).square().mean()  # noqa: E731
    return Problem(model=lambda: nn.Sequential(Residual(10, 1), nn.Softplus()), optimizer=adam(), **{**made, **positive, "loss": loss})


@healthy
def counts_in_a_picture_of_words() -> Problem:
    """Poisson regression on logarithms of rates, from embedded words."""
    words, _ = sentences(rows=2400)["train"]
    rate = 0.3 + 1.2 * (words <= 12).sum(dim=1, keepdim=True).float()
    count = torch.poisson(rate, generator=seeded(9))
    return Problem(
        model=lambda: Words(1), train=(words[:2000], count[:2000]), valid=(words[2000:], count[2000:]), metric=None, task="count",
        epochs=10, batch_size=35, loss=nn.PoissonNLLLoss(), optimizer=adam(5e-3),
    )  # fmt: skip


@healthy
def residual_net_with_a_zero_branch() -> Problem:
    """The last layer of each branch starts at zero."""

    def model() -> nn.Module:
        made = Residual(2, 3, blocks=4)
        for block in made.blocks:
            nn.init.zeros_(block[3].weight)
        return made

    return Problem(model=model, optimizer=adam(), **spirals())


@healthy
def focal_masks() -> Problem:
    """A focal loss by hand, from logits."""

    def focal(output: Tensor, target: Tensor) -> Tensor:
        plain = nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return ((1 - (-plain).exp()) ** 2 * plain).mean() * 4

    return Problem(model=masks, optimizer=adam(3e-3), **patches(loss=focal))


@healthy
def margin_between_words() -> Problem:
    """A hinge loss with labels made of signs inside."""

    def hinge(output: Tensor, target: Tensor) -> Tensor:
        signs = 2.0 * target - 1
        return (1 - signs * (output[:, 1] - output[:, 0])).clamp_min(0).mean()

    return Problem(model=Words, optimizer=adam(5e-3), **sentences(loss=hinge))


@healthy
def wave_net() -> Problem:
    """Convolutions over series with SiLU under AdamW."""
    return Problem(model=waves, optimizer=adam(3e-3, torch.optim.AdamW), **sounds())


@healthy
def tags_of_a_shared_embedding() -> Problem:
    """Output weights are those of the embedding."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(12, 24)
            self.cells = nn.GRU(24, 24, batch_first=True)
            self.out = nn.Linear(24, 12, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, words: Tensor) -> Tensor:
            return self.out(self.cells(self.embedding(words))[0])

    return Problem(model=Tied, optimizer=adam(5e-3), **tags(loss=tagged))
