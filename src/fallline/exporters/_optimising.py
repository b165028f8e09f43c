"""Optimising: the parts of a script that say what is minimised and how: loss, parameter groups, optimizer, learning rate, average."""

from __future__ import annotations

from typing import Any

import torch

from fallline import catalogue
from fallline._parts import body_apart
from fallline.catalogue import Loss, Optimizer, Schedule
from fallline.catalogue._pages import carried
from fallline.catalogue.schedules import warmed
from fallline.exporters._case import Case
from fallline.exporters._page import Literal, Page, Spelled
from fallline.exporters._source import copied

LOSS, OPTIMIZER, CLIP, SCHEDULE, AVERAGE = "Loss", "Optimizer", "Gradient clipping", "Learning rate", "Average of the weights"


def loss_code(page: Page, case: Case) -> str:
    """The loss as an expression, with what it needs defined."""
    if case.recipe.loss.own:
        return "given.loss"
    entry = catalogue.loss(case.recipe.loss.name)
    code = entry.code(settings_of(entry, case.recipe.loss.settings))
    page.need("import torch")
    page.add(LOSS, carried(entry, code))
    if entry.learns or (code.startswith("torch.nn.") and "torch.tensor(" in code):  # class weights lie beside the model and have its dtype
        where = [*([] if case.on_cpu else ["DEVICE"]), *(["torch.float64"] if case.setup["precision"] == "64" else [])]
        return f"{code}.to({', '.join(where)})" if where else code
    return code


def settings_of(entry: Loss | Optimizer | Schedule | catalogue.Clip, settings: Any) -> dict[str, Any]:
    return {**entry.defaults(), **settings}


def optimizer_lines(page: Page, case: Case) -> list[str]:
    """Lines that make `optimizer`; the functions they call are put on the page."""
    if case.recipe.optimizer.own:
        return ["optimizer = given.optimizer" + ("(model)" if case.setup["own"]["optimizer"] == "function" else "")]
    entry = catalogue.optimizer(case.recipe.optimizer.name)
    h = settings_of(entry, case.recipe.optimizer.settings)
    page.setting("LR", h["lr"], "at the peak of the schedule" if case.lr_moves else "")
    decay = float(h[entry.decay]) if entry.decay else 0.0
    if decay:
        page.setting(
            "WEIGHT_DECAY", h[entry.decay], "a share of the weights a step" if entry.decay == "weight_decay" else "added to the gradients"
        )
    shown = {**h, "lr": Spelled(h["lr"], "LR")}
    code = entry.code(shown, fast_keyword(entry, h, case))
    page.need("import torch", *([f"import {entry.package}"] if entry.package else []))
    page.add(OPTIMIZER, carried(entry, code))
    groups = _groups(page, case, entry, "WEIGHT_DECAY" if decay else "0.0")
    if case.recipe.body_lr is not None:
        page.setting("NOT_BODY", Literal(repr(case.recipe.body_lr.head)), "the modules that are not the trained body")
        page.setting("BODY_LR", case.recipe.body_lr.factor, "times LR, for the body")
        page.add(OPTIMIZER, copied(body_apart))
        groups = f"body_apart(model, {groups}, NOT_BODY, LR * BODY_LR)"
    lines = [f"groups = {groups}"]
    if case.loss_learns:
        kind = '"kind": "other", ' if entry.matrices else ""
        learnt = "[parameter for parameter in loss_function.parameters() if parameter.requires_grad]"
        lines.append(f'groups.append({{"params": {learnt}, {kind}"weight_decay": 0.0}})  # what the loss learns')
    return [*lines, f"optimizer = {code}"]


def fast_keyword(entry: Optimizer, h: dict[str, Any], case: Case) -> str:
    """ ", fused=True" where `build` asks torch for it."""
    kind = torch.float32 if case.setup["model"]["fused"] else torch.complex64
    where = case.device.split(":")[0]
    probe = torch.nn.Parameter(torch.zeros(1, dtype=kind, device="cpu" if where in ("cpu", "cuda") else "meta"))
    built = entry.build([{"params": [probe], "decay": True, "kind": "other"}], h)
    return "".join(f", {name}=True" for name in ("fused", "foreach") if built.defaults.get(name))


def _groups(page: Page, case: Case, entry: Optimizer, decay: str) -> str:
    """The expression for the parameter groups."""
    everything = case.recipe.decay_on == "all"
    if everything and not entry.matrices:
        return f'[{{"params": [parameter for parameter in model.parameters() if parameter.requires_grad], "weight_decay": {decay}}}]'
    page.need("from torch import nn")
    rest = decay if everything else "0.0"
    kinds = ('"kind": "matrix", ', '"kind": "other", ') if entry.matrices else ("", "")
    said = (
        "Matrices apart from biases, norms and embeddings"
        if everything
        else "Decay acts on matrices and kernels; biases, norms and embeddings are kept off it"
    )
    page.add(OPTIMIZER, copied(constants=[("fallline._kinds", "NORMS")]))
    page.add(
        OPTIMIZER,
        f'''
        def parameter_groups(model):
            """{said}."""
            is_matrix = {{}}
            for module in model.modules():
                apart = isinstance(module, (*NORMS, nn.Embedding, nn.EmbeddingBag))
                for parameter in module.parameters(recurse=False):
                    if parameter.requires_grad:
                        is_matrix.setdefault(parameter, parameter.ndim >= 2 and not apart)
            groups = [
                {{"params": [parameter for parameter in is_matrix if is_matrix[parameter]], {kinds[0]}"weight_decay": {decay}}},
                {{"params": [parameter for parameter in is_matrix if not is_matrix[parameter]], {kinds[1]}"weight_decay": {rest}}},
            ]
            return [group for group in groups if group["params"]]
        ''',
    )
    return "parameter_groups(model)"


def clip_code(page: Page, case: Case) -> str:
    """The statement that clips the gradients of `parameters`, with what it needs defined and made; "" where none does."""
    if not case.recipe.clip.own:
        entry = catalogue.clip(case.recipe.clip.name)
        h = settings_of(entry, case.recipe.clip.settings)
        begin, code = entry.begin(h), entry.code(h)
        page.add(CLIP, carried(entry, f"{begin}\n{code}"))
        page.main += [begin] if begin else []
        return code
    own = case.setup["own"]["clip"]
    return "given.clip(parameters)" if own == "function" else f"torch.nn.utils.clip_grad_norm_(parameters, max_norm={own!r})"


def write_schedule(page: Page, case: Case) -> None:
    """`lr_factor(step)`, what multiplies the peak, and `react`, where the schedule reads the metric."""
    entry, recipe = case.schedule, case.recipe
    if entry is None:
        return
    h = settings_of(entry, recipe.schedule.settings)
    warmup = float(h.pop("warmup", 0.0) or 0.0)
    if case.reacts:
        assert entry.react is not None
        page.add(SCHEDULE, copied(entry.react))
    if case.lr_moves:
        _write_factor(page, case, entry, warmup)
    if h and (case.reacts or (case.lr_moves and "SCHEDULE" in str(page.sections[SCHEDULE].texts))):
        page.setting("SCHEDULE", Literal(repr(h)))


def _write_factor(page: Page, case: Case, entry: Schedule, warmup: float) -> None:
    recipe = case.recipe
    # A factor of one throughout is left out: multiplying by it changes no bit.
    constant = all(
        entry.factor(step, max(recipe.steps, 1), settings_of(entry, recipe.schedule.settings)) == 1.0
        for step in range(max(recipe.steps, 1))
    )
    shape = "" if constant else f"{entry.factor.__name__}({{step}}, {{length}}, SCHEDULE)"
    if not constant:
        page.add(SCHEDULE, copied(entry.factor))
    lines = []
    if warmup:
        page.setting("WARMUP", warmup, "share of the length")
        page.add(SCHEDULE, copied(warmed))
        if constant:
            lines.append("factor, _, _ = warmed(step, STEPS, WARMUP)")
        else:
            lines.append("ramp, left_step, left_length = warmed(step, STEPS, WARMUP)")
            lines.append(f"factor = ramp * {shape.format(step='left_step', length='left_length')}")
    else:
        lines.append(f"factor = {shape.format(step='step', length='STEPS') if shape else '1.0'}")
    if recipe.lr_change is not None:
        page.setting("LR_CHANGE_AT", recipe.lr_change.at, "the step from which the peak is lower")
        page.setting("LR_CHANGE", recipe.lr_change.factor)
        lines.append("return factor * LR_CHANGE if step >= LR_CHANGE_AT else factor")
    else:
        lines = (
            [*lines[:-1], lines[-1].replace("factor = ", "return ", 1)] if lines[-1].startswith("factor = ") else [*lines, "return factor"]
        )
    name, said = (
        ("scheduled", "What the schedule makes of the peak") if recipe.cooldown else ("lr_factor", "What multiplies the peak learning rate")
    )
    page.add(
        SCHEDULE, "\n".join([f"def {name}(step):", f'    """{said} at this step, counted from 0."""', *(f"    {line}" for line in lines)])
    )
    if recipe.cooldown is not None:
        page.setting("COOLDOWN_AT", recipe.cooldown.at, "the step at which time ran out: from there on lr falls to zero in a line")
        page.setting("COOLDOWN_STEPS", recipe.cooldown.steps)
        page.add(
            SCHEDULE,
            '''
            def lr_factor(step):
                """What multiplies the peak learning rate at this step, counted from 0."""
                if step < COOLDOWN_AT:
                    return scheduled(step)
                return scheduled(max(COOLDOWN_AT - 1, 0)) * (1.0 - (step - COOLDOWN_AT) / COOLDOWN_STEPS)
            ''',
        )


def write_average(page: Page, case: Case) -> None:
    """`update_average(average, model, step)`."""
    assert case.recipe.average is not None
    page.setting("AVERAGE_DECAY", case.recipe.average.decay)
    page.need("import copy", "import torch")
    page.add(
        AVERAGE,
        '''
        @torch.no_grad()
        def update_average(average, model, step):
            """Move the average towards the weights. A young average forgets its start: its decay grows with the steps."""
            decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
            for module in ("parameters", "buffers"):
                for mine, theirs in zip(getattr(average, module)(), getattr(model, module)(), strict=True):
                    if mine.is_floating_point():
                        mine.lerp_(theirs, 1 - decay)
                    else:
                        mine.copy_(theirs)
        ''',
    )
