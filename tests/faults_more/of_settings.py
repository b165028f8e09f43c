"""Faults of the optimizer, the schedule, the loop and the length."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from fallline import Problem
from faults_more import faulty
from faults_more.networks import Attending, Recurrent, Residual, Tagging, Words, adam, pictures, sgd, tanh_net, waves
from faults_more.tasks import bars, pitches, sentences, sounds, spirals, surface, tags


@faulty("O01")
def decoder_left_out() -> Problem:
    """The optimizer gets the cells of a recurrent model and not its last layer."""
    return Problem(
        model=lambda: Recurrent(1, nn.LSTM), optimizer=lambda model: torch.optim.NAdam(model.cells.parameters(), lr=5e-3), **sounds()
    )


@faulty("O02")
def copied_after_the_optimizer() -> Problem:
    """The model was copied after the optimizer was built."""
    model = pictures()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return Problem(model=copy.deepcopy(model), optimizer=optimizer, **bars())


@faulty("O03")
def transformer_at_a_high_lr() -> Problem:
    """An attention model under Adam at 0.1."""
    return Problem(model=Attending, optimizer=adam(0.1), **tags())


@faulty("O03")
def pictures_at_a_high_lr() -> Problem:
    """A convolutional model under SGD at 2 with momentum."""
    return Problem(model=pictures, optimizer=sgd(2.0), **bars())


@faulty("O04")
def pictures_at_a_low_lr() -> Problem:
    """A convolutional model under plain SGD at 0.0001."""
    return Problem(model=pictures, optimizer=sgd(1e-4, momentum=0.0), **bars())


@faulty("O04")
def words_at_a_low_lr() -> Problem:
    """Embeddings under RMSprop at 0.000005."""
    return Problem(model=Words, optimizer=adam(5e-6, torch.optim.RMSprop), **sentences())


@faulty("O06", "O08")
def adam_with_strong_l2() -> Problem:
    """weight_decay=0.3 of Adam, meant as AdamW's."""
    return Problem(model=lambda: Residual(10, 1), optimizer=adam(weight_decay=0.3), **surface())


@faulty("O08")
def decay_of_a_half_under_sgd() -> Problem:
    """SGD with a weight decay of 0.3 on a picture model."""
    return Problem(model=pictures, optimizer=sgd(0.05, weight_decay=0.3), **bars())


@faulty("O09")
def momentum_of_a_thousand_steps() -> Problem:
    """A momentum of 0.999 at an lr made for 0.9."""
    return Problem(model=lambda: tanh_net(10, 1), optimizer=sgd(0.05, momentum=0.999), **surface())


@faulty("O10")
def rmsprop_with_a_huge_epsilon() -> Problem:
    """RMSprop with eps=10 on a recurrent model."""
    return Problem(model=lambda: Recurrent(3), optimizer=adam(1e-3, torch.optim.RMSprop, eps=10.0), **pitches())


@faulty("O11", "O04")
def adadelta_at_a_thousandth() -> Problem:
    """Adadelta with lr=0.001, as if it were Adam."""
    return Problem(model=pictures, optimizer=adam(1e-3, torch.optim.Adadelta), **bars())


@faulty("O12")
def clip_far_below_the_gradients() -> Problem:
    """A clip of 0.0005 on a recurrent model under SGD."""
    return Problem(model=lambda: Recurrent(1), optimizer=sgd(0.05), clip=5e-4, **sounds())


@faulty("O14")
def head_at_no_lr() -> Problem:
    """The last layer's group has lr 0."""

    def groups(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.AdamW([{"params": model.embedding.parameters()}, {"params": model.body.parameters(), "lr": 0.0}], lr=3e-3)

    return Problem(model=Words, optimizer=groups, **sentences())


def looped(
    *, empties: bool = True, steps: bool = True, passes: int = 1, scaled: bool = False, first: bool = False, mode: str = "",
    rebuilt: bool = False, early: bool = False, clip: str = "", per_batch: bool = False,
) -> Callable[..., None]:  # fmt: skip
    """A loop of one epoch with one thing wrong."""
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0, enabled=bool(clip))

    def loop(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        if rebuilt:
            optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        if first and scheduler is not None:
            scheduler.step()
        model.train(mode != "eval")
        for place, (inputs, target) in enumerate(loader, start=1):
            if empties and (place - 1) % passes == 0:
                optimizer.zero_grad()
            value = loss(model(inputs), target)
            scaler.scale(value / passes if scaled else value).backward()
            if early:
                optimizer.zero_grad()
            if clip == "after":
                scaler.unscale_(optimizer)
            if clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            if steps and place % passes == 0:
                scaler.step(optimizer)
                scaler.update()
            if per_batch and scheduler is not None:
                scheduler.step()
        if not first and not per_batch and scheduler is not None:
            scheduler.step()
        if mode == "judged in training":
            with torch.no_grad():
                model(inputs)

    return loop


@faulty("S01")
def gradients_pile_up() -> Problem:
    """No zero_grad in the loop of a picture model under SGD."""
    return Problem(model=pictures, optimizer=sgd(0.01), loop=looped(empties=False), **bars())


@faulty("S02")
def gradients_gone_before_the_step() -> Problem:
    """zero_grad between backward and step of a recurrent model."""
    return Problem(model=lambda: Recurrent(3), optimizer=adam(), loop=looped(early=True), **pitches())


@faulty("S03")
def no_step_at_all() -> Problem:
    """The step was lost."""
    return Problem(model=Words, optimizer=adam(), loop=looped(steps=False), **sentences())


@faulty("S04")
def milestones_of_epochs_counted_in_batches() -> Problem:
    """Milestones 8 and 15, meant as epochs, reached within the first epoch."""
    scheduler = lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [8, 15])  # noqa: E731
    return Problem(model=lambda: Residual(10, 1), optimizer=sgd(0.05), scheduler=scheduler, scheduler_step="batch", **surface())


@faulty("S04")
def staircase_stepped_in_the_batch_loop() -> Problem:
    """A loop of the user's steps StepLR(4) after each batch."""
    scheduler = lambda optimizer: lr_scheduler.StepLR(optimizer, 4)  # noqa: E731
    return Problem(model=pictures, optimizer=adam(), scheduler=scheduler, loop=looped(per_batch=True), **bars())


@faulty("S05", "S14")
def warm_up_of_batches_stepped_by_epochs() -> Problem:
    """A linear warm-up over 100 batches is stepped once an epoch, ten times."""
    scheduler = lambda optimizer: lr_scheduler.LinearLR(optimizer, 0.001, 1.0, total_iters=100)  # noqa: E731
    return Problem(model=lambda: Recurrent(3), optimizer=adam(), scheduler=scheduler, **pitches())


@faulty("S06")
def cosine_of_a_third_of_the_length() -> Problem:
    """A cosine over 7 of 20 epochs swings up and down."""
    scheduler = lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)  # noqa: E731
    return Problem(model=lambda: Residual(2, 3), optimizer=adam(), scheduler=scheduler, **spirals())


@faulty("S07")
def scheduler_steps_first() -> Problem:
    """scheduler.step() opens each epoch of the loop."""
    scheduler = lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.9)  # noqa: E731
    return Problem(model=pictures, optimizer=adam(), scheduler=scheduler, loop=looped(first=True), **bars())


@faulty("S08")
def plateau_waits_for_a_larger_error() -> Problem:
    """ReduceLROnPlateau in mode max beside a mean absolute error."""
    scheduler = lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", patience=1)  # noqa: E731
    return Problem(model=lambda: tanh_net(10, 1), optimizer=sgd(0.05), scheduler=scheduler, **surface())


@faulty("S09")
def lr_gone_after_three_epochs() -> Problem:
    """Milestones at epochs 1, 2 and 3 of 20."""
    scheduler = lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [1, 2, 3])  # noqa: E731
    return Problem(model=lambda: Residual(2, 3), optimizer=adam(1e-3), scheduler=scheduler, **spirals())


@faulty("S10")
def trained_in_eval_mode() -> Problem:
    """A picture model with batch norm is trained in eval mode."""
    return Problem(model=lambda: pictures(norm=True), optimizer=adam(), loop=looped(mode="eval"), **bars())


@faulty("S11")
def judged_in_training_mode() -> Problem:
    """The loop's evaluation leaves batch norm in training mode."""
    return Problem(model=lambda: pictures(norm=True), optimizer=adam(), loop=looped(mode="judged in training"), **bars())


@faulty("S12")
def eight_batches_summed() -> Problem:
    """Gradients of eight batches are summed before each step of SGD."""
    return Problem(model=lambda: Residual(10, 1), optimizer=sgd(0.15), loop=looped(passes=8), **surface(batch_size=10))


@faulty("S14")
def warm_up_of_fifty_trainings() -> Problem:
    """A warm-up that would take fifty trainings."""
    scheduler = lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20_000))  # noqa: E731
    return Problem(model=Tagging, optimizer=adam(), scheduler=scheduler, scheduler_step="batch", **tags())


@faulty("S15")
def one_epoch_of_twenty() -> Problem:
    """A recurrent model trained for a single pass."""
    return Problem(model=lambda: Recurrent(1), optimizer=adam(2e-3), **sounds(epochs=1))


@faulty("S16")
def optimizer_built_in_the_loop() -> Problem:
    """Each epoch begins with a new Adam."""
    return Problem(model=waves, optimizer=adam(2e-3), loop=looped(rebuilt=True), **sounds())


@faulty("O13")
def clipped_before_unscaling() -> Problem:
    """Gradients that are 4096 times too large are clipped to 1 and unscaled afterwards, under SGD."""
    return Problem(model=lambda: Residual(10, 1), optimizer=sgd(0.1), loop=looped(clip="before"), **surface())


@faulty("D11")
def all_rows_in_one_batch() -> Problem:
    """A thousand rows make one batch, so that twenty passes are twenty steps."""
    return Problem(model=lambda: Residual(10, 1), optimizer=adam(1e-3), **surface(batch_size=1000))
