"""Prior: from a profile to the candidates of a race, each with its reason: recipes of the learned portfolio, and losses for them."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fallline import catalogue
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._head import Head
from fallline._judge import Judge, stock_loss
from fallline._portfolio import LR_STEPS, MANY_PASSES, SHORTEST, Facts, length_factor, name_of, portfolio
from fallline._problem import Problem
from fallline._profile import Profile
from fallline._ranking import may_help, plain_loss, ranked_losses, unlike, why_not
from fallline._recipe import OWN, Average, Frame, LrChange, Part, Recipe
from fallline.catalogue import Hyperparameter, Value

LR_CHILD = 1 / 3  # short races choose lr 0.4 to 1.2 decades too high; a third is half a decade
LR_CALMER = 0.1  # a decade: divergence says that lr is too high and not by how much, and the portfolio's lrs span two
AVERAGE_FLOOR = 0.9  # a window of ten steps, however short the training


@dataclass(frozen=True)
class Candidate:
    """A recipe entered in a race, with the reason it is tried."""

    name: str
    recipe: Recipe
    reason: str
    source: str = ""
    cost: float = 1.0  # of a step in AdamW's, as on recorded tasks like this one


def loss_part(name: str, profile: Profile, problem: Problem, settings: Mapping[str, Value] | None = None) -> Part:
    """A loss with its settings made absolute by the profile (Huber's delta in target units, class weights from counts)."""
    entry = catalogue.loss(name)
    chosen = {**entry.defaults(), **(settings or {})}
    if "ignore_index" in entry.space and problem.ignore_index is not None:
        chosen["ignore_index"] = problem.ignore_index
    return Part(entry.name, {key: value for key, value in entry.settle(chosen, profile).items() if value is not None})


def head_of(loss: Part, profile: Profile) -> Head | None:
    """What a loss changes at the model's end; the user's own changes nothing."""
    return None if loss.own else catalogue.loss(loss.name).head(profile)


def baseline(problem: Problem, profile: Profile, frame: Frame, steps_per_epoch: int | None = None) -> Recipe:
    """What every claim is made against: the user's set-up where there is one, else AdamW(model.parameters()) and the plain loss.

    Patience looks once an epoch of `steps_per_epoch` updates; None: as the profile's rows and batch size have it.
    """
    adamw = catalogue.optimizer("adamw")
    patient = problem.patience is not None
    epochs = max(round(frame.steps / (steps_per_epoch or max(profile.batches_per_epoch // problem.accumulate, 1))), 1)
    return Recipe(
        loss=(loss := Part(OWN) if problem.loss is not None else loss_part(plain_loss(profile), profile, problem)),
        head=head_of(loss, profile),
        optimizer=Part(OWN) if problem.optimizer is not None else Part("adamw", adamw.defaults()),
        schedule=Part(OWN) if problem.scheduler is not None else Part("constant", catalogue.schedule("constant").defaults()),
        clip=Part(OWN) if problem.clip is not None else Part("none"),
        decay_on="all",
        keep="best" if patient else "last",
        patience=problem.patience,
        **{**vars(frame), "evaluations": epochs if patient else frame.evaluations},
    )


def candidates(
    problem: Problem, profile: Profile, judge: Judge, constraints: Constraints, frame: Frame, *, count: int, second_losses: int
) -> list[Candidate]:
    """The first `count` recipes of the portfolio for a problem like this, then the first of them with `second_losses` other losses."""
    for name in constraints.losses:
        if reason := catalogue.loss(name).applies(profile):
            fitting = ", ".join(loss.name for loss in ranked_losses(profile, judge))
            raise UsageError(
                f"loss {name} {reason}; {f'losses that fit here: {fitting}' if fitting else 'no loss of the catalogue fits here'}"
            )
    losses = constraints.losses or unlike(ranked_losses(profile, judge))
    own_loss = problem.loss is not None and not constraints.losses and stock_loss(problem.loss) is None
    parts = [Part(OWN)] if own_loss else [constraints.loss_part(loss_part(name, profile, problem)) for name in losses]
    if not parts:
        raise UsageError(f"no loss can be a candidate: {'; '.join(f'{name} {why}' for name, why in why_not(profile).items())}")
    if constraints.losses:
        others = parts[1:]  # what the user names is raced, whatever the plan would have
    else:
        others = [part for part in parts[1:] if may_help(part, parts[0], judge)][:second_losses]
        count += second_losses - len(others)  # where no other loss promises anything, more recipes are tried
    entered = _from_portfolio(problem, profile, constraints, parts[0], count, frame)
    entered = _filled(entered, constraints, profile, parts[0], count, frame)[:count]
    for part in others:
        first = entered[0]
        reason = f"the portfolio's first with another loss, {part.name}"
        entered.append(
            Candidate(
                f"{first.name}+{part.name}", replace(first.recipe, loss=part, head=head_of(part, profile)), reason, first.source, first.cost
            )
        )
    return [replace(entry, reason=f"{entry.reason}{_changes(entry.recipe, profile)}") for entry in entered]


def _changes(recipe: Recipe, profile: Profile) -> str:
    """What a recipe changes at the model's end, as the end of a sentence; "" for nothing."""
    return "" if recipe.head is None else f"; {recipe.head.said(profile.last_outputs)}"


def lr_child(parent: Candidate, at: int) -> Candidate:
    """The parent from step `at` on with a third of its lr: early leaders tend to have too much."""
    recipe = replace(parent.recipe, lr_change=LrChange(at, LR_CHILD))
    return Candidate(f"{parent.name}/3", recipe, f"{parent.name} from step {at} on with a third of its lr", cost=parent.cost)


def calmer(diverged: Candidate, constraints: Constraints) -> Candidate | None:
    """The same with a tenth of its lr, since divergence says only that lr is beyond its ceiling; None where the lr is the user's."""
    if diverged.recipe.lr is None or "lr" in constraints.settings:
        return None
    reason = f"{diverged.name} diverged; this is it with a tenth of its lr"
    return replace(diverged, name=f"{diverged.name}/10", recipe=diverged.recipe.with_lr(diverged.recipe.lr * LR_CALMER), reason=reason)


def draws(around: Sequence[Candidate], count: int, seed: int, constraints: Constraints | None = None) -> list[Candidate]:
    """Variations of the best recipes so far: lr, decay and loss parameters moved on their own scale, one of three also the schedule.

    A child's change of lr is taken into its lr. Constraints are kept: a parent that does not keep them (the baseline) is not varied.
    """
    kept = constraints or Constraints()
    generator = random.Random(seed)
    parents = [parent for parent in around if kept.apply(parent.recipe) is not None]
    schedules = sorted(entry.name for entry in catalogue.all_schedules().values() if not entry.reads_metric and not entry.flat)
    drawn = []
    for number in range(count if parents else 0):
        parent = parents[number % len(parents)]
        recipe, change = replace(parent.recipe, lr_change=None, cooldown=None), parent.recipe.lr_change
        if change is not None and recipe.lr is not None:
            recipe = recipe.with_lr(recipe.lr * change.factor)
        if not recipe.optimizer.own:
            recipe = replace(recipe, optimizer=_moved(recipe.optimizer, catalogue.optimizer(recipe.optimizer.name).space, generator))
        if not recipe.loss.own:
            recipe = replace(recipe, loss=_moved(recipe.loss, catalogue.loss(recipe.loss.name).space, generator))
        if generator.random() < 1 / 3 and not recipe.schedule.own and "schedule" not in kept.names:
            name = generator.choice(schedules)
            other = replace(recipe, schedule=Part(name, catalogue.schedule(name).defaults()))
            recipe = recipe if kept.apply(other) is None else other  # it may lack a setting that is fixed
        drawn.append(Candidate(f"draw{seed}-{number + 1}", kept.apply(recipe) or recipe, f"a variation of {parent.name}", cost=parent.cost))
    return drawn


def _moved(part: Part, space: Mapping[str, Hyperparameter], generator: random.Random) -> Part:
    """A part with its lr moved by up to half a decade, and one other number moved within its range.

    Numbers in the target's units (Huber's delta) stand in a recipe as absolute values, to which a range in multiples says nothing: they
    move by up to half a decade too.
    """
    settings = dict(part.settings)
    movable = [
        name for name, hyper in space.items() if hyper.low is not None and hyper.high is not None and name in settings and name != "lr"
    ]
    for name in ["lr", *generator.sample(movable, min(1, len(movable)))]:
        hyper, value = space.get(name), settings.get(name)
        if hyper is None or hyper.low is None or hyper.high is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if hyper.unit.startswith("target"):
            settings[name] = value * 10 ** generator.uniform(-0.5, 0.5)
        elif hyper.log and value > 0:  # a value beyond the range, as an lr moved for a short training may be, is bound by it no more
            low, high = hyper.low if value >= hyper.low else 0.0, hyper.high if value <= hyper.high else math.inf
            settings[name] = min(max(value * 10 ** generator.uniform(-0.5, 0.5), low), high)
        else:
            settings[name] = min(max(value + generator.uniform(-0.2, 0.2) * (hyper.high - hyper.low), hyper.low), hyper.high)
        if hyper.whole:
            settings[name] = round(settings[name])
    return Part(part.name, settings)


def _from_portfolio(problem: Problem, profile: Profile, constraints: Constraints, loss: Part, count: int, frame: Frame) -> list[Candidate]:
    """The portfolio's order for this problem, among the recipes that can run here and keep the constraints."""
    held, facts = portfolio(), Facts.of(profile)
    made: dict[int, Recipe] = {}
    rows: dict[int, Mapping[str, Any]] = {}
    factors = held.lr_factors(facts, frame.steps, profile.fan_in)
    own_loop = problem.loop is not None  # it clips as it likes and knows no average: a recipe says only what was done
    for number, row in enumerate(held.recipes):
        if catalogue.optimizer(row["optimizer"]["name"]).applies(profile) or (own_loop and "average" in row):
            continue
        if own_loop:
            row = {key: value for key, value in row.items() if key != "clip"}
        if "lr" not in constraints.settings:
            row = _moved_lr(row, factors[held.families[number]])
        kept = constraints.apply(_recipe(row, loss, profile, frame))
        if kept is not None and kept not in made.values():
            made[number], rows[number] = kept, row
    order, cost = held.order(facts, count, list(made)), held.step_cost(facts)
    source = f"{len(held.tasks)} recorded tasks, those like this one counting more (benchmarks/price)"
    entered: list[Candidate] = []
    for place, number in enumerate(order):
        row, said = rows[number], held.recipes[number]["optimizer"]["lr"]
        row = {**row, "optimizer": {**row["optimizer"], "lr": made[number].lr}}  # which the user may have fixed
        taken = {entry.name for entry in entered}
        name = next((called for digits in (2, 3) if (called := name_of(row, digits)) not in taken), f"{name_of(row, 3)}-from-{said:g}")
        left = f"{held.left(facts, order[: place + 1]):.0%} of the way from the best to AdamW's default"
        reason = f"best alone on recorded tasks, leaving {left}" if not place else f"best beside those before it, leaving {left}"
        if rows[number]["optimizer"]["lr"] != said:
            wide = factors[held.families[number]] != length_factor(frame.steps)
            reason += f"; lr {said:g} at {LR_STEPS} steps, moved for {max(frame.steps, SHORTEST)}"
            reason += f" and for layers of {profile.fan_in:.0f} inputs" if wide else ""
        entered.append(Candidate(name, made[number], reason, source, round(float(cost[number]), 2)))
    return entered


def _moved_lr(row: Mapping[str, Any], factor: float) -> Mapping[str, Any]:
    """A row with its lr moved, to three digits, and lr x decay as it was; as it is where lr would change by a twentieth at most."""
    optimizer = row["optimizer"]
    moved = float(f"{optimizer['lr'] * factor:.3g}")
    if math.isclose(moved, optimizer["lr"], rel_tol=0.05):
        return row
    changed = {**optimizer, "lr": moved}
    if "shrinkage" not in row:  # which holds lr x decay x steps, whatever lr is
        decay = optimizer.get("weight_decay", catalogue.optimizer(optimizer["name"]).defaults().get("weight_decay"))
        changed |= {} if decay is None else {"weight_decay": float(f"{decay * optimizer['lr'] / moved:.3g}")}
    return {**row, "optimizer": changed}


def _recipe(row: Mapping[str, Any], loss: Part, profile: Profile, frame: Frame) -> Recipe:
    def part(kind: str) -> Part:
        table = {"name": "none" if kind == "clip" else "constant", **row.get(kind, {})}
        entry = {"optimizer": catalogue.optimizer, "schedule": catalogue.schedule, "clip": catalogue.clip}[kind](table.pop("name"))
        entry.check(table)
        settings = {**entry.defaults(), **table}
        return Part(entry.name, _decayed(settings, row["shrinkage"], frame) if kind == "optimizer" and "shrinkage" in row else settings)

    share = row.get("average", {}).get("share")
    window = max(share * frame.steps, 1) if share else 0
    return Recipe(
        loss=loss, head=head_of(loss, profile), optimizer=part("optimizer"), schedule=part("schedule"), clip=part("clip"), **vars(frame),
        keep="best" if profile.passes >= MANY_PASSES else "last",
        average=Average(round(max(1 - 1 / window, AVERAGE_FLOOR), 6)) if share else None,
    )  # fmt: skip


def _decayed(settings: Mapping[str, Value], shrinkage: float, frame: Frame) -> dict[str, Value]:
    """Settings with the weight decay that shrinks weights by so many e-foldings over the length, were lr constant and the gradient zero.

    lr x decay x steps carries over to another lr and another length, where decay itself does not (Wang & Aitchison, arXiv:2405.13698).
    Coupled decay also passes through the momentum, which repeats it 1 / (1 - momentum) times.
    """
    name = "weight_decay" if "weight_decay" in settings else "l2"
    if name not in settings:
        return dict(settings)
    lr, momentum = settings["lr"], settings.get("momentum", 0.0)
    assert isinstance(lr, float) and isinstance(momentum, float)
    repeated = 1.0 if name == "weight_decay" else 1 / (1 - momentum)
    return {**settings, name: float(f"{shrinkage / (lr * repeated * frame.steps):.3g}")}


def _filled(entered: list[Candidate], constraints: Constraints, profile: Profile, loss: Part, count: int, frame: Frame) -> list[Candidate]:
    """When the user's constraints leave too few recipes, the optimizer they name at its default, then at other lrs and schedules."""
    if not entered:
        name = constraints.names.get("optimizer", "adamw")
        entry = catalogue.optimizer(name)
        if reason := entry.applies(profile):
            raise UsageError(f"optimizer {name} {reason}")
        # an average does a falling schedule's work, and where no schedule acts none is written into the recipe
        shape = "constant" if entry.switches or not entry.heeds_schedule else "cosine"
        row = {"name": name, "optimizer": {"name": name}, "schedule": {"name": shape, "warmup": 0.02 if entry.heeds_schedule else 0.0}}
        made = constraints.apply(_recipe(row, loss, profile, frame))
        if made is None:
            raise UsageError(f"no recipe can keep all of: {constraints.describe()}; drop one of them")
        entered = [Candidate(f"{name}-{shape}", made, f"{name} at its default lr with a {shape} schedule")]
    first = entered[0]
    for factor in (3.0, 1 / 3, 10.0, 0.1):
        if len(entered) >= count or first.recipe.lr is None or "lr" in constraints.settings:
            break
        varied = first.recipe.with_lr(first.recipe.lr * factor)
        entered.append(Candidate(f"{first.name} lr x{factor:.2g}", varied, f"{first.name} at {factor:.2g} times its lr", cost=first.cost))
    return entered
