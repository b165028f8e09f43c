"""The contract of a loss: what it returns, how it behaves under autograd, and that `code` and `build` are the same thing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings, Value
from fallline.catalogue._pages import carried
from fallline.metrics import NUMBERED, PER_CLASS

if TYPE_CHECKING:
    import torch

ROWS = 12
CLASSES = 4  # examples of class weights are lists of four
STEPS = 3  # positions of a sequence
EXTREME = 30.0  # a logit or log-rate that training does meet; e^30 still fits float32
DIMENSIONS = 5  # of an embedding: another number than that of the classes
COUNTS = {"binary": (90, 10), "multilabel": (10, 40, 5, 45), **dict.fromkeys(NUMBERED, (50, 30, 15, 5))}


def profile(loss: Loss, task: str) -> Profile:
    """A profile in which the loss applies, unbalanced and with a target scale of 2, so that relative settings show."""
    return Profile(
        task=task,
        rows=100,
        valid_rows=20,
        audit_rows=20,
        batch_size=ROWS,
        batches_per_epoch=8,
        passes=10.0,
        output_kind=loss.reads[0],
        output_shape=(DIMENSIONS if task == "embedding" else CLASSES,),
        width=loss.width,
        classes=CLASSES if task in NUMBERED else 0,
        target_shape=(),
        class_counts=COUNTS.get(task, ()),
        target_mad=2.0,
        last_layer="head",
        last_outputs=CLASSES if task in NUMBERED else 1,
        fixed_end="",
    )


def settings_for(loss: Loss, task: str, settings: Settings) -> dict[str, Value]:
    """Settings as a recipe for `task` holds them: settled, without what is None, and one weight for binary where others have a list."""
    single = {name: value[-1] if isinstance(value, list) and task == "binary" else value for name, value in settings.items()}
    return {name: value for name, value in loss.settle(single, profile(loss, task)).items() if value is not None}


def draw(loss: Loss, task: str, seed: int, dtype: torch.dtype, rows: int = ROWS) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Outputs of the first kind that the loss reads, and targets, in every shape that `task` may have; all classes occur."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    def as_read(raw: torch.Tensor) -> torch.Tensor:
        kinds = {"real": raw, "probability": raw.sigmoid(), "log-probability": raw.log_softmax(1) if raw.ndim > 1 else raw}
        return kinds[loss.reads[0]]

    if task in NUMBERED:
        shape: tuple[int, ...] = (rows, STEPS) if task == "sequence" else (rows,)
        target = torch.arange(torch.Size(shape).numel()).reshape(shape) % CLASSES
        columns = DIMENSIONS if task == "embedding" else CLASSES if loss.outputs is None else loss.outputs(profile(loss, task))
        yield as_read(normal(rows, columns, *shape[1:])), target
        return
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {"binary": ((rows,), (rows, 2, STEPS), (rows, 1)), "multilabel": ((rows, CLASSES),)}
    for shape in shapes.get(task, ((rows,), (rows, 3))):
        output = (
            normal(*shape[:-1], shape[-1] * loss.width) if len(shape) > 1 else normal(*shape, *((loss.width,) if loss.width > 1 else ()))
        )
        if task in ("binary", "multilabel"):
            target = (torch.arange(torch.Size(shape).numel()).reshape(shape) % 3 == 0).to(dtype)
        else:
            target = normal(*shape) if task == "regression" and loss.scale_free else torch.poisson(normal(*shape).exp(), generator)
        yield as_read(output), target


def _built(loss: Loss, h: Settings, dtype: torch.dtype) -> LossFunction:
    """The loss with its buffers (class weights) in the dtype of the outputs, as every caller has to do; what it draws, it draws alike."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        function = loss.build(h)
    learnt = list(function.parameters()) if isinstance(function, torch.nn.Module) else []
    assert bool(learnt) == loss.learns, f"{loss.name}: learns is {loss.learns}, and it has {len(learnt)} parameters"
    return function.to(dtype) if isinstance(function, torch.nn.Module) else function


def _value_and_gradient(function: LossFunction, output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = output.detach().clone().requires_grad_()
    value = function(leaf, target)
    value.backward()
    assert leaf.grad is not None
    return value.detach(), leaf.grad


def _cases(loss: Loss, seed: int, dtype: torch.dtype) -> Iterator[tuple[str, dict[str, Value], torch.Tensor, torch.Tensor]]:
    for task in loss.tasks:
        for settings in (loss.defaults(), loss.example):
            h = settings_for(loss, task, settings)
            for output, target in draw(loss, task, seed, dtype):
                yield f"{loss.name}, {task} {tuple(output.shape)}, {h}, seed {seed}", h, output, target


def check_values(loss: Loss, seed: int = 0) -> None:
    """One finite number with a finite gradient, also at extreme outputs; inputs are left alone."""
    import torch

    for case, h, output, target in _cases(loss, seed, torch.float32):
        far = {"real": output.sign() * EXTREME, "probability": output.round(), "log-probability": output - EXTREME}[loss.reads[0]]
        for outputs in (output, far):
            before = outputs.clone(), target.clone()
            value, gradient = _value_and_gradient(_built(loss, h, torch.float32), outputs, target)
            assert value.shape == (), f"{case}: a loss is one number, got shape {tuple(value.shape)}"
            assert value.isfinite() and gradient.isfinite().all(), (
                f"{case}: value {value}, gradient finite {bool(gradient.isfinite().all())}"
            )
            assert torch.equal(before[0], outputs) and torch.equal(before[1], target), f"{case}: changed its inputs"


def check_gradient(loss: Loss, seed: int = 0) -> None:
    """In float64 autograd agrees with finite differences, and a small step against the gradient lowers the loss."""
    import torch

    for case, h, output, target in _cases(loss, seed, torch.float64):
        function = _built(loss, h, torch.float64)
        leaf = output.clone().requires_grad_()
        if loss.held_constant:  # it owes a test against its formula; here it shows that it is not called so for nothing
            same = torch.autograd.gradcheck(lambda x, f=function, t=target: f(x, t), (leaf,), raise_exception=False)
            assert not same, f"{case}: nothing in it is held constant"
            continue
        assert torch.autograd.gradcheck(lambda x, f=function, t=target: f(x, t), (leaf,)), case
        value, gradient = _value_and_gradient(function, output, target)
        assert function(output - 1e-4 * gradient, target) < value, f"{case}: a step against the gradient does not lower it"


def check_mean(loss: Loss, seed: int = 0) -> None:
    """It is a mean over the batch: neither the order of the examples nor having each of them twice changes it.

    Where examples are compared with each other, a batch with each of them twice is another batch.
    """
    import torch

    for case, h, output, target in _cases(loss, seed, torch.float64):
        function = _built(loss, h, torch.float64)
        order = torch.randperm(len(output), generator=torch.Generator().manual_seed(seed))
        for rows in (order,) if loss.pairs else (order, order.repeat(2)):
            torch.testing.assert_close(function(output[rows], target[rows]), function(output, target), rtol=1e-9, atol=1e-12, msg=case)


def check_code(loss: Loss, seed: int = 0) -> None:
    """`code` evaluates, with torch alone, to what `build` returns: same value, same gradient, bit for bit."""
    import torch

    for case, h, output, target in _cases(loss, seed, torch.float32):
        code = loss.code(h)
        names: dict[str, object] = {"torch": torch}
        exec("from __future__ import annotations\n" + carried(loss, code), names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            evaluated = eval(code, names)
        ours, theirs = (_value_and_gradient(function, output, target) for function in (_built(loss, h, torch.float32), evaluated))
        assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1]), f"{case}: build and {code} differ"
        if loss.stock:
            kind = type(loss.build(h))
            shown = f"{kind.__module__}.{kind.__name__}"
            assert shown.split(".")[-1] == loss.stock.split(".")[-1] and shown.startswith("torch."), (
                f"{case}: stock is {loss.stock}, got {shown}"
            )


def check_hyperparameters(loss: Loss, seed: int = 0) -> None:
    """Every hyperparameter does something: its example, alone, changes the value or the gradient for some task."""
    import torch

    for name in (name for name, hyper in loss.space.items() if not hyper.measured):
        changes = False
        for task in loss.tasks:
            plain, changed = (settings_for(loss, task, s) for s in (loss.defaults(), {**loss.defaults(), name: loss.example[name]}))
            for output, target in draw(loss, task, seed, torch.float32):
                one, other = (_value_and_gradient(_built(loss, h, torch.float32), output, target) for h in (plain, changed))
                changes = changes or not (torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]))
        assert changes, f"{loss.name}: {name} = {loss.example[name]} changes nothing"


def check_settled(loss: Loss, seed: int = 0) -> None:
    """Settled settings have the same names, are possible, and can stand in a recipe file; settling leaves given weights alone."""
    for task in loss.tasks:
        h = loss.settle(loss.defaults(), profile(loss, task))
        assert set(h) == set(loss.space), f"{loss.name}, {task}: settle changes the names of settings to {sorted(h)}"
        loss.check(h)
        assert json.loads(json.dumps(h)) == h, f"{loss.name}, {task}: {h} cannot be written to a file"
        given = loss.settle(loss.example, profile(loss, task))
        lists = [name for name, value in loss.example.items() if isinstance(value, list)]
        assert all(given[name] == loss.example[name] for name in lists), f"{loss.name}, {task}: settle overrules weights that were given"


def check_applies(loss: Loss, seed: int = 0) -> None:
    """It applies where it says so and only there, and what the profile speaks for it is a share."""
    for task in loss.tasks:
        fits = profile(loss, task)
        assert loss.applies(fits) == "", f"{loss.name}: does not apply to {task}: {loss.applies(fits)}"
        assert 0.0 <= loss.suits(fits) <= 1.0, f"{loss.name}, {task}: suits gives {loss.suits(fits)}, not a share"
    assert set(loss.plain_for) <= set(loss.tasks), f"{loss.name}: the plain loss of a task that it is not for"
    assert loss.applies(Profile(**{**vars(profile(loss, loss.tasks[0])), "task": "none of these"})), f"{loss.name}: applies to any task"


def check_link(loss: Loss, seed: int = 0) -> None:
    """The link gives one finite value a target, or one a class; `link_code` is the same bit for bit; no link, no code."""
    import torch

    assert (loss.link is None) == (not loss.link_code), f"{loss.name}: link and link_code go together"
    if loss.link is None:
        assert loss.width == 1 and loss.outputs is None, f"{loss.name}: reads other outputs than the plain loss, so it needs a link"
        return
    for task in loss.tasks:
        for output, target in draw(loss, task, seed, torch.float32):
            linked, wanted = loss.link(output), CLASSES * target.numel() if task in PER_CLASS else target.numel()
            assert linked.numel() == wanted and linked.isfinite().all(), f"{loss.name}: link gives {tuple(linked.shape)}"
            assert torch.equal(linked, eval(loss.link_code, {"torch": torch, "output": output})), (
                f"{loss.name}: link is not {loss.link_code}"
            )


def check_lanes(loss: Loss, seed: int = 0) -> None:
    """Many outputs at once, traced on one batch and run on another, give what single calls give: no shape or number hangs on the data."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    for task in () if loss.learns else loss.tasks:  # one that learns is not trained among others
        h = settings_for(loss, task, loss.example)
        first, second = ([*draw(loss, task, seed + k, torch.float32)] for k in (0, 1))
        for (output, target), (other, its_target) in zip(first, second, strict=True):
            function = loss.build(h)
            traced = make_fx(_lanes_of(function))(torch.stack([output, other]), target)
            shifted = its_target.flip(0)
            shifted[: ROWS // 3] = 0  # class 0 more often than before, which the examples ignore
            values, gradients = traced(torch.stack([other, output]), shifted)
            for k, single in enumerate((other, output)):
                value, gradient = _value_and_gradient(function, single, shifted)
                case = f"{loss.name}, {task} {tuple(output.shape)}, {h}, seed {seed}"
                torch.testing.assert_close(values[k], value, msg=f"{case}: {values[k]} among others, {value} alone")
                torch.testing.assert_close(gradients[k], gradient, msg=f"{case}: another gradient among others than alone")


def _lanes_of(function: LossFunction) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The loss of several outputs for one target, and the gradient of each."""
    import torch

    def lanes(outputs: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = outputs.detach().requires_grad_()
        values: torch.Tensor = torch.func.vmap(lambda output: function(output, target))(leaf)
        return values.detach(), torch.autograd.grad(values.sum(), leaf)[0]

    return lanes


def check_head(loss: Loss, seed: int = 0) -> None:
    """Where the model's end cannot be changed, a loss that needs another one says why, and one that does not asks for no change."""
    for task in loss.tasks:
        fits = profile(loss, task)
        head = loss.head(fits)
        assert (head is not None) == (loss.outputs is not None), f"{loss.name}, {task}: asks for {head} of a model that was made for it"
        fixed = Profile(**{**vars(fits), "fixed_end": "ends in stone", "last_layer": ""})
        assert bool(loss.applies(fixed)) == (head is not None), f"{loss.name}, {task}: {loss.applies(fixed) or 'applies to a fixed end'}"
        plain = Profile(**{**vars(fits), "width": 1.0})
        if loss.width > 1:
            wide = loss.head(plain)
            assert wide is not None and wide.outputs == loss.width and not wide.shared, f"{loss.name}, {task}: {wide} for one output"


CHECKS = (
    check_values,
    check_gradient,
    check_mean,
    check_code,
    check_hyperparameters,
    check_settled,
    check_applies,
    check_link,
    check_lanes,
    check_head,
)
