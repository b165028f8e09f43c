"""What an optimizer of pytorch_optimizer is, measured: its settings by signature, its facts by trial, and whether it keeps the contract.

The result is a row of `catalogue/library.toml`; tools/record_optimizers.py writes them all.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import IntEnum
from itertools import count
from typing import Any

from fallline._kept import load_state
from fallline.catalogue import Optimizer
from fallline.catalogue._library import BETAS, SCALE, entry_from
from fallline.testing import optimizers as contract
from fallline.testing.catalogue import check_page, check_space

Row = dict[str, Any]

USUAL = ("lr", "momentum", "weight_decay", "eps", SCALE)  # beside betas: what is kept where another number does not bear being changed
WANTED = ("lr", "momentum", "weight_decay")  # settings that stand first, in this order; betas come between
MATRIX_LR, OTHERS_LR = "lr", "adamw_lr"  # how the kin of Muon call the lr of matrices and that of all else
PAUSE, FAR = 130, 1100  # some of them do something every 100, 200, 500 or 1,000 steps
ODD = ((), (1,), (1, 5), (5, 1), (3, 2, 4), (40, 3))  # shapes that models have and that formulas forget
DEMANDS = {  # what stands in a signature before anything can be made, and why a recipe cannot give it
    "model": "is made from the model and steps inside its backward pass, where no clip, average or pause can follow",
    "optimizer": "wraps another optimizer, which is no number that a recipe could hold",
    "base_optimizer": "wraps another optimizer, which is no number that a recipe could hold",
    "num_iterations": "wants the length of the training and brings a schedule of its own",
    "num_data": "wants the number of examples, and evaluates the loss itself",
}


WRONG = {  # what a failed check says to a user, before what was found
    "check_descent": "does not go down a quadratic bowl of matrices, kernels and biases",
    "check_resume": "does not go on bit for bit from its own checkpoint",
    "check_far_resume": "does not go on bit for bit from its own checkpoint",
    "check_decay": "moves weights without a gradient as neither decay nor a rule of its own explains",
    "check_hyperparameters": "does not heed the lr that it is given",
    "check_lr": "cannot follow a schedule down to an lr of zero",
    "check_untouched": "does not leave parameters alone that have no gradient",
    "check_odd_shapes": "does not train scalars, single rows and kernels of one dimension, or gets lost where gradients are zero",
}


class NotRacedError(Exception):
    """Why no race can try an optimizer."""


def measured(cls: type[Any], given: Mapping[str, Any]) -> Row:
    """The row of one class; `given` holds what is known of it by reading: its family, a demand for a closure, settings of its paper.

    Raises:
        NotRacedError: it wants what a recipe cannot give, or does not keep the contract.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a class says of itself is no fault of the trial
        whole = _row(cls, given)
        usual = {name: value for name, value in whole["settings"].items() if name in USUAL or name.startswith("beta")}
        try:
            return _proven(whole)
        except NotRacedError:
            if usual == whole["settings"]:
                raise
            try:  # a number of its own may not bear another value
                return _proven({**_row(cls, given), "settings": usual})
            except NotRacedError:
                pass
            raise


def _proven(row: Row) -> Row:
    """The row with its facts, once an entry made of it has kept the contract."""
    row = _settled(row)
    entry = entry_from("tried", row)
    for check in (check_space, check_page, *contract.CHECKS, check_odd_shapes, check_far_resume):
        with _refusing(check):
            check(entry, 0)
    return row if _keeps(check_double, row) else {**row, "single": True}


def _row(cls: type[Any], given: Mapping[str, Any]) -> Row:
    """What the signature says; all facts as yet unknown."""
    known = {name: value for name, value in inspect.signature(cls).parameters.items() if name not in ("params", "kwargs")}
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty:
            raise NotRacedError(DEMANDS.get(name, f"wants {name}, which no recipe has"))
    numbers = {name: value.default for name, value in known.items() if _number(value.default)} | given.get("settings", {})
    if "lr" not in numbers:
        raise NotRacedError("has no lr of its own that a recipe or a schedule could set")
    source = inspect.getsource(cls)
    if "np.random" in source or "import random" in source:
        raise NotRacedError("draws from a generator that no step of a training seeds")
    row: Row = {"class": cls.__name__, "does": "x" * 21, "source": "x" * 21, "state_copies": 0, "decay": "", **given, "settings": {}}
    if "settings" in given:
        row["ours"] = list(given["settings"])
    whole = {name: int(value.default) for name, value in known.items() if isinstance(value.default, IntEnum)}
    if whole or "passed" in given:
        row["passed"] = {**whole, **given.get("passed", {})}
    if "create_graph" in source:  # it differentiates the gradients again, which costs about two passes more
        row["graph_every"] = known["update_period"].default
        row["passes_per_step"] = 3 if row["graph_every"] == 1 else 1
    if "use_muon" in source:
        row["matrices"] = True
        row["settings"][SCALE] = float(f"{numbers[OTHERS_LR] / numbers[MATRIX_LR]:.4g}")
        numbers = {name: value for name, value in numbers.items() if not name.startswith("adamw_")}
    betas = known[BETAS].default if BETAS in known else ()
    if betas and all(_number(beta) for beta in betas):
        row[BETAS] = len(betas)
        numbers |= {f"beta{place}": beta for place, beta in zip(count(1), betas, strict=False)}
    first = [name for name in numbers if name.startswith("beta") and name[4:].isdigit()]
    order = [*WANTED[:2], *first, *WANTED[2:], *numbers]
    settings = {name: numbers[name] for name in dict.fromkeys(order) if name in numbers and name not in row.get("passed", {})}
    row["settings"] = settings | row["settings"]
    row["coupled"] = "weight_decouple" in known and known["weight_decouple"].default is False
    return row


def _number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _settled(row: Row) -> Row:
    """The row with every fact found by trial; settings that change nothing are left to the library."""
    coupled, decay = row.pop("coupled"), row["settings"].pop("weight_decay", None)
    with _refusing(contract.check_descent):
        made = entry_from("tried", row)
        contract.check_descent(made, 0)
        row["switches"] = hasattr(made.build(contract.start(0), made.example), "eval")
        row["state_copies"] = _copies(made)
    row["drifts"] = not _keeps(contract.check_decay, row)
    if decay is not None and not row["drifts"]:
        spelled = "l2" if coupled else "weight_decay"
        for first in (False, True):
            tried = {**row, "decay": spelled, "settings": {**row["settings"], spelled: decay}, "measures_first": first}
            if _keeps(contract.check_decay, tried) and _acts(tried, spelled):
                row = tried
                break
    row["heeds_schedule"], row["lags"] = next(
        ((heeds, lags) for heeds, lags in ((True, False), (True, True), (False, False)) if _keeps_lr(row, heeds, lags)), (True, False)
    )
    own = [f"beta{place + 1}" for place in range(row.get(BETAS, 0))]
    idle = {name for name in row["settings"] if name != "lr" and not _acts(row, name)}
    if idle & {*own}:
        idle |= {*own}
        del row[BETAS]
    row["settings"] = {name: value for name, value in row["settings"].items() if name not in idle}
    if row["decay"] not in row["settings"]:
        row["decay"] = ""
    plain: Row = {"switches": False, "measures_first": False, "lags": False, "heeds_schedule": True, "drifts": False}
    return {key: value for key, value in row.items() if key not in plain or plain[key] != value}


def _keeps(check: Callable[[Optimizer, int], None], row: Mapping[str, Any]) -> bool:
    try:
        check(entry_from("tried", row), 0)
    except Exception:  # whatever it is that a class of somebody else's raises
        return False
    return True


def _keeps_lr(row: Row, heeds: bool, lags: bool) -> bool:
    return _keeps(contract.check_lr, {**row, "heeds_schedule": heeds, "lags": lags})


def _acts(row: Row, name: str) -> bool:
    """Whether a setting alone changes the steps."""
    return _keeps(lambda made, seed: contract.check_acts(made, name, seed), row)


def _copies(entry: Optimizer) -> int:
    """The fewest floats a parameter that the check of memory accepts."""
    for copies in range(64):
        if _fits(entry, copies):
            return copies
    raise NotRacedError("keeps more than 64 floats a weight")


def _fits(entry: Optimizer, copies: int) -> bool:
    try:
        contract.check_memory(replace(entry, state_copies=copies), 0)
    except AssertionError:
        return False
    return True


def check_odd_shapes(entry: Optimizer, seed: int = 0) -> None:
    """It trains scalars, single rows and columns, and kernels of one dimension, and stays finite where gradients are zero."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ODD]
    matrices, others = [p for p in drawn if p.ndim > 1], [p for p in drawn if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "decay": True, "kind": "matrix"},
        {"params": others, "decay": False, "kind": "other"},
    ]
    optimizer, parameters = entry.build(groups, entry.defaults()), contract.parameters_of(groups)
    for parameter in parameters:
        parameter.grad = contract.flat(entry, parameter)
    contract.step_without_gradient(entry, optimizer)
    contract.descend(entry, optimizer, parameters, contract.STEPS)
    assert all(parameter.isfinite().all() for parameter in parameters), f"{entry.name}: weights of an odd shape do not stay finite"


def check_far_resume(entry: Optimizer, seed: int = 0) -> None:
    """What happens every few hundred steps happens after a pause too: it goes on bit for bit however far."""
    import torch

    def begun() -> list[dict[str, Any]]:
        return [{**group, "params": group["params"][:1]} for group in contract.start(seed)]

    groups, again = begun(), begun()
    (whole, ours), (resumed, theirs) = ((entry.build(made, entry.defaults()), contract.parameters_of(made)) for made in (groups, again))
    contract.descend(entry, whole, ours, PAUSE)
    file = io.BytesIO()
    torch.save((whole.state_dict(), [parameter.detach() for parameter in ours]), file)
    file.seek(0)
    state, weights = torch.load(file)
    for parameter, weight in zip(theirs, weights, strict=True):
        parameter.data.copy_(weight)
    load_state(resumed, state)
    for optimizer, parameters in ((whole, ours), (resumed, theirs)):
        contract.descend(entry, optimizer, parameters, FAR - PAUSE, first=PAUSE)
    pairs = zip(ours, theirs, strict=True)
    assert all(torch.equal(a, b) for a, b in pairs), f"{entry.name}: paused at {PAUSE}, it differs by step {FAR}"


def check_double(entry: Optimizer, seed: int = 0) -> None:
    """In double precision it goes on from a checkpoint, bit for bit."""
    import torch

    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        contract.check_resume(entry, seed)
    finally:
        torch.set_default_dtype(kept)


@contextlib.contextmanager
def _refusing(check: Callable[..., Any]) -> Iterator[None]:
    """What goes wrong inside is the reason for which no race tries the optimizer."""
    try:
        yield
    except NotRacedError:
        raise
    except Exception as error:  # whatever it is that a class of somebody else's raises
        said = WRONG.get(check.__name__, f"does not keep the contract of optimizers ({check.__name__})")
        found = str(error).partition("\n")[0].rpartition(": ")[2] or type(error).__name__
        if isinstance(error, pickle.UnpicklingError):
            said, found = "keeps in its state what a checkpoint cannot hold", "more than tensors, numbers and words"
        raise NotRacedError(f"{said} ({found})") from error
