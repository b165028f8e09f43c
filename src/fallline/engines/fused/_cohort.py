"""A cohort: trials of one seed at one step, trained together. Each stays a `Training`, whose weights are views of the cohort's rows."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fallline._average import Average
from fallline._batches import STEP, reseeder, stream
from fallline._kinds import parameter_kinds
from fallline._parts import LaneParts, lane_parts
from fallline._problem import call
from fallline._recipe import Part
from fallline._step import CHUNK, PULSE_S, Training
from fallline.engines.fused._blocks import Column, Key, blocks_of, key_of
from fallline.engines.fused._program import LossGroup, Program
from fallline.metrics import NUMBERED

AGREES = {torch.float32: 1e-3, torch.float64: 1e-9}  # of the gradient's length: sums in another order move its digits, an error moves more


class Unfit(Exception):
    """These trainings cannot be trained as one program, with the reason."""


class Cohort:
    """Trainings in lockstep. `run` advances all; `close` leaves each as if it had been trained alone."""

    def __init__(self, trainings: Sequence[Training], programs: dict[Key, Program]) -> None:
        parts = {id(training): _parts(training) for training in trainings}
        order = sorted(range(len(trainings)), key=lambda i: (str(key_of(parts[id(trainings[i])])), i))
        self.trainings = [trainings[i] for i in order]  # equal optimizers are neighbours
        self.parts = [parts[id(training)] for training in self.trainings]
        first = self.trainings[0]
        self.bench, self.step, self.batches = first.bench, first.step, first.batches
        self.seed, self.optimizers = first.recipe.seed, [training.optimizer for training in self.trainings]
        self.parameters = [_trainable(training.model) for training in self.trainings]
        self.columns = columns_of(first.model)
        self.weights = torch.stack([_row(parameters, self.columns) for parameters in self.parameters])
        self.buffers = {
            name: torch.stack([dict(training.model.named_buffers())[name] for training in self.trainings])
            for name, _ in first.model.named_buffers()
        }
        self.blocks = blocks_of(self.parts, self.columns)
        for block in self.blocks:
            block.open(self.weights, self.optimizers[block.rows], self.parameters[block.rows])
        self._bind()
        self.views = [self._column(self.weights, column) for column in self.columns]
        self.averages = _Averages(self)
        self.closed = False
        self.program = self._program(programs)
        self.losses = self.weights.new_full((len(self.trainings),), math.nan)
        self._stride = 1

    def _check(self, program: Program) -> None:
        """Compare a program's gradients with those of a plain backward pass, lane by lane, on the next batch; changes nothing.

        Raises:
            Unfit: they differ, or the model cannot be traced.
        """
        reseed = reseeder(self.bench.device)
        index = self.step * self.bench.problem.accumulate
        inputs, target = self.batches(index)
        kept = {name: buffer.clone() for name, buffer in self.buffers.items()}
        generator = torch.get_rng_state()
        try:
            reseed(stream(self.seed, STEP, index))
            _, rows = program(self.views, list(self.buffers.values()), inputs, target)
            for name, buffer in self.buffers.items():
                buffer.copy_(kept[name])
            for lane in {block.rows.start for block in self.blocks}:
                reseed(stream(self.seed, STEP, index))
                # the copy that was traced is called again: a number of Python that counts calls shows in its gradients
                model = copy.deepcopy(self.trainings[lane].model) if lane else program.model
                one = self._plain(lane, model, inputs, target)
                allowed = AGREES.get(one.dtype, 1e-3) * max(float(one.norm()), 1e-12)
                if bool(torch.isfinite(one).all()) and not float((rows[lane] - one).norm()) <= allowed:
                    raise Unfit("its gradients come out otherwise when many lanes are trained as one")
        except Unfit:
            raise
        except Exception as error:  # whatever the model does that vmap or tracing cannot follow
            first = (str(error).splitlines() or [""])[0]
            raise Unfit(f"it cannot be traced ({type(error).__name__}: {first[:120]})") from error
        finally:
            for name, buffer in self.buffers.items():
                buffer.copy_(kept[name])
            torch.set_rng_state(generator)

    def run(self, until: int, pulse: Callable[[], None]) -> None:
        """Train all lanes to step `until`, or until the loss of one that was finite no longer is; such a lane harms no other."""
        while self.step < until:
            began = time.perf_counter()
            end = min(until, self.step + self._stride)
            self._chunk(end)
            self._stride = min(2 * self._stride, CHUNK) if time.perf_counter() - began < PULSE_S else max(self._stride // 2, 1)
            before = [math.isfinite(training.last_loss) or not training.step for training in self.trainings]
            for training, loss in zip(self.trainings, self.losses.tolist(), strict=True):
                training.step, training.last_loss = self.step, loss
            pulse()
            if any(was and not math.isfinite(training.last_loss) for was, training in zip(before, self.trainings, strict=True)):
                return

    def _chunk(self, end: int) -> None:
        problem, reseed = self.bench.problem, reseeder(self.bench.device)
        lrs, accumulate, buffers = self._lrs(end), problem.accumulate, list(self.buffers.values())
        for step in range(self.step, end):
            gradients: Tensor | None = None
            for k in range(step * accumulate, (step + 1) * accumulate):
                inputs, target = self.batches(k)
                reseed(stream(self.seed, STEP, k))
                self.losses, rows = self.program(self.views, buffers, inputs, target)
                gradients = rows if gradients is None else gradients.add_(rows)
            assert gradients is not None
            if accumulate > 1:
                gradients = gradients.div_(accumulate)
                self.losses = self.losses / accumulate
            gradients = self._clipped(gradients)
            for block in self.blocks:
                block.step(self.weights, gradients, step + 1, lrs[step - self.step])
            self.averages.update(step)
        self.step = end

    def _lrs(self, end: int) -> Tensor:
        """The lr of every lane at every step to `end`: (steps, lanes, 1). Lanes with the same curve share its evaluation."""
        steps, curves = range(self.step, end), dict[object, list[float]]()
        rows = []
        for training in self.trainings:
            recipe, curve, reaction = training.recipe, training.curve, training.reaction()
            same = (recipe.schedule, recipe.steps, recipe.lr_change, recipe.cooldown)
            if same not in curves:
                curves[same] = [1.0 if curve is None else curve(step) for step in steps]
            rows.append([training.peaks[0] * (reaction * factor) for factor in curves[same]])
        return self.weights.new_tensor(rows).T.unsqueeze(-1)

    def _clipped(self, gradients: Tensor) -> Tensor:
        clips = {parts.clip for parts in self.parts} - {None}
        for clip in clips:
            lanes = [lane for lane, parts in enumerate(self.parts) if parts.clip is clip]
            names = self.parts[lanes[0]].clip_settings
            numbers = {name: gradients.new_tensor([[float(self.parts[lane].clip_settings[name])] for lane in lanes]) for name in names}
            assert clip is not None
            if len(lanes) == len(self.parts):
                return clip(gradients, numbers)
            gradients[lanes] = clip(gradients[lanes], numbers)
        return gradients

    def close(self) -> None:
        """Every training gets weights, buffers and optimizer state of its own again; the cohort is not used any more."""
        if self.closed:
            return
        self.closed = True
        for block in self.blocks:
            for lane in range(block.rows.start, block.rows.stop):
                block.close(lane - block.rows.start, self.optimizers[lane], self.parameters[lane], self.step)
        for training in self.trainings:
            for model in (training.model, *(average.model for average in (training.average, training.shadow) if average is not None)):
                for tensor in (*model.parameters(), *model.buffers()):
                    tensor.data = tensor.data.clone()
            for average in (training.average, training.shadow):
                if average is not None:
                    average.follow(training.model)

    # -- the pieces -------------------------------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        """Each training's model becomes a view of its row, so that it is judged and saved as it stands."""
        for lane, training in enumerate(self.trainings):
            for column in self.columns:
                self.parameters[lane][column.name].data = self.weights[lane, column.first : column.end].view(column.shape)
            for name, buffer in training.model.named_buffers():
                buffer.data = self.buffers[name][lane]

    def _column(self, rows: Tensor, column: Column) -> Tensor:
        return rows[:, column.first : column.end].view(len(rows), *column.shape)

    def _plain(self, lane: int, model: nn.Module, inputs: Any, target: Tensor) -> Tensor:
        """The gradients of one lane as a row, by an ordinary backward pass of a copy of its model."""
        parameters = _trainable(model)
        loss = self._loss(self.trainings[lane])(call(model, inputs), target)
        found = torch.autograd.grad(loss, [parameters[column.name] for column in self.columns], allow_unused=True)
        if any(gradient is None for gradient in found):
            raise Unfit("a trainable parameter has no part in the loss, and optimizers leave such alone")
        return torch.cat([gradient.reshape(-1) for gradient in found])

    def _program(self, programs: dict[Key, Program]) -> Program:
        """The program for so many lanes with these losses: one that was made before, or a new one that agrees with plain training.

        Raises:
            Unfit: it cannot be traced, or its gradients differ.
        """
        groups: dict[Part, list[int]] = {}
        for lane, training in enumerate(self.trainings):
            groups.setdefault(training.recipe.loss, []).append(lane)
        # frozen parameters are constants of the graph, and another seed may have others
        key = (self.seed, *((loss, tuple(lanes)) for loss, lanes in groups.items()))
        if key not in programs:
            losses = [LossGroup(tuple(lanes), self._loss(self.trainings[lanes[0]])) for lanes in groups.values()]
            model = copy.deepcopy(self.trainings[0].model)  # probing calls it, and a model may keep more than weights and buffers
            program = Program(model, [column.name for column in self.columns], list(self.buffers), losses)
            try:
                self._check(program)
            except Unfit:
                self.close()
                raise
            programs[key] = program
        return programs[key]

    def _loss(self, training: Training) -> Callable[[Tensor, Tensor], Tensor]:
        """A lane's loss as `Training` calls it."""
        if training.recipe.loss.own or self.bench.judge.task in NUMBERED:
            return training.loss
        return lambda output, target: training.loss(output, target.to(output.dtype))


class _Averages:
    """The averaged weights of the lanes that keep some, updated together."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort = cohort
        kept = [(lane, training.average or training.shadow) for lane, training in enumerate(cohort.trainings)]
        pairs = [(lane, average) for lane, average in kept if average is not None]
        self.lanes = [lane for lane, _ in pairs]
        self.decays = [average.decay for _, average in pairs]
        if not pairs:
            return
        self.rows = torch.stack([_row(dict(average.model.named_parameters()), cohort.columns) for _, average in pairs])
        self.buffers = {name: torch.stack([dict(average.model.named_buffers())[name] for _, average in pairs]) for name in cohort.buffers}
        for position, (_, average) in enumerate(pairs):
            parameters = dict(average.model.named_parameters())
            for column in cohort.columns:
                parameters[column.name].data = self.rows[position, column.first : column.end].view(column.shape)
            for name, buffer in average.model.named_buffers():
                buffer.data = self.buffers[name][position]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """As `Average.update` does it for one lane."""
        if not self.lanes:
            return
        every = len(self.lanes) == len(self.cohort.trainings)
        taken = self.rows.new_tensor([1 - Average.decay_at(decay, step) for decay in self.decays])
        self.rows.lerp_(self.cohort.weights if every else self.cohort.weights[self.lanes], taken[:, None])
        for name, mine in self.buffers.items():
            theirs = self.cohort.buffers[name] if every else self.cohort.buffers[name][self.lanes]
            if mine.is_floating_point():
                mine.lerp_(theirs, taken.to(mine.dtype).view(-1, *[1] * (mine.ndim - 1)))
            else:
                mine.copy_(theirs)


def columns_of(model: nn.Module) -> list[Column]:
    """The trainable parameters as columns of a row, matrices first."""
    kinds, shapes = parameter_kinds(model), {name: parameter.shape for name, parameter in _trainable(model).items()}
    matrices = [name for name in shapes if kinds[name] in ("matrix", "convolution")]
    columns: list[Column] = []
    for name in [*matrices, *(name for name in shapes if name not in set(matrices))]:
        columns.append(Column(name, shapes[name], columns[-1].end if columns else 0, name in matrices))
    return columns


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _row(parameters: Mapping[str, nn.Parameter], columns: Sequence[Column]) -> Tensor:
    return torch.cat([parameters[column.name].detach().reshape(-1) for column in columns])


def _parts(training: Training) -> LaneParts:
    parts = lane_parts(training.recipe)
    assert isinstance(parts, LaneParts), parts  # the engine asks before it forms a cohort
    return parts
