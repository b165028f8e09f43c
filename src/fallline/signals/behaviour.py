"""Behaviour of the loss: what it prefers and expects, and how it counts, asked of the function itself with made-up outputs."""

from __future__ import annotations

from dataclasses import dataclass

from fallline.signals import Signal, Unavailable, Window, outputs
from fallline.signals import _questions as q


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """None wherever a question could not be put to this loss."""

    plain: bool  # the user gave no loss; the task's plain one is taken
    value: float | None  # on the untrained model's outputs
    growth: float | None  # factor by which it grows when the batch is doubled: 1 for a mean, 2 for a sum
    paired: bool | None  # it changes when targets are exchanged between cases
    reads_target: bool | None
    truth: float | None  # at outputs that say the target, in the form that the model gives
    lies: float | None  # at the same outputs, exchanged between cases
    shift_invariant: bool | None  # adding a number to all classes of a case changes nothing: there is a softmax inside
    wants_signs: bool | None  # for targets 0 and 1, ever larger outputs of the right sign are ever better: there is a sigmoid inside
    affine: bool | None  # it is affine in the output, as a negative log-likelihood of log-probabilities is
    refuses_outside: bool | None  # not defined for outputs outside [0, 1]
    least_at_target: bool | None  # of same shape: least where output equals target
    endless: bool | None  # for some of the targets it falls for ever as outputs grow, or as they fall
    finite_at_ends: bool | None  # with outputs at the ends of their form: 0 and 1 for probabilities, far logits else
    weighs: float | None  # classes: mistakes on the rarest class over mistakes on the commonest; 1 without weights
    agreeing: float | None  # targets that are distributions: at outputs that give just these
    sharper: float | None  # ... and at outputs that are surer than they
    skips: tuple[float, ...] = ()  # target values (integers) at whose positions the loss does not read the output


def measure(window: Window) -> Behaviour:
    import torch

    setup, first = window.setup, window.read(outputs.ENTRY)
    if len(first.output) != len(first.target):
        raise Unavailable("output and target differ in their first dimension")
    made = setup.make()
    generator = torch.Generator().manual_seed(setup.seed)
    rows = q.varied(first.target, generator)
    asked = q.Asked(made.loss, first, first.output[rows], first.target[rows])
    drawn = q.drawn(asked.output, first, generator)
    order = torch.randperm(len(rows), generator=generator)
    truth = q.truth(asked, first)
    value = asked(asked.output)
    agreeing, sharper = q.asked_of_distributions(asked)
    truthful, lying = (None, None) if truth is None else (asked(truth), asked(truth[order]))
    return Behaviour(
        plain=setup.problem.loss is None,
        value=value,
        growth=q.ratio(asked(torch.cat([drawn, drawn]), torch.cat([asked.target, asked.target])), asked(drawn)),
        paired=q.differ(asked(drawn, asked.target[order]), asked(drawn)),
        reads_target=q.differ(asked(drawn, asked.target[:1].expand_as(asked.target).contiguous()), asked(drawn)),
        truth=truthful,
        lies=lying,
        shift_invariant=q.shift_invariant(asked, drawn),
        wants_signs=q.wants_signs(asked, drawn),
        affine=q.affine(asked, drawn),
        refuses_outside=q.refuses_outside(asked, drawn),
        least_at_target=q.least_at_target(asked, generator),
        endless=q.endless(asked),
        finite_at_ends=q.finite_at_ends(asked, first),
        weighs=q.weighs(asked, first),
        agreeing=agreeing,
        sharper=sharper,
        skips=q.skips(asked, drawn),
    )


ENTRY = Signal(name="behaviour", title="Behaviour of the loss", cost="passes", measure=measure)
