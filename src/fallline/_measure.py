"""Measuring a problem into its Profile: task from targets and outputs, target facts, parameters, time, memory."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fallline._adapt import end_of
from fallline._batches import TensorSource, leaves
from fallline._counted import counted
from fallline._data import Data
from fallline._errors import FalllineError, RefusedError, UsageError
from fallline._fit import fit, infer_task, two_logits
from fallline._kinds import fan_in, normalisation, parameter_kinds
from fallline._outputs import output_kind
from fallline._problem import Problem, call
from fallline._profile import Profile
from fallline._targets import label_noise, second_share, target_facts

PROBE_ROWS = 256  # enough to see the kind of outputs, small enough for any model's first forward pass
TARGET_ROWS = 200_000  # targets read for the facts about them: a second at most for tensors
TIMED_STEPS = 8  # the median of 8 steps after 2 of warm-up


def measure(problem: Problem, data: Data, device: torch.device, *, seed: int = 0) -> Profile:
    """The profile of a problem.

    Raises:
        RefusedError: the model or the data cannot be trained on as they are, with what to change.
    """
    model = problem.new_model(seed).to(device)
    if not any(True for _ in model.parameters()):
        raise RefusedError("the model has no parameters, so there is nothing to train; check that layers are assigned to self")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise RefusedError("the model has no trainable parameters: all of them are frozen; check requires_grad")
    _refuse_gaps(data)
    outputs, target = _probe(model, problem, data, device)
    data = replace(data, output_numbers=outputs[0].numel())
    targets = data.targets("train", TARGET_ROWS)
    task = problem.task or infer_task(outputs, targets)
    if task == "binary" and two_logits(outputs, targets):
        task = "multiclass"  # metrics of yes and no read its second class
    facts = fit(task, outputs, target, targets, problem)
    inputs, _ = next(iter(data.sweep("train", device, torch.arange(len(outputs)))))
    end = end_of(model, inputs)
    _refuse_unlike(task, outputs, target, model, problem, data, device)
    step_s, flops, memory, layer_bytes = _cost(model, problem, data, device)
    data = replace(data, layer_bytes=layer_bytes)
    eval_s = _eval_time(model, data, device)
    updates = max(data.train.size // data.batch_size, 1)
    return Profile(
        task=task,
        rows=data.train.size,
        valid_rows=data.valid.size,
        audit_rows=data.audit.size,
        batch_size=data.batch_size,
        batches_per_epoch=updates,
        passes=float(problem.epochs or 0),
        output_kind=output_kind(model, inputs, outputs, task, end),
        output_shape=tuple(outputs.shape[1:]),
        target_shape=tuple(target.shape[1:]),
        last_layer=end.layer,
        last_outputs=end.outputs,
        last_activation=end.activation,
        activation_does=end.does,
        fixed_end=end.fixed,
        target_scaled=problem.origin.scale is not None,
        second_share=second_share(data, task, problem),
        label_noise=label_noise(data, task),
        step_s=step_s,
        eval_s=eval_s,
        flops_per_step=flops,
        memory=memory,
        layer_bytes=layer_bytes,
        **facts,
        **target_facts(targets, task, problem, facts["classes"]),
        **_parameter_facts(model),
    )


def _refuse_gaps(data: Data) -> None:
    """Refuse NaN and inf anywhere in tensors that are at hand; what a Dataset gives is seen on its first examples only."""
    for split in ("train", "valid", "audit"):
        source = getattr(data, split)
        for leaf in leaves(source.tree) if isinstance(source, TensorSource) else ():
            if leaf.is_floating_point() and not bool(torch.isfinite(leaf).all()):
                rows = int((~torch.isfinite(leaf)).reshape(len(leaf), -1).any(dim=1).sum())
                raise RefusedError(f"{split} holds NaN or inf in {rows} of {len(leaf)} examples; fill such values or drop the examples")


def _refuse_unlike(
    task: str, outputs: Tensor, target: Tensor, model: nn.Module, problem: Problem, data: Data, device: torch.device
) -> None:
    """Refuse valid or audit examples that the model cannot be judged on, though it can be trained; what was split off is as train is."""
    for split, given in (("valid", problem.valid), ("audit", problem.audit)):
        at_hand = isinstance(getattr(data, split), TensorSource)
        try:
            theirs = _probe(model, problem, data, device, split) if given is not None else (outputs, target)
            if theirs[1].ndim != target.ndim:
                shapes = f"{('N', *theirs[1].shape[1:])}, those of train {('N', *target.shape[1:])}".replace("'", "").replace("(N,)", "(N)")
                raise RefusedError(f"its targets have shape {shapes}; give both the same number of dimensions")
            fit(task, *theirs, data.targets(split, TARGET_ROWS if at_hand else PROBE_ROWS), problem)
        except RefusedError as error:
            raise RefusedError(f"{split}: {error}") from error


def _probe(model: nn.Module, problem: Problem, data: Data, device: torch.device, split: str = "train") -> tuple[Tensor, Tensor]:
    """Outputs and targets of the first examples, in eval mode; refuses a model that fails or gives NaN."""
    rows = torch.arange(min(PROBE_ROWS, getattr(data, split).size))
    model.eval()
    inputs, target = next(iter(data.sweep(split, device, rows)))
    if not isinstance(target, Tensor):
        raise UsageError(f"the target must be a tensor, got {type(target).__name__}; give Problem(unpack=...)")
    for leaf in leaves(inputs):
        if leaf.is_floating_point() and not bool(torch.isfinite(leaf).all()):
            raise RefusedError("the inputs hold NaN or inf; fill or drop such values before training")
    if target.is_floating_point() and not bool(torch.isfinite(target).all()):
        raise RefusedError("the target holds NaN or inf; drop those examples before training")
    try:
        with torch.no_grad():
            outputs = call(model, inputs)
    except FalllineError:
        raise
    except Exception as error:  # whatever the user's model raises
        shapes = ", ".join(f"{tuple(leaf.shape)} {str(leaf.dtype).removeprefix('torch.')}" for leaf in leaves(inputs))
        raise RefusedError(f"the model raised {type(error).__name__} on a batch with inputs of shape {shapes}: {error}") from error
    if not isinstance(outputs, Tensor):
        raise RefusedError(
            f"the model must return one tensor, got {type(outputs).__name__}; wrap it so that forward returns the prediction"
        )
    if outputs.ndim == 0 or len(outputs) != len(target):
        raise RefusedError(
            f"the model gives outputs of shape {tuple(outputs.shape)} for {counted(len(target), 'target')}; the first dimension must agree"
        )
    if not bool(torch.isfinite(outputs).all()):
        share = float((~torch.isfinite(outputs)).double().mean())
        raise RefusedError(
            f"the untrained model gives NaN or inf ({share:.0%} of its outputs); check inputs for scale and the initial weights"
        )
    return outputs.float().cpu(), target.cpu()


def _parameter_facts(model: nn.Module) -> dict[str, Any]:
    sizes = {"matrix": 0, "convolution": 0, "embedding": 0, "vector": 0}
    kinds = parameter_kinds(model)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            sizes[kinds[name]] += parameter.numel()
    modules = list(model.modules())
    return {
        "fan_in": fan_in(model),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "matrices": sizes["matrix"],
        "convolutions": sizes["convolution"],
        "embeddings": sizes["embedding"],
        "vectors": sizes["vector"],
        "normalisation": normalisation(modules),
        "recurrent": any(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in modules),
        "attention": any(isinstance(m, nn.MultiheadAttention) or "attention" in type(m).__name__.lower() for m in modules),
        "dropout": any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in modules),
    }


def _cost(model: nn.Module, problem: Problem, data: Data, device: torch.device) -> tuple[float, float, int, int]:
    """Seconds, floating-point operations and bytes of one training step, on a model that is thrown away afterwards."""
    model.train()
    batches = data.batches(0, device)
    trainable = [p for p in model.parameters() if p.requires_grad]
    sparse = [name for name, module in model.named_modules() if getattr(module, "sparse", False) is True]
    if sparse and problem.optimizer is None:
        raise RefusedError(
            f"{sparse[0] or type(model).__name__} has sparse gradients, which AdamW, the baseline, cannot take; "
            "say sparse=False, or give the optimizer that you use"
        )
    optimizer = torch.optim.SGD(trainable, lr=0.0) if sparse else torch.optim.AdamW(trainable, lr=0.0, weight_decay=0.0, foreach=True)
    held = rows = 0

    def hold(_: nn.Module, __: Any, output: Any) -> None:
        nonlocal held
        held += sum(leaf.numel() * leaf.element_size() for leaf in leaves(output))

    def step(k: int) -> None:
        nonlocal rows
        inputs, _target = batches(k)
        output = call(model, inputs)
        rows = rows or len(output)
        output.float().pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    hooks = [module.register_forward_hook(hold) for module in model.modules() if not list(module.children())]
    try:
        with FlopCounterMode(display=False) as counter:
            step(0)
    except FalllineError:
        raise
    except Exception as error:  # whatever the user's model or data raise
        raise RefusedError(f"a training step, on a batch of {data.batch_size}, raised {type(error).__name__}: {error}") from error
    for hook in hooks:
        hook.remove()
    step(1 % batches.per_epoch)
    times = []
    for k in range(TIMED_STEPS):
        began = time.perf_counter()
        step(k)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    # weights, gradients and two moments; what the forward pass keeps is held once more while gradients flow back
    memory = 4 * weights + 2 * held
    flops = float(counter.get_total_flops()) * problem.accumulate
    return float(np.median(times)) * problem.accumulate, flops, int(memory), held // max(rows, 1)


def _eval_time(model: nn.Module, data: Data, device: torch.device) -> float:
    """Seconds of one evaluation pass over valid, from one large batch."""
    model.eval()
    began, seen = time.perf_counter(), 0
    with torch.no_grad():
        for inputs, target in data.sweep("valid", device):
            call(model, inputs)
            seen += len(target)
            if time.perf_counter() - began > 0.2:  # enough to extrapolate from
                break
    return (time.perf_counter() - began) * data.valid.size / max(seen, 1)
