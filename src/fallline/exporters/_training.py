"""Training: the lines of `main`: everything is made, the steps are run, the weights are kept, judged and saved."""

from __future__ import annotations

from fallline._adapt import change_head
from fallline._demands import backward_keeping_graph, step_with_closure
from fallline._head import Head
from fallline.exporters._batching import forward, rows_call, seed_everything
from fallline.exporters._case import Case
from fallline.exporters._judging import evaluate
from fallline.exporters._looking import before_looks, look, own_scheduler, some_rows, told, told_step
from fallline.exporters._optimising import clip_code, loss_code, optimizer_lines, write_average, write_schedule
from fallline.exporters._page import Literal, Page
from fallline.exporters._source import copied

WEIGHTS = "model_from_script.pt"


def write_training(page: Page, case: Case) -> None:
    """Loss, optimizer, schedule and the loop, as lines of `main`."""
    recipe, main = case.recipe, page.main
    page.need("import torch", "import copy", "import math")
    page.setting("STEPS", recipe.steps, "optimizer updates" + (", had there been time" if recipe.cooldown else ""))
    if case.setup["model"]["lazy"]:
        main += _lazy(case)
    if recipe.head is not None:
        main += _changed_head(page, recipe.head)
    if case.loss_learns and not recipe.loss.own:
        main.append("torch.manual_seed(stream(SEED, HEAD, 1))")
    if case.loop and not (case.classes or recipe.loss.own):
        main += [f"criterion = {loss_code(page, case)}", "", "def loss_function(output, target):"]
        main += ["    return criterion(output, target.to(output.dtype))", ""]
    else:
        main.append(f"loss_function = {loss_code(page, case)}")
    main += optimizer_lines(page, case)
    write_schedule(page, case)
    if case.loop:
        _own_loop(page, case)
    else:
        _loop(page, case)
    _ending(page, case)


def _lazy(case: Case) -> list[str]:
    """Layers that take their size from the first batch they see."""
    source = "train.read(torch.arange(2), 0)" if case.datasets else "take(train, torch.arange(2))"
    source = source if case.on_cpu else f"to_device({source})"
    unpacked = f"given.unpack({source})" if case.setup["unpack"] == "own" else source
    return [
        "torch.manual_seed(stream(SEED, INIT))",
        "with torch.no_grad():",
        f"    inputs, target = {unpacked}",
        f"    {forward(case)}  # layers that take their size from the first batch they see",
    ]


def _changed_head(page: Page, head: Head) -> list[str]:
    """The end of the model as the loss needs it, with weights that follow from the seed."""
    page.add("Model", copied(change_head))
    return [
        "torch.manual_seed(stream(SEED, HEAD))",
        f"change_head(model, {head.layer!r}, outputs={head.outputs}, shared={head.shared}, without={head.without!r})",
    ]


def _loop(page: Page, case: Case) -> None:
    """The straight loop: one step after another, with a look at valid where the recipe has one."""
    recipe, setup, main = case.recipe, case.setup, page.main
    clip = clip_code(page, case)
    if clip or case.graph_every:
        main.append('parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]')
    if recipe.schedule.own:
        main.append("scheduler = given.scheduler" + ("(optimizer)" if setup["own"]["scheduler"] == "function" else ""))
    if case.peaks_differ and (case.lr_moves or case.reacts):
        main.append('peaks = [group["lr"] for group in optimizer.param_groups]')
    if setup["precision"] == "16":
        main.append(f'scaler = torch.amp.GradScaler("{case.device.split(":")[0]}")')
    if case.averages:
        write_average(page, case)
        main.append("average = copy.deepcopy(model).requires_grad_(False)")
    before_looks(page, case)
    given = ", given" if "given." in rows_call(case) else ""
    main += [f"endless = batches(train{given})", ""]
    end = "COOLDOWN_AT + COOLDOWN_STEPS" if recipe.cooldown and case.lr_moves else "STEPS"
    main.append(f"for step in range({end}):")
    step = [*_lr(case), *(_closure(page, case, clip) if case.closure else [*_forward_and_backward(page, case), *_update(case, clip)])]
    if case.averages:
        step.append("update_average(average, model, step)")
    step += own_scheduler(page, case)
    if case.looks:
        step.append("if step + 1 in LOOKS:")
        step += [f"    {line}" for line in look(page, case, "step + 1")]
    main += [f"    {line}" for line in step]
    main.append("")


def _lr(case: Case) -> list[str]:
    if not case.lr_moves and not case.reacts:
        return []
    factor = "reaction * lr_factor(step)" if case.reacts and case.lr_moves else "lr_factor(step)" if case.lr_moves else "reaction"
    if case.peaks_differ:
        return ["for group, peak in zip(optimizer.param_groups, peaks, strict=True):", f'    group["lr"] = peak * {_bracketed(factor)}']
    return ["for group in optimizer.param_groups:", f'    group["lr"] = LR * {_bracketed(factor)}']


def _bracketed(factor: str) -> str:
    return f"({factor})" if " " in factor else factor


def _forward_and_backward(page: Page, case: Case) -> list[str]:
    """Batches of one step, their seeds, outputs, loss and gradients."""
    setup = case.setup
    accumulates = setup["accumulate"] > 1
    k = "k" if accumulates else "step"
    batch = "next(endless)" if not case.closure else "taken[k - step * ACCUMULATE]" if accumulates else "taken[0]"
    if not case.on_cpu:
        batch = f"to_device({batch})"
    if setup["unpack"] == "own":
        seed_everything(page)
        lines = [f"batch = {batch}", f"seed_everything(stream(SEED, STEP, {k}))", "inputs, target = given.unpack(batch)"]
    else:
        lines = [f"inputs, target = {batch}"]
    lines.append(f"torch.manual_seed(stream(SEED, STEP, {k}))  # what the model draws depends on the seed and the step alone")
    target = "target" if case.classes or case.recipe.loss.own else "target.to(output.dtype)"
    half = setup["precision"] in ("bf16", "16")
    widened = ".float()" if half and not case.recipe.loss.own else ""  # targets keep their digits
    ahead = [f"output = {forward(case)}{widened}", f"loss = loss_function(output, {target})"]
    if half:
        kind = "torch.bfloat16" if setup["precision"] == "bf16" else "torch.float16"
        ahead = [f'with torch.autocast("{case.device.split(":")[0]}", {kind}):', *(f"    {line}" for line in ahead)]
    lines += ahead
    if accumulates:
        lines.append("loss = loss / ACCUMULATE")
    lines += _backward(page, case)
    if not accumulates:
        return lines
    page.setting("ACCUMULATE", setup["accumulate"], "batches a step")
    return ["for k in range(step * ACCUMULATE, (step + 1) * ACCUMULATE):", *(f"    {line}" for line in lines)]


def _backward(page: Page, case: Case) -> list[str]:
    """The statement that makes gradients, such as can be differentiated again where the optimizer wants it."""
    plain = "scaler.scale(loss).backward()" if case.setup["precision"] == "16" else "loss.backward()"
    if not case.graph_every:
        return [plain]
    page.add("Optimizer", copied(backward_keeping_graph))
    keeping = "backward_keeping_graph(loss, parameters)"
    if case.graph_every == 1:
        return [keeping]
    page.setting("GRAPH_EVERY", case.graph_every, "steps between two looks at second derivatives")
    return ["if step % GRAPH_EVERY == 0:", f"    {keeping}", "else:", f"    {plain}"]


def _closure(page: Page, case: Case, clip: str) -> list[str]:
    """One step by an optimizer that evaluates the loss itself, on batches that are taken once."""
    page.add("Optimizer", copied(step_with_closure))
    accumulates = case.setup["accumulate"] > 1
    count = "range(ACCUMULATE)" if accumulates else "range(1)"
    backward = _forward_and_backward(page, case)
    if accumulates:  # the optimizer reads the loss of all batches together
        backward = ["parts = []", *backward, "    parts.append(loss.detach())"]
    body = [*backward, *([clip] if clip else []), "return torch.stack(parts).sum()" if accumulates else "return loss"]
    lines = [f"taken = [next(endless) for _ in {count}]", "", "def gradients():", *(f"    {line}" for line in body), ""]
    return [*lines, "step_with_closure(optimizer, model, gradients)", "optimizer.zero_grad(set_to_none=True)"]


def _update(case: Case, clip: str) -> list[str]:
    scaled = case.setup["precision"] == "16"
    lines = (["scaler.unscale_(optimizer)"] if scaled and clip else []) + ([clip] if clip else [])
    lines += ["scaler.step(optimizer)", "scaler.update()"] if scaled else ["optimizer.step()"]
    return [*lines, "optimizer.zero_grad(set_to_none=True)"]


def _own_loop(page: Page, case: Case) -> None:
    """The user's own loop, epoch by epoch; steps are counted as the optimizer makes them."""
    recipe, main = case.recipe, page.main
    seed_everything(page)
    page.add("Batches", _loader(case))
    if case.lr_moves:
        main.append('peaks = [group["lr"] for group in optimizer.param_groups]')
    if recipe.schedule.own:
        main.append("scheduler = given.scheduler" + ("(optimizer)" if case.setup["own"]["scheduler"] == "function" else ""))
    else:
        main.append("scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)  # your loop may step it: it changes nothing")
    main += ["step = 0", "", "def count(*_):", "    nonlocal step", "    step += 1", "", "optimizer.register_step_post_hook(count)"]
    if case.lr_moves:
        main += [
            "",
            "def set_lr(*_):",
            "    for group, peak in zip(optimizer.param_groups, peaks, strict=True):",
            f'        group["lr"] = peak * lr_factor(min(step, {_end(case)} - 1))',
            "",
            "optimizer.register_step_pre_hook(set_lr)",
        ]
    before_looks(page, case)
    page.need("import itertools")
    main += ["", "for epoch in itertools.count():", f"    if step >= {_end(case)}:", "        break"]
    body = ["model.train()"]
    plain = case.classes or recipe.loss.own
    loss = "loss_function" if plain else "lambda output, target: loss_function(output, target.to(output.dtype))"
    call = (
        f"given.loop(model, {loss}, optimizer, scheduler, Loader(train, epoch" + (", given" if "given." in rows_call(case) else "") + "))"
    )
    if recipe.schedule.own:
        value = told(case, evaluate(case, "model", "valid", "look_rows" if some_rows(case) else ""))
        body += [
            "before = scheduler.last_epoch",
            call,
            "if scheduler.last_epoch == before:  # the loop leaves it to its caller",
            *(f"    {line}" for line in told_step(page, case, value)),
        ]
    else:
        body.append(call)
    if case.looks:
        body += look(page, case, "step")
    main += [*(f"    {line}" for line in body), ""]


def _end(case: Case) -> str:
    return "COOLDOWN_AT + COOLDOWN_STEPS" if case.recipe.cooldown and case.lr_moves else "STEPS"


def _loader(case: Case) -> str:
    given = ", given" if "given." in rows_call(case) else ""
    take = "train.read(rows, stream(SEED, STEP, k))" if case.datasets else "take(train, rows)"
    take = take if case.on_cpu else f"to_device({take})"
    rows = rows_call(case)
    return "\n".join([
        "class Loader:",
        '    """One epoch of batches for your own loop; batch k is read and used under its own seed."""',
        "",
        f"    def __init__(self, train, epoch{given}):",
        f"        self.train, self.epoch, self.rows = train, epoch, {rows}",
        "        self.batch_size = BATCH_SIZE",
        f"        self.dataset = {'train.dataset' if case.reads_dataset('train') else 'None'}",
        "",
        "    def __len__(self):",
        "        return len(self.rows)",
        "",
        "    def __iter__(self):",
        "        for k, rows in enumerate(self.rows, self.epoch * len(self.rows)):",
        f"            batch = {take.replace('train', 'self.train')}",
        "            seed_everything(stream(SEED, STEP, k))",
        "            yield batch",
    ])  # fmt: skip


def _ending(page: Page, case: Case) -> None:
    """The weights that are handed back, judged and saved."""
    main = page.main
    if case.averages:
        main.append("model = average")
    if case.switches:
        main.append("optimizer.eval()  # the weights that it wants judged and handed back")
    if case.recipe.keep == "best":
        main.append("model.load_state_dict(best_weights)")
    for part in ("valid", "audit"):
        main.append(f'print("{case.facts["metric"]} on {part}:", {evaluate(case, "model", part)})')
    main.append("torch.save(model.state_dict(), WEIGHTS)")
    main.append('print("weights:", WEIGHTS)')
    page.need("from pathlib import Path")
    page.setting("WEIGHTS", Literal(f'Path(__file__).with_name("{WEIGHTS}")'))
