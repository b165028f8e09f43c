"""Looking: the lines of a script that read valid during training, for the best weights, for the schedule, or to know when to stop."""

from __future__ import annotations

import textwrap

from fallline._demands import judging
from fallline.exporters._batching import size_of
from fallline.exporters._case import Case
from fallline.exporters._judging import JUDGING, evaluate
from fallline.exporters._page import WIDTH, Literal, Page
from fallline.exporters._source import copied


def as_judged(page: Page, case: Case, lines: list[str]) -> list[str]:
    """The lines, on the weights that the optimizer wants judged, where it has such."""
    if not case.switches:
        return lines
    page.add(JUDGING, copied(judging))
    return ["with judging(optimizer):", *(f"    {line}" for line in lines)]


def own_scheduler(page: Page, case: Case) -> list[str]:
    """The user's scheduler, in its own unit."""
    setup = case.setup
    if not case.recipe.schedule.own:
        return []
    if setup["own"]["scheduler_step"] == "batch":
        return ["scheduler.step()"]
    page.setting("STEPS_PER_EPOCH", max(setup["batches_per_epoch"] // setup["accumulate"], 1))
    model, rows = ("average" if case.averages else "model"), ("look_rows" if some_rows(case) else "")
    value = told(case, evaluate(case, model, "valid", rows))
    return ["if (step + 1) % STEPS_PER_EPOCH == 0:", *(f"    {line}" for line in told_step(page, case, value))]


def told_step(page: Page, case: Case, value: str) -> list[str]:
    """One step of the user's own scheduler, with what it is told."""
    if not value or not case.switches:
        return [f"scheduler.step({value})"]
    return [*as_judged(page, case, [f"value = {value}"]), "scheduler.step(value)"]


def told(case: Case, value: str) -> str:
    """What the user's own scheduler is told: the metric, turned to the direction that a plateau's mode reads; nothing for all others."""
    mode = case.setup["own"].get("scheduler_reads")
    return "" if mode is None else value if mode == case.facts["direction"] else f"-{value}"


def some_rows(case: Case) -> bool:
    """Whether looks read only some of valid."""
    return 0 < case.recipe.look_rows < int(case.profile["valid_rows"])


def before_looks(page: Page, case: Case) -> None:
    """What looks at valid need beforehand."""
    recipe, main = case.recipe, page.main
    reads = case.looks or (recipe.schedule.own and bool(case.setup["own"].get("scheduler_reads")))
    if reads and some_rows(case):
        page.setting("LOOK_ROWS", recipe.look_rows, "examples of valid that a look reads")
        main.append(
            f"look_rows = torch.randperm({size_of(case, 'valid')}, generator=torch.Generator().manual_seed(SEED))[:LOOK_ROWS].sort().values"
        )
    if not case.looks:
        return
    if not case.loop:
        steps = ", ".join(str(look) for look in recipe.looks())
        listed = (
            f"[{steps}]"
            if len(steps) < 100
            else "[\n" + textwrap.fill(steps, WIDTH, initial_indent="    ", subsequent_indent="    ") + ",\n]"
        )
        page.setting("LOOKS", Literal(listed), "" if "\n" in listed else "steps after which valid is read")
    if case.reacts:
        main.append("history, reaction = [], 1.0")
    if _keeps(case):
        main.append(f"best = {'math.inf' if case.lower_is_better else '-math.inf'}")
    if recipe.patience is not None:
        page.setting("PATIENCE", recipe.patience, "looks without improvement after which training ends")
        main.append("since_best = 0")


def _keeps(case: Case) -> bool:
    return case.recipe.keep == "best" or case.recipe.patience is not None


def look(page: Page, case: Case, at: str) -> list[str]:
    """One look at valid: the best weights are kept, the schedule reacts, and patience may end."""
    recipe, model = case.recipe, "average" if case.averages else "model"
    lines = as_judged(page, case, [f"value = {evaluate(case, model, 'valid', 'look_rows' if some_rows(case) else '')}"])
    lines.append(f'print(f"step {{{at}:>6}}  {case.facts["metric"]} on valid {{value:.6g}}")')
    if case.reacts:
        lines.append(f"history.append({'value' if case.lower_is_better else '-value'})")
        lines.append("reaction = react(history, SCHEDULE)")
    if _keeps(case):
        lines.append(f"if value {'<' if case.lower_is_better else '>'} best:")
        kept = ["best = value"]
        if recipe.keep == "best":
            weights = f"best_weights = {{name: tensor.detach().clone() for name, tensor in {model}.state_dict().items()}}"
            kept += as_judged(page, case, [weights])
        if recipe.patience is not None:
            kept.append("since_best = 0")
        lines += [f"    {line}" for line in kept]
        if recipe.patience is not None:
            lines += ["else:", "    since_best += 1", "    if since_best >= PATIENCE:", "        break"]
    return lines
