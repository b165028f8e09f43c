"""Faults of the model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fallline import Problem
from faults_more import faulty
from faults_more.networks import Attending, Recurrent, Residual, Words, adam, pictures, sgd, tanh_net, waves
from faults_more.tasks import bars, pitches, sentences, sounds, spirals, surface, tags, topics


@faulty("M01")
def norms_and_dropout_but_no_activation() -> Problem:
    """Linear layers with batch norm and dropout between them bend nothing."""
    layers = lambda: [nn.Linear(32, 32), nn.BatchNorm1d(32), nn.Dropout(0.1)]  # noqa: E731
    model = lambda: nn.Sequential(nn.Linear(2, 32), nn.BatchNorm1d(32), *layers(), *layers(), nn.Linear(32, 3))  # noqa: E731
    return Problem(model=model, optimizer=adam(), **spirals())


@faulty("M01")
def convolutions_without_activation() -> Problem:
    """Convolutions and means in a row."""
    model = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 8, 3, padding=1),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 4),
    )
    return Problem(model=model, optimizer=adam(), **bars())


@faulty("M02")
def heads_in_a_dict() -> Problem:
    """Blocks of a residual net stand in a plain dict."""

    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(10, 32), nn.Linear(32, 1)
            self.blocks = {name: nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.GELU()) for name in "ab"}

        def forward(self, x: Tensor) -> Tensor:
            x = self.inner(x)
            for block in self.blocks.values():
                x = x + block(x)
            return self.outer(x)

    return Problem(model=Held, optimizer=adam(), **surface())


@faulty("M03")
def constant_convolutions() -> Problem:
    """All weights of a picture model start at 0.05."""

    def model() -> nn.Module:
        made = pictures()
        for part in made.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.constant_(part.weight, 0.05)
                nn.init.zeros_(part.bias)
        return made

    return Problem(model=model, optimizer=sgd(0.02), **bars())


@faulty("M04")
def unit_normal_convolutions() -> Problem:
    """Weights of a picture model drawn with a deviation of 1."""

    def model() -> nn.Module:
        made = pictures()
        for part in made.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.normal_(part.weight)
        return made

    return Problem(model=model, optimizer=sgd(0.01), **bars())


@faulty("M04", "R03")
def tiny_weights_in_a_deep_net() -> Problem:
    """Eight tanh layers with weights of 0.01."""

    def model() -> nn.Module:
        made = nn.Sequential(nn.Linear(10, 24), *[part for _ in range(7) for part in (nn.Tanh(), nn.Linear(24, 24))], nn.Linear(24, 1))
        for part in made.modules():
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.01)
        return made

    return Problem(model=model, optimizer=sgd(0.05), **surface())


@faulty("M05", "R10")
def one_unit_in_the_middle() -> Problem:
    """Four labels of twelve columns must pass through one unit."""
    model = lambda: nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 1), nn.Linear(1, 32), nn.ReLU(), nn.Linear(32, 4))  # noqa: E731
    return Problem(model=model, optimizer=adam(), **topics())


@faulty("M06")
def softmax_between_convolutions() -> Problem:
    """A softmax over channels as the activation of a picture model."""
    model = lambda: pictures(activation=lambda: nn.Softmax(dim=1))  # noqa: E731
    return Problem(model=model, optimizer=sgd(0.02), **bars())


@faulty("M06", "R03")
def four_sigmoids() -> Problem:
    """Sigmoids between five layers of a regression."""
    layers = [part for _ in range(3) for part in (nn.Linear(32, 32), nn.Sigmoid())]
    model = lambda: nn.Sequential(nn.Linear(10, 32), nn.Sigmoid(), *layers, nn.Linear(32, 1))  # noqa: E731
    return Problem(model=model, optimizer=sgd(0.05), **surface())


@faulty("M07")
def recurrent_dropout_always_on() -> Problem:
    """F.dropout without `training` behind a GRU."""

    class Dropped(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            return self.out(nn.functional.dropout(self.cells(x)[0][:, -1], 0.4))

    return Problem(model=lambda: Dropped(3), optimizer=adam(5e-3), **pitches())


@faulty("M08")
def picture_norms_on_pairs() -> Problem:
    """Batch norm before a linear layer over features of two pictures at a time."""
    model = lambda: nn.Sequential(  # noqa: E731
        nn.Flatten(), nn.Linear(144, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4)
    )
    return Problem(model=model, optimizer=adam(1e-3), **bars(rows=400, batch_size=2, epochs=4))


@faulty("M09")
def encoder_under_no_grad() -> Problem:
    """The recurrent layer runs under no_grad while the optimizer holds its weights."""

    class Cut(Recurrent):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                states = self.cells(x)[0][:, -1]
            return self.out(states)

    return Problem(model=lambda: Cut(1), optimizer=adam(5e-3), **sounds())


@faulty("M10")
def fresh_convolutions_frozen() -> Problem:
    """Everything with "0" or "3" in its name, the convolutions, is frozen, and nothing was loaded."""

    def model() -> nn.Module:
        made = pictures()
        for name, parameter in made.named_parameters():
            parameter.requires_grad_(not name.startswith(("0.", "3.")))
        return made

    return Problem(model=model, optimizer=adam(), **bars())


@faulty("M11")
def words_with_relu_on_logits() -> Problem:
    """A ReLU stands behind the two logits of a sentence model."""
    return Problem(model=lambda: nn.Sequential(Words(), nn.ReLU()), optimizer=adam(5e-3), **sentences())


@faulty("M12", "M02")
def head_made_in_forward() -> Problem:
    """The last layer of a convolutional model over series is made anew in each forward pass."""

    class Fresh(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = waves(16)

        def forward(self, x: Tensor) -> Tensor:
            return nn.Linear(16, 1)(self.body(x).relu())

    return Problem(model=Fresh, optimizer=adam(), **sounds())


@faulty("R03", "M06")
def fifteen_tanh_layers_with_small_weights() -> Problem:
    """Fifteen sigmoid layers of a classifier: nothing arrives at the first."""
    layers = lambda: [part for _ in range(14) for part in (nn.Linear(24, 24), nn.Sigmoid())]  # noqa: E731
    model = lambda: nn.Sequential(nn.Linear(2, 24), nn.Sigmoid(), *layers(), nn.Linear(24, 3))  # noqa: E731
    return Problem(model=model, optimizer=adam(1e-3), **spirals(epochs=12))


@faulty("R04")
def biases_that_kill() -> Problem:
    """A picture model whose convolutions start with biases of -8."""

    def model() -> nn.Module:
        made = pictures()
        nn.init.constant_(made[3].bias, -8.0)
        return made

    return Problem(model=model, optimizer=adam(1e-3), **bars())


@faulty("R02", "O03", "M04")
def recurrent_weights_that_explode() -> Problem:
    """A plain recurrent layer with ReLU and recurrent weights half as large again as they should be, over 24 moments."""

    def model() -> nn.Module:
        made = Recurrent(1, nn.RNN, nonlinearity="relu")
        nn.init.orthogonal_(made.cells.weight_hh_l0, gain=1.7)
        return made

    return Problem(model=model, optimizer=sgd(0.01), **sounds())


@faulty("R05", "M04")
def tanh_stuck_at_its_ends() -> Problem:
    """The first matrix of a tanh net is a hundred times as large as it should be."""

    def model() -> nn.Module:
        made = tanh_net(10, 1)
        with torch.no_grad():
            made[0].weight.mul_(100)
            made[2].weight.mul_(30)
        return made

    return Problem(model=model, optimizer=sgd(0.05), **surface())


@faulty("M10")
def everything_frozen_but_norms() -> Problem:
    """An attention model that nobody trained before, with all but its norms and its head frozen."""

    def model() -> nn.Module:
        made = Attending()
        for name, parameter in made.named_parameters():
            parameter.requires_grad_("norm" in name or name.startswith("out"))
        return made

    return Problem(model=model, optimizer=adam(), **tags())


@faulty("M07")
def nearly_all_dropped() -> Problem:
    """Nine tenths of the units of a residual net's input layer are dropped."""
    model = lambda: nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(0.9), Residual(32, 1))  # noqa: E731
    return Problem(model=model, optimizer=adam(), **surface())
