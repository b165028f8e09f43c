"""Record: what a run's folder says of its problem, so that exporters and reports need nothing but the folder.

`problem.json` says where the problem came from and how it is trained (`setup`), `splits.json` which rows were split off, `problem.py` is
the user's file as it was.
"""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset, default_collate

from fallline._batches import DatasetSource, Source, TensorSource, leaves
from fallline._data import Data
from fallline._journal import write_text
from fallline._judge import Judge, own_entry
from fallline._model import Given, made
from fallline._parts import build_loss, build_optimizer, build_scheduler, learnt
from fallline._problem import Problem
from fallline._weights import tensors_in
from fallline.metrics import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fallline._plan import Plan
    from fallline._run import Run
    from fallline._setting import Setting
    from fallline._splits import Index, Split

TENSOR = "tensor"  # a leaf in the description of nested tensors


def record(run: Run, setting: Setting, plan: Plan, facts: Mapping[str, Any]) -> None:
    """Write plan, problem, preparation and splits into the run's folder."""
    problem, data = setting.problem, setting.data
    run.write_json("plan.json", plan.to_dict())
    setup = setup_of(problem, data, setting.judge, setting.device, plan)
    run.write_json("problem.json", {"facts": facts, "origin": origin_of(problem), "profile": asdict(setting.profile), "setup": setup})
    if problem.origin.preparation is not None:
        run.write_json("preparation.json", problem.origin.preparation)
    if data.split is not None:
        run.write_json("splits.json", packed(problem, data.split))
    if problem.origin.kind == "python_file":
        write_text(run.folder / "problem.py", Path(problem.origin.source).read_text(encoding="utf-8"))


def origin_of(problem: Problem) -> dict[str, Any]:
    origin = problem.origin
    source = str(Path(origin.source).resolve()) if origin.source else ""
    return {"kind": origin.kind, "source": source, "options": dict(origin.options), "scale": origin.scale, "labels": list(origin.labels)}


def setup_of(problem: Problem, data: Data, judge: Judge, device: torch.device, plan: Plan) -> dict[str, Any]:
    """How the problem is trained, as far as no recipe chooses it, as plain JSON: batches, kinds of parts, order of rows."""
    batches = data.batches(0, torch.device("cpu"))
    inputs, target = next(iter(data.sweep("train", torch.device("cpu"), torch.arange(1))))
    sampler, metric = data.order.get("sampler"), judge.metric
    return {
        "device": str(device),
        "threads": plan.threads,
        "precision": problem.precision,
        "accumulate": problem.accumulate,
        "batch_size": batches.order.batch_size,
        "batches_per_epoch": batches.per_epoch,
        "gathers": batches.gathers,
        "shuffle": bool(data.order["shuffle"]),
        "sampler": None if sampler is None else {"set_epoch": hasattr(sampler, "set_epoch"), "generators": _generators(sampler)},
        "eval_batch": {split: data.eval_batch(split) for split in ("valid", "audit")},
        "sources": {split: _source(getattr(problem, split), getattr(data, split)) for split in ("train", "valid", "audit")},
        "unpack": "own" if problem.unpack is not None else "pair",
        "inputs": "dict" if isinstance(inputs, Mapping) else "tuple" if isinstance(inputs, tuple | list) else TENSOR,
        "target_dims": target.ndim,
        "ignore_index": problem.ignore_index,
        "positive": problem.positive,
        "of_two": judge.of_two,
        "model": _model(problem),
        "own": _own(problem, plan),
        "own_link": "" if (entry := own_entry(problem)) is None else entry.link_code,
        "metric": "named" if isinstance(metric, Metric) else "stateful" if hasattr(problem.metric, "compute") else "callable",
    }


def packed(problem: Problem, split: Split) -> dict[str, str | None]:
    """The part of each row of the sets that were split: 0 train, 1 valid, 2 audit, 3 none; bytes, compressed, as text."""

    def text(parts: Mapping[int, Index]) -> str:
        codes: NDArray[np.uint8] = np.full(1 + max(int(rows.max(initial=0)) for rows in parts.values()), 3, dtype=np.uint8)
        for code, rows in parts.items():
            codes[rows] = code
        return base64.b64encode(zlib.compress(codes.tobytes(), 9)).decode("ascii")

    of_train: dict[int, Index] = {}
    of_valid: dict[int, Index] = {}
    if problem.valid is None:
        of_train[1] = split.valid
    if problem.audit is None:
        (of_valid if split.audit_from_valid else of_train)[2] = split.audit
    if of_train:
        of_train[0] = split.train
    if of_valid:
        of_valid[1] = split.valid
    return {name: text(parts) if parts else None for name, parts in (("train", of_train), ("valid", of_valid))}


def _source(given: Any, source: Source) -> dict[str, Any] | None:
    """What the user gave for a part; None where it was split off."""
    if given is None:
        return None
    loader = isinstance(given, DataLoader)
    dataset: Any = given.dataset if isinstance(given, DataLoader) else given
    if isinstance(source, DatasetSource):
        return {
            "kind": "dataset", "type": type(dataset).__name__, "loader": loader, "rows": len(dataset), "workers": source.workers,
            "collate": "default" if source.collate is default_collate else "own",
        }  # fmt: skip
    assert isinstance(source, TensorSource)
    tree = dataset.tensors if isinstance(dataset, TensorDataset) else dataset
    held = list(_arrays(tree))
    wanted = {leaf.dtype for leaf in leaves(source.tree) if leaf.is_floating_point()}
    return {
        "kind": "tensors", "type": "TensorDataset" if isinstance(dataset, TensorDataset) else type(given).__name__, "loader": loader,
        "tree": _shape(source.tree), "rows": len(held[0]), "arrays": any(isinstance(leaf, np.ndarray) for leaf in held),
        "cast": any(isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dtype not in wanted for leaf in held)
        or any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" for leaf in held),
        "elsewhere": any(isinstance(leaf, Tensor) and (leaf.requires_grad or leaf.device.type != "cpu") for leaf in held),
    }  # fmt: skip


def _generators(sampler: Any) -> list[str]:
    """The generators of its own that a sampler, or the one below it, draws from."""
    paths = {
        "generator": getattr(sampler, "generator", None),
        "sampler.generator": getattr(getattr(sampler, "sampler", None), "generator", None),
    }
    return [path for path, own in paths.items() if isinstance(own, torch.Generator)]


def _arrays(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from _arrays(part)
    else:
        yield tree


def _shape(tree: Any) -> Any:
    """Nested tensors with a word for each tensor."""
    if isinstance(tree, Mapping):
        return {key: _shape(value) for key, value in tree.items()}
    return [_shape(part) for part in tree] if isinstance(tree, tuple | list) else TENSOR


def _model(problem: Problem) -> dict[str, Any]:
    given = Given.of(problem.model)
    path, factory = given.factory, given.found()
    with torch.random.fork_rng(devices=[]):
        raw = factory if isinstance(factory, nn.Module) else made(factory, given.keywords)
    model = problem.new_model(0)
    facts: dict[str, Any] = {
        "kind": "module" if isinstance(path, nn.Module) else "named" if isinstance(path, str) else "factory",
        "lazy": any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in model.parameters()),
        "eval": not raw.training,  # as a whole, which training undoes
        "all_train": all(module.training for module in model.modules()),
        "fused": all(p.is_floating_point() for p in model.parameters()),
    }
    if isinstance(path, str):
        facts |= {"path": path, "made": isinstance(factory, nn.Module), "keywords": _plain(dict(given.keywords))}
    if isinstance(problem.model, Mapping):
        facts |= {"in": "model['factory']", "called": bool(given.keywords)}
    if given.weights is not None:
        facts |= {"weights": str(given.weights.resolve()), "under": tensors_in(given.weights)[1]}
    return facts


def _own(problem: Problem, plan: Plan) -> dict[str, Any]:
    """The parts of the user's own set-up, by what they are."""
    optimizer: Any = None
    scheduler: Any = None
    # One that fails here fails in the race too, where that is a measurement with a reason.
    with contextlib.suppress(Exception):
        if problem.optimizer is not None or problem.scheduler is not None:
            loss = build_loss(plan.baseline, problem) if problem.loss is not None else None
            optimizer = build_optimizer(plan.baseline, problem.new_model(0), problem, loss)
        if problem.scheduler is not None:
            scheduler = build_scheduler(plan.baseline, optimizer, problem)
    kinds: dict[str, Any] = {
        "loss": "function" if problem.loss is not None else None,
        "loss_learns": True if learnt(problem.loss) else None,
        "optimizer": "object" if isinstance(problem.optimizer, torch.optim.Optimizer) else "function" if problem.optimizer else None,
        "optimizer_switches": True if problem.optimizer is not None and hasattr(optimizer, "eval") else None,
        "scheduler": "object" if hasattr(problem.scheduler, "optimizer") else "function" if problem.scheduler else None,
        "scheduler_reads": scheduler.mode if isinstance(scheduler, ReduceLROnPlateau) else None,
        "clip": float(problem.clip) if isinstance(problem.clip, int | float) else "function" if problem.clip is not None else None,
        "loop": "function" if problem.loop is not None else None,
    }
    return {**{name: kind for name, kind in kinds.items() if kind is not None}, "scheduler_step": problem.scheduler_step}


def _plain(value: dict[str, Any]) -> dict[str, Any] | None:
    """What JSON gives back unchanged; None for anything else."""
    try:
        return value if json.loads(json.dumps(value)) == value else None
    except (TypeError, ValueError):
        return None
