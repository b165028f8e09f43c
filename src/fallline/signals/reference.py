"""Reference: what simple probes reach on examples that they have not seen, and what the trained model reaches on the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window, behaviour, outputs, trace

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 1500
FEWEST = 200


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Scores from 0, the best constant answer, to 1, all right: explained variance of numbers, right answers of classes."""

    rows: int  # that were judged
    probe: float  # the best probe, fitted on other rows
    model: float  # which has been trained on all of them
    layers: tuple[tuple[str, int, float], ...]  # layers with weights: name, numbers a case that they get, score of the probe on these


def measure(window: Window) -> Reference:
    import torch

    from fallline._batches import leaves
    from fallline.signals.relation import _table

    setup, seen = window.setup, window.read(trace.ENTRY)
    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    if not seen.run.finite or not seen.run.updates:
        raise Unavailable("the watched run did not stay finite, or made no update")
    inputs, target = setup.sample(rows=ROWS)
    if len(target) < FEWEST:
        raise Unavailable(f"{len(target)} examples are too few to hold a probe against the model")
    x = torch.cat([_table(leaf) for leaf in leaves(inputs)], dim=1)
    if not bool(torch.isfinite(x).all()):
        raise Unavailable("inputs hold NaN or inf")
    right = _right(first, loss, target)
    if right.kinds is None and right.middle is None and not _reads_size(seen.made.loss, first):
        raise Unavailable("the loss does not read how large the outputs are")
    layers, output = _layers(setup, seen.made.model, inputs)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(setup.seed))
    fit, judge = order[: len(order) // 2], order[len(order) // 2 :]

    def probed(features: Tensor) -> float:
        return max(right.score(_predicted(features, right.columns, fit, judge, bent), judge) for bent in (False, True))

    scores = tuple((path, given.shape[1], probed(given)) for path, given in layers)
    return Reference(rows=len(judge), probe=probed(x), model=right.score(right.said(output)[judge], judge), layers=scores)


@dataclass(frozen=True)
class _Right:
    """The targets of the sampled rows as columns, and how answers are scored."""

    columns: Tensor  # of numbers, one a class, or one a question of yes and no
    kinds: Tensor | None  # classes as places among the columns; None for numbers and questions
    middle: float | None  # the output above which a yes is said; None where nothing is asked

    def said(self, output: Tensor) -> Tensor:
        """The model's output as columns."""
        flat = output.float().reshape(len(output), -1)
        return flat if self.middle is None else (flat > self.middle).float()

    def score(self, said: Tensor, judge: Tensor) -> float:
        if self.middle is not None:
            yes = self.columns[judge] > 0.5
            share = yes.double().mean(dim=0)
            wrong = ((said > 0.5) != yes).double().mean(dim=0)
            return float((1 - wrong / share.minimum(1 - share).clamp_min(1e-12)).mean())
        if self.kinds is None:
            true = self.columns[judge]
            return float(1 - (said - true).square().sum() / (true - true.mean(dim=0)).square().sum().clamp_min(1e-12))
        true = self.kinds[judge]
        commonest = float(true.bincount().max()) / len(true)
        return (float((said.argmax(dim=1) == true).double().mean()) - commonest) / max(1 - commonest, 1e-12)


def _right(first: outputs.Outputs, loss: behaviour.Behaviour, target: Tensor) -> _Right:
    """How answers are scored; only where it is known what the loss takes for the right answer."""
    import torch

    if first.classes and target.ndim == 1:
        if not (loss.shift_invariant or first.probabilities or first.log_probabilities):
            raise Unavailable("the largest output is perhaps not the answer: the loss does not compare classes with each other")
        kinds = target.clamp_min(0)
        return _Right(torch.nn.functional.one_hot(kinds, first.output.shape[1]).float(), kinds, None)
    flat = target.reshape(len(target), -1)
    if first.output.numel() != first.target.numel() or not target.is_floating_point():
        raise Unavailable("the output is neither numbers like the target nor one score a class")
    if flat.shape[1] > 64:
        raise Unavailable("targets of more than 64 numbers are not probed")
    asks = bool(((flat == 0) | (flat == 1)).all())
    if asks and flat.shape[1] > 1 and bool((flat.sum(dim=1) == 1).all()):
        return _Right(flat.float(), flat.argmax(dim=1), None)
    if asks and (loss.wants_signs or loss.least_at_target or loss.refuses_outside):
        inside = bool(((first.output >= 0) & (first.output <= 1)).all())
        return _Right(flat.float(), None, 0.5 if inside or loss.least_at_target else 0.0)
    if loss.least_at_target is not True:
        raise Unavailable("the loss is not least where output and target are equal")
    return _Right(flat.float(), None, None)


def _reads_size(loss: Any, first: outputs.Outputs) -> bool:
    """Whether outputs half as large again as the target cost more: of a similarity only the direction counts."""
    import torch

    said = first.target.to(first.output.dtype).reshape(first.output.shape)
    try:
        with torch.no_grad():
            at, beyond = (float(torch.as_tensor(loss(factor * said, first.target)).float().mean()) for factor in (1.0, 1.5))
    except Exception:  # whatever the user's loss raises on what no model gave
        return False
    return beyond > at + 1e-4 * abs(at)


def _layers(setup: Any, model: Any, inputs: Any) -> tuple[list[tuple[str, Tensor]], Tensor]:
    """What each layer with a matrix gets, one row a case, and the output."""
    import torch

    got: list[tuple[str, Tensor]] = []

    def enter(path: str, given: Any) -> None:
        if given and isinstance(given[0], torch.Tensor) and given[0].is_floating_point() and given[0].ndim > 1:
            got.append((path, given[0].detach().float().reshape(len(given[0]), -1)))

    handles = [
        module.register_forward_pre_hook(lambda _, given, path=path: enter(path, given))
        for path, module in model.named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False))
    ]
    try:
        output = setup.judged(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [(path, given) for path, given in got if len(given) == len(output)], output


def _predicted(features: Tensor, columns: Tensor, fit: Tensor, judge: Tensor, bent: bool) -> Tensor:
    """Ridge regression on features, or on random rectified combinations of them, fitted on half of the rows."""
    import torch

    generator = torch.Generator().manual_seed(0)
    spread = features.std(dim=0)
    z = ((features - features.mean(dim=0)) / spread.clamp_min(1e-12))[:, spread > 1e-12]
    if not z.shape[1]:
        return columns[fit].mean(dim=0).expand(len(judge), -1)
    if z.shape[1] > 384:
        z = z @ (torch.randn(z.shape[1], 384, generator=generator) / 384**0.5)
    if bent:
        turn = torch.randn(z.shape[1], 256, generator=generator) / z.shape[1] ** 0.5
        z = torch.cat([z, (z @ turn + torch.randn(256, generator=generator)).relu()], dim=1)
    z = torch.cat([z, torch.ones(len(z), 1)], dim=1)
    gram = z[fit].mT @ z[fit] + 0.05 * len(fit) * torch.eye(z.shape[1])
    centre = columns[fit].mean(dim=0)
    predicted: Tensor = z[judge] @ torch.linalg.solve(gram, z[fit].mT @ (columns[fit] - centre)) + centre
    return predicted


ENTRY = Signal(name="reference", title="What simple probes reach", cost="steps", measure=measure)
