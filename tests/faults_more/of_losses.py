"""Faults of the loss and of the head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fallline import Problem
from faults_more import faulty
from faults_more.networks import Attending, Recurrent, Residual, Tagging, adam, masks, pictures, sgd, tanh_net, waves
from faults_more.tasks import bars, patches, pitches, sounds, spirals, surface, tags, topics


@faulty("L01")
def pictures_softmax_under_smoothed_cross_entropy() -> Problem:
    """A softmax ends a convolutional model whose loss takes its own, with smoothed labels."""
    return Problem(
        model=lambda: pictures(nn.Softmax(dim=1)), optimizer=sgd(0.05, nesterov=True), **bars(loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    )


@faulty("L02")
def masks_sigmoid_under_logits() -> Problem:
    """A sigmoid ends a model of masks under BCEWithLogitsLoss with a weight for the square."""
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(4.0))
    return Problem(model=lambda: masks(nn.Sigmoid()), optimizer=adam(2e-3, torch.optim.RMSprop), **patches(loss=loss))


@faulty("L03")
def labels_logits_into_bce() -> Problem:
    """Four linear outputs go into BCELoss."""
    return Problem(model=lambda: tanh_net(12, 4), optimizer=adam(), **topics(loss=nn.BCELoss()))


@faulty("L04")
def recurrent_softmax_into_nll() -> Problem:
    """The probabilities of a recurrent classifier go into nll_loss."""

    class Said(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).softmax(dim=-1)

    return Problem(model=lambda: Said(3), optimizer=adam(5e-3), **pitches(loss=nn.functional.nll_loss))


@faulty("L05")
def tags_normalised_over_places() -> Problem:
    """log_softmax over the places of a sentence instead of over the tags."""

    class Said(Attending):
        def forward(self, words: Tensor) -> Tensor:
            return super().forward(words).log_softmax(dim=1)

    loss = lambda output, target: nn.functional.nll_loss(output.transpose(1, 2), target)  # noqa: E731
    return Problem(model=Said, optimizer=adam(), **tags(loss=loss))


@faulty("L06")
def flat_outputs_against_a_column() -> Problem:
    """Outputs (N,) meet targets (N, 1) under a Huber loss."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Residual(10, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)[:, 0]

    return Problem(model=Flat, optimizer=adam(), **surface(loss=nn.HuberLoss()))


@faulty("L07")
def lstm_that_takes_cases_for_time() -> Problem:
    """An LSTM without batch_first reads the batch as time."""

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.out = nn.LSTM(2, 24), nn.Linear(24, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.cells(x)[0][:, -1])

    return Problem(model=Turned, optimizer=adam(5e-3), **pitches())


@faulty("L07")
def transformer_that_takes_cases_for_time() -> Problem:
    """An encoder layer without batch_first lets sentences attend to each other."""
    return Problem(model=lambda: Attending(batch_first=False), optimizer=adam(), **tags())


@faulty("L08")
def single_unit_softmax_in_a_picture_model() -> Problem:
    """Is the bar a slanted one? A softmax over one unit says yes always."""
    made = bars(loss=nn.BCELoss(), task="binary")
    made |= {split: (made[split][0], (made[split][1] >= 2).float()[:, None]) for split in ("train", "valid")}
    return Problem(model=lambda: pictures(nn.Softmax(dim=1), outputs=1), optimizer=adam(), **made)


@faulty("L09", "M11")
def paces_behind_a_relu() -> Problem:
    """A ReLU ends a model of standardised paces, half of which are negative."""
    return Problem(model=lambda: nn.Sequential(waves(), nn.ReLU()), optimizer=adam(), **sounds())


@faulty("L09")
def tanh_for_temperatures() -> Problem:
    """A tanh ends a regression whose targets go to 6."""
    made = surface()
    made |= {split: (made[split][0], made[split][1] * 2 + 1) for split in ("train", "valid")}
    return Problem(model=lambda: nn.Sequential(Residual(10, 1), nn.Tanh()), optimizer=adam(), **made)


@faulty("L10")
def absolute_error_on_one_hot() -> Problem:
    """Probabilities of four kinds of pictures, an absolute error to one-hot rows, SGD."""
    made = bars(loss=nn.L1Loss(), metric=None, epochs=6)
    made |= {split: (made[split][0], nn.functional.one_hot(made[split][1], 4).float()) for split in ("train", "valid")}
    return Problem(model=lambda: pictures(nn.Softmax(dim=1)), optimizer=sgd(0.02), **made)


@faulty("L11")
def divergence_of_raw_scores() -> Problem:
    """kl_div is given logits; targets are soft rows."""
    made = spirals(metric=None)
    soft = {split: (made[split][0], nn.functional.one_hot(made[split][1], 3).float() * 0.7 + 0.1) for split in ("train", "valid")}
    loss = lambda output, target: nn.functional.kl_div(output, target, reduction="batchmean")  # noqa: E731
    return Problem(model=lambda: Residual(2, 3), optimizer=adam(), **{**made, **soft, "loss": loss})


@faulty("L12")
def pixels_summed_in_an_autoencoder() -> Problem:
    """The squared error of an autoencoder is summed over pixels and pictures, under SGD with a usual lr."""
    made = bars(metric=None, task="regression")
    same = {split: (made[split][0], made[split][0]) for split in ("train", "valid")}
    model = lambda: nn.Sequential(  # noqa: E731
        nn.Flatten(), nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, 144), nn.Unflatten(1, (1, 12, 12))
    )
    loss = lambda output, target: ((output - target) ** 2).sum()  # noqa: E731
    return Problem(model=model, optimizer=sgd(0.01), **{**made, **same, "loss": loss})


@faulty("L13")
def likelihood_minimised() -> Problem:
    """The loss is the mean log-likelihood of a sequence's class, and it is minimised."""
    loss = lambda output, target: -nn.functional.cross_entropy(output, target)  # noqa: E731
    return Problem(model=lambda: Recurrent(3), optimizer=adam(), **pitches(loss=loss))


@faulty("L13")
def optimizer_that_maximises() -> Problem:
    """maximize=True with an error."""
    return Problem(model=lambda: Residual(10, 1), optimizer=adam(1e-3, torch.optim.AdamW, maximize=True), **surface(loss=nn.L1Loss()))


@faulty("L14")
def padding_among_the_tags() -> Problem:
    """Two thirds of all places are padding, tag 0, and count."""
    return Problem(model=Tagging, optimizer=adam(3e-3), **tags(padded=True, epochs=6))


@faulty("L15")
def one_of_many_for_several_labels() -> Problem:
    """Cross-entropy over rows that may hold several ones or none."""
    return Problem(model=lambda: Residual(12, 4), optimizer=adam(), **topics(loss=nn.CrossEntropyLoss()))


@faulty("L15")
def counts_loss_on_signed_numbers() -> Problem:
    """A Poisson loss on standardised numbers, half of them negative."""
    loss = lambda output, target: nn.functional.poisson_nll_loss(output, target)  # noqa: E731
    return Problem(model=lambda: tanh_net(10, 1), optimizer=adam(), **surface(loss=loss))


@faulty("L16")
def root_of_zero_distance() -> Problem:
    """Distances of pairs, some of which are the same point: the slope of a square root at 0."""
    generator = torch.Generator().manual_seed(3)
    a = torch.randn(600, 6, generator=generator)
    b = torch.where(torch.rand(600, 1, generator=generator) < 0.15, a, torch.randn(600, 6, generator=generator))
    y = (a - b).square().sum(dim=1, keepdim=True).sqrt() / 2

    class Distance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = tanh_net(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return (self.map(x[:, :6]) - self.map(x[:, 6:])).square().sum(dim=1, keepdim=True).sqrt()

    x = torch.cat([a, b], dim=1)
    return Problem(
        model=Distance, train=(x[:500], y[:500]), valid=(x[500:], y[500:]), metric="rmse", task="regression", epochs=10, batch_size=25,
        loss=nn.MSELoss(), optimizer=adam(),
    )  # fmt: skip


@faulty("L17")
def picture_labels_from_one() -> Problem:
    """Labels 1 to 4 for four outputs."""
    made = bars()
    made |= {split: (made[split][0], made[split][1] + 1) for split in ("train", "valid")}
    return Problem(model=pictures, optimizer=adam(), **made)
