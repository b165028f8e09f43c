"""Library: any other optimizer of pytorch_optimizer, an entry by its name, from what the contract suite recorded of it in library.toml.

Nothing here imports torch or the package, so names and pages are there without them. `tools/record_optimizers.py` writes the record.
"""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from fallline._errors import UsageError
from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue._entry import anywhere
from fallline.catalogue.optimizers import library_class, lr, needs_matrices, torch_groups

if TYPE_CHECKING:
    import torch

Build: TypeAlias = "Callable[[list[dict[str, Any]], Settings], torch.optim.Optimizer]"

PACKAGE = "pytorch_optimizer"
BETAS = "betas"  # what the package calls its beta1, beta2, ... together
VERSION = "4.1.0"  # the one whose optimizers were put through the contract
SCALE = "others_lr"  # what is no matrix has this share of lr, where the package has an lr of its own for it
AROUND = 30.0  # lr is drawn within 1.5 decades on either side of the package's default, as the entries with a file of their own have it
WIDTH = 118  # of a line of a page
FLAGS = ("closure", "switches", "measures_first", "lags", "heeds_schedule", "drifts", "single", "matrices")
SAID = {
    "closure": "It reads the loss beside the gradients.",
    "switches": "It judges and hands back other weights than it trains.",
    "measures_first": "Its very first step only measures and moves nothing.",
    "lags": "lr is in its state too, so that a schedule acts some steps late.",
    "heeds_schedule": "It reads lr once or never, so that no schedule acts.",
    "drifts": "It moves weights whose gradient is zero, by a rule of its own.",
    "single": "It does not train and pause in double precision.",
}


@cache
def record() -> dict[str, Any]:
    """What library.toml says: `optimizers` by name, `refused` by class with the reason, `entries` by class with the entry that it is."""
    return tomllib.loads(files("fallline.catalogue").joinpath("library.toml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """The names of all that can be named."""
    return list(record()["optimizers"])


def refused() -> dict[str, str]:
    """Classes of the package that no race can try, each with the reason."""
    return dict(record()["refused"])


def stripped(name: str) -> tuple[str, bool]:
    """A name without the package before it, and whether it was there: `pytorch_optimizer:AdaBelief`, `pytorch_optimizer.AdaBelief`."""
    for mark in (":", "."):
        if name.lower().replace("-", "_").startswith(PACKAGE + mark):
            return name[len(PACKAGE) + 1 :].strip(), True
    return name.strip(), False


def _key(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@cache
def _known() -> dict[str, tuple[str, str]]:
    """What is typed, without case and marks -> (where it stands in the record, under which name)."""
    held = record()
    known = {_key(row["class"]): ("optimizers", name) for name, row in held["optimizers"].items()}
    known |= {_key(name): ("optimizers", name) for name in held["optimizers"]}
    for part in ("refused", "entries"):
        known |= {_key(name): (part, name) for name in held[part]}
    return known


def knows(name: str) -> bool:
    """Whether the package has an optimizer of this name, raced or not."""
    return _key(name) in _known()


def entry_of(name: str) -> str:
    """The entry of the catalogue that this class of the package is; "" where it is none."""
    part, found = _known().get(_key(name), ("", ""))
    return str(record()["entries"][found]) if part == "entries" else ""


def named(name: str) -> Optimizer | None:
    """The optimizer of this name; None where the package has none.

    Raises:
        UsageError: the package has one, and no race can try it.
    """
    part, found = _known().get(_key(name), ("", ""))
    if part == "refused":
        raise UsageError(f"optimizer {found} of {PACKAGE} is no candidate: {record()['refused'][found]}")
    return _entry(found) if part == "optimizers" else None


@cache
def _entry(name: str) -> Optimizer:
    return entry_from(name, record()["optimizers"][name])


def entry_from(name: str, row: Mapping[str, Any]) -> Optimizer:
    """The entry that a row of the record describes."""
    settings: dict[str, float] = row["settings"]
    flags = {flag: row[flag] for flag in FLAGS if flag in row}
    return Optimizer(
        name=name,
        title=row["class"],
        source=row["source"],
        space={key: _hyperparameter(key, value, row.get("ours", ())) for key, value in settings.items()},
        example={key: example(key, value) for key, value in settings.items()},
        family=row["family"],
        build=_builder(row),
        code=_coder(row),
        state_copies=row["state_copies"],
        decay=row["decay"],
        graph_every=(lambda h: int(row["graph_every"])) if "graph_every" in row else None,
        passes_per_step=row.get("passes_per_step", 1),
        lr_scale=SCALE if SCALE in settings else "",
        refuses=needs_matrices if row["family"] == "matrix" else anywhere,
        package=PACKAGE,
        text=_page(row),
        **flags,
    )


def _hyperparameter(name: str, default: float, ours: Sequence[str]) -> Hyperparameter:
    """A number with the package's default, or with `ours`; drawn where its name says what it means."""
    why = "as its paper has it; with the library's default it would be a plainer rule" if name in ours else "the library's default"
    if name == "lr":
        low, high = (float(f"{default * factor:.2g}") for factor in (1 / AROUND, AROUND))
        return lr(default, f"{why}; draws lie within a factor of {AROUND:g} of it", low=low, high=high)
    if name in ("weight_decay", "l2"):
        return Hyperparameter(default=default, why=why, low=1e-4 if name == "weight_decay" else 1e-6, high=0.3, log=True)
    if name == SCALE:
        return Hyperparameter(default=default, why="the library's lr for them over its lr for matrices", unit="times lr", above_zero=True)
    share = name == "momentum" or (name.startswith("beta") and name.removeprefix("beta").isdigit())
    if share and 0.5 <= default < 1.0:
        low, high = (0.9, 0.9999) if default > 0.98 else (0.5, 0.99)
        return Hyperparameter(default=default, why=why, low=low, high=high, below=1.0)
    return Hyperparameter(default=default, why=why, negative=default < 0)


def example(name: str, default: float) -> float:
    """A value that is not the default and not neutral, for the contract suite."""
    if name == "lr":
        return float(f"{default * 10:.2g}") if default <= 1e-3 else default / 2
    if name in ("weight_decay", "l2"):
        return 0.1 if default != 0.1 else 0.2
    if name.startswith("eps"):
        return 1e-3 if default < 1e-3 else default * 10
    return 0.9 if 0.9 < default < 1.0 else 0.8 if default == 0.9 else default / 2 if default else 0.5


def flagged(groups: list[dict], lr: float, share: float) -> list[dict]:  # type: ignore[type-arg]  # scripts copy it and have no Any
    """Groups as the package's kin of Muon read them: which are matrices, and for the others a share of lr."""
    told = []
    for group in groups:
        matrix = group["kind"] == "matrix"
        told.append({**group, "use_muon": matrix, "lr": group.get("lr", lr) * (1.0 if matrix else share)})
    return told


def _keywords(row: Mapping[str, Any], h: Settings) -> dict[str, Any]:
    """Settings as the class takes them: betas together; decay and a scale of lr stand in the groups."""
    own = [f"beta{place + 1}" for place in range(row.get(BETAS, 0))]
    plain = {key: value for key, value in h.items() if key not in (*own, "weight_decay", "l2", SCALE)}
    betas = {BETAS: tuple(h[name] for name in own)} if own else {}
    fixed = {key: tuple(value) if isinstance(value, list) else value for key, value in row.get("passed", {}).items()}
    return {**plain, **betas, **fixed}


def _builder(row: Mapping[str, Any]) -> Build:
    def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
        found, decay = library_class(row["class"]), float(h[row["decay"]]) if row["decay"] else 0.0
        apart = SCALE in h
        ready = torch_groups(groups, decay, kinds=apart)
        try:
            return found(flagged(ready, h["lr"], h[SCALE]) if apart else ready, **_keywords(row, h))
        except (TypeError, ValueError) as error:
            raise UsageError(f"{PACKAGE}.{row['class']} does not take these settings: {error}") from error

    return build


def _coder(row: Mapping[str, Any]) -> Callable[[Settings, str], str]:
    def code(h: Settings, fast: str) -> str:
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in _keywords(row, h).items())
        groups = f"flagged(groups, {h['lr']!r}, {h[SCALE]!r})" if SCALE in h else "groups"
        return f"{PACKAGE}.{row['class']}({groups}, {shown})"

    return code


def _shown(value: Any) -> str:
    return f"({', '.join(map(repr, value))})" if isinstance(value, tuple) else repr(value)


def _page(row: Mapping[str, Any]) -> str:
    """What `fallline explain` prints: all that the record knows, and that nothing else is known here."""
    floats = f"{row['state_copies']} floats of state a weight" if row["state_copies"] != 1 else "one float of state a weight"
    decays = {
        "weight_decay": "weight_decay is decoupled: exactly lr * weight_decay of a weight goes each step.",
        "l2": "Its decay is coupled: l2 * w joins the gradient.",
        "": "Decay stays off: it has none, or one that is neither decoupled nor coupled by the usual formula.",
    }
    demands = [said for flag, said in SAID.items() if flag in row]
    if "graph_every" in row:
        demands.append("It differentiates the gradients again, which costs about two passes more and which every layer must allow.")
    if "passed" in row:
        demands.append(f"Unlike in the library, {' and '.join(f'{key} is {value}' for key, value in row['passed'].items())}.")
    if SCALE in row["settings"]:
        demands.append("What is no weight matrix follows AdamW with others_lr times the lr.")
    if row["family"] == "matrix":
        demands.append("It is refused where a model trains no matrix.")
    sections = {
        "What it does": [row["does"], f"It counts as {row['family']} and keeps {floats}.", decays[row["decay"]], *demands],
        "When it suits": [
            "Where you know it and name it. It runs as any entry does: it pauses, resumes and is exported, bit for bit; the contract of",
            f"optimizers was run over it with {PACKAGE} {VERSION}.",
        ],
        "When it does not": [
            "No race tries it unasked, and no recorded task says what it is good for. Its defaults are the library's, and lr is drawn",
            f"within a factor of {AROUND:g} of the default. What is not listed below stays as the library has it.",
        ],
        "Source": [f"{row['source']}.", f"{PACKAGE}.{row['class']}."],
    }
    told = [f"{heading}:\n" + textwrap.fill(" ".join(lines), WIDTH) for heading, lines in sections.items()]
    return "\n\n".join([row["class"], *told])
