"""Healthy programs: optimizers, schedules, loops and data that resemble a fault."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset

from fallline import Problem
from faults_more import healthy
from faults_more.networks import Attending, Recurrent, Residual, Tagging, Words, adam, pictures, sgd, tanh_net, waves
from faults_more.of_settings import looped
from faults_more.tasks import bars, pitches, seeded, sentences, sounds, spirals, surface, tags


@healthy
def clipped_after_unscaling() -> Problem:
    """Gradient scaling with the clip where it belongs."""
    return Problem(model=lambda: Residual(10, 1), optimizer=sgd(0.05), loop=looped(clip="after"), **surface())


@healthy
def eight_batches_averaged() -> Problem:
    """Accumulation over eight batches of ten, each divided by eight."""
    return Problem(
        model=lambda: Residual(10, 1), optimizer=sgd(0.1), loop=looped(passes=8, scaled=True), **surface(batch_size=10, epochs=25)
    )


@healthy
def picture_loop_with_norms() -> Problem:
    """A plain loop over a model with batch norm, StepLR once an epoch."""
    scheduler = lambda optimizer: lr_scheduler.StepLR(optimizer, 5, 0.3)  # noqa: E731
    return Problem(model=lambda: pictures(norm=True), optimizer=adam(), scheduler=scheduler, loop=looped(), **bars())


@healthy
def one_cycle_per_batch() -> Problem:
    """OneCycleLR over all batches, stepped per batch in the user's loop."""
    scheduler = lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=201)  # noqa: E731
    return Problem(model=pictures, optimizer=adam(1e-3), scheduler=scheduler, loop=looped(per_batch=True), **bars(epochs=10))


@healthy
def warm_up_then_cosine() -> Problem:
    """A short linear warm-up followed by a cosine, per batch."""

    def scheduler(optimizer: torch.optim.Optimizer) -> object:
        parts = [lr_scheduler.LinearLR(optimizer, 0.05, 1.0, 20), lr_scheduler.CosineAnnealingLR(optimizer, 780)]
        return lr_scheduler.SequentialLR(optimizer, parts, [20])

    return Problem(model=Attending, optimizer=adam(5e-3, torch.optim.AdamW), scheduler=scheduler, scheduler_step="batch", **tags(epochs=40))


@healthy
def inverse_root_by_batches() -> Problem:
    """The schedule of the first transformers: up for 30 batches, then down with the root."""
    factor = lambda step: min((step + 1) / 30, (30 / (step + 1)) ** 0.5)  # noqa: E731
    scheduler = lambda optimizer: lr_scheduler.LambdaLR(optimizer, factor)  # noqa: E731
    return Problem(model=Tagging, optimizer=adam(0.01), scheduler=scheduler, scheduler_step="batch", **tags(epochs=40))


@healthy
def plateau_on_an_error() -> Problem:
    """ReduceLROnPlateau in mode min, RMSprop."""
    scheduler = lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)  # noqa: E731
    return Problem(model=lambda: tanh_net(10, 1), optimizer=adam(2e-3, torch.optim.RMSprop), scheduler=scheduler, **surface())


@healthy
def cyclical_lr() -> Problem:
    """CyclicLR goes up and down on purpose."""
    scheduler = lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.005, 0.05, step_size_up=40, cycle_momentum=False)  # noqa: E731
    return Problem(model=lambda: Residual(10, 1), optimizer=sgd(0.02), scheduler=scheduler, scheduler_step="batch", **surface())


@healthy
def adagrad_at_a_large_lr() -> Problem:
    """Adagrad at 0.05, which suits it."""
    return Problem(model=Words, optimizer=adam(0.05, torch.optim.Adagrad), **sentences())


@healthy
def adadelta_at_one() -> Problem:
    """Adadelta at its own lr of 1."""
    return Problem(model=lambda: pictures(norm=True), optimizer=adam(1.0, torch.optim.Adadelta), **bars())


@healthy
def body_slower_than_head() -> Problem:
    """A pretrained body at a hundredth of the head's lr."""
    body = pictures()
    trained = adam()(body)
    x, y = bars()["train"]
    for _ in range(60):
        trained.zero_grad()
        nn.functional.cross_entropy(body(x), y).backward()
        trained.step()
    model = copy.deepcopy(body)
    model[8] = nn.Linear(64, 4)
    groups = [{"params": [p for name, p in model.named_parameters() if not name.startswith("8.")], "lr": 5e-5}]
    optimizer = torch.optim.Adam([*groups, {"params": model[8].parameters(), "lr": 5e-3}])
    return Problem(model=model, optimizer=optimizer, **bars())


@healthy
def strong_decay_that_suits() -> Problem:
    """AdamW with a decay of 0.1, matrices only."""

    def groups(model: nn.Module) -> torch.optim.Optimizer:
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim < 2]
        return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=3e-3)

    return Problem(model=lambda: Residual(2, 3), optimizer=groups, **spirals())


class Flipped(Dataset[tuple[Tensor, Tensor]]):
    """Bars turned upside down now and then, which turns slanted ones into each other unless the label turns too: it does."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        if torch.rand(()) < 0.5:
            return self.x[row].flip(1), torch.tensor([0, 1, 3, 2])[self.y[row]]
        return self.x[row], self.y[row]


@healthy
def flips_with_their_labels() -> Problem:
    """A loader with workers and an augmentation that draws from torch's own generator."""
    made = bars()
    loader = DataLoader(Flipped(*made["train"]), batch_size=40, shuffle=True, num_workers=2)
    return Problem(model=pictures, optimizer=adam(), **{**made, "train": loader, "batch_size": None})


@healthy
def balanced_sampler() -> Problem:
    """A rare kind of picture is drawn more often."""
    made = bars(rows=1600, epochs=6)
    x, kind = made["train"]
    keep = (kind != 3) | (torch.rand(len(kind), generator=seeded(4)) < 0.12)
    x, kind = x[keep], kind[keep]
    weights = 1.0 / kind.bincount()[kind].double()
    sampler = torch.utils.data.WeightedRandomSampler(weights.tolist(), len(kind), generator=seeded(5))
    loader = DataLoader(torch.utils.data.TensorDataset(x, kind), batch_size=40, sampler=sampler)
    return Problem(model=pictures, optimizer=adam(), **{**made, "train": loader, "batch_size": None})


@healthy
def small_data_in_few_batches() -> Problem:
    """Two hundred rows in four batches, for sixty passes."""
    return Problem(model=lambda: tanh_net(10, 1), optimizer=adam(5e-3), **surface(rows=200, batch_size=50, epochs=60))


@healthy
def noisy_outcomes() -> Problem:
    """Yes or no with a chance that rises with a column: most of what is not explained is luck, not a wrong label."""
    x = torch.randn(1600, 5, generator=seeded(1))
    y = (torch.rand(1600, 1, generator=seeded(2)) < (1.2 * x[:, :1] - x[:, 1:2]).sigmoid()).float()
    return Problem(
        model=lambda: Residual(5, 1, 16, 1), train=(x[:1200], y[:1200]), valid=(x[1200:], y[1200:]), metric="auroc", task="binary",
        epochs=6, batch_size=40, loss=nn.BCEWithLogitsLoss(), optimizer=adam(2e-3),
    )  # fmt: skip


@healthy
def heavy_tailed_targets() -> Problem:
    """Targets with rare large values under a Huber loss: single batches cost a lot."""
    made = surface(loss=nn.HuberLoss())
    x, y = made["train"]
    tail = (torch.rand(y.shape, generator=seeded(6)) < 0.01).float() * 40 * torch.randn(y.shape, generator=seeded(7)).abs()
    return Problem(model=lambda: Residual(10, 1), optimizer=adam(), **{**made, "train": (x, y + tail)})


@healthy
def momentum_at_a_lively_lr() -> Problem:
    """SGD at a lively lr: a few times more and it would not hold."""
    return Problem(model=lambda: Residual(2, 3), optimizer=sgd(0.05), **spirals(epochs=30))


@healthy
def fine_after_two_epochs() -> Problem:
    """An easy task, learned early and trained on."""
    return Problem(model=waves, optimizer=adam(5e-3), **sounds(epochs=20))


@healthy
def recurrent_at_a_large_batch() -> Problem:
    """A quarter of the rows a batch, at an lr to match."""
    return Problem(model=lambda: Recurrent(3), optimizer=adam(0.01), **pitches(batch_size=200, epochs=40))
