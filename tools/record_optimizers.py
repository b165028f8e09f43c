"""Record library.toml: which optimizers of pytorch_optimizer can be named, with what the contract finds, and which not, with the reason.

Run: python tools/record_optimizers.py [--write]
Without `--write` it only prints. What no trial can tell (family, what a paper sets, a name) is in the tables below; all else is measured by
`fallline.testing.library`. A test holds the file against the installed package.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Mapping
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import torch

from fallline.testing.library import NotRacedError, measured

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "src" / "fallline" / "catalogue" / "library.toml"
PACKAGE = "pytorch_optimizer"

FAMILY = {
    "sgd": "AccSGD AggMo Fromage Gravity PID PNM QHM ROSE SGDP SGDSaI SGDW SRMM TAM VSGD",
    "adaptive": """AdaBelief AdaBound AdaFactor AdaGC AdaHessian Adai Adalite AdamC AdaMod AdamP AdamS AdamWSN AdaNorm AdaPNM
        AdaSmooth AdaTAM ADOPT Aida Amos AvaGrad BCOS CAME DiffGrad DualAdam EmoFact EmoNavi EXAdam FAdam
        FlashAdamW Grams GrokFastAdamW Kate LaProp MADGRAD MSVAG Nero NovoGrad PAdam QHAdam SimplifiedAdEMAMix
        SM3 SPAM StableAdamW StableSPAM SWATS Yogi""",
    "sign": "Ano EmoLynx FOCUS SignSGD Tiger",
    "matrix": "AdaGO AdaMuon Alice DASH Kron NorMuon RACS SCION SPlus",
    "averaged": "ScheduleFreeRAdam",
    "parameter-free": "AdamG DAdaptAdaGrad DAdaptAdan DAdaptLion DAdaptSGD",
}
# Names as the catalogue's other entries spell such words; all else is the class in small letters.
NAMES = {
    "AdaFactor": "big_vision_adafactor",
    "ScheduleFreeRAdam": "schedule_free_radam",
    "DAdaptAdaGrad": "dadapt_adagrad",
    "DAdaptAdan": "dadapt_adan",
    "DAdaptLion": "dadapt_lion",
    "DAdaptSGD": "dadapt_sgd",
}
# Classes that an entry with a file of its own stands for: it is this very class, or torch's.
ENTRIES = {
    "Adam": "adam", "AdamW": "adamw", "NAdam": "nadam", "RMSprop": "rmsprop", "SGD": "sgd", "LBFGS": "lbfgs",
    "Adan": "adan", "AdEMAMix": "ademamix", "DAdaptAdam": "dadapt_adam", "Lamb": "lamb", "LARS": "lars", "Lion": "lion", "MARS": "mars",
    "Prodigy": "prodigy", "ScheduleFreeAdamW": "schedule_free_adamw", "ScheduleFreeSGD": "schedule_free_sgd", "SOAP": "soap",
    "SophiaH": "sophia",
}  # fmt: skip
SAME = "the entry {} is the same rule; take that"
WITHOUT_RANK = "projects groups that carry a rank, which recipes do not give, and is AdamW without"
# Refused by reading, before any trial.
REFUSED = {
    "AdaDelta": SAME.format("adadelta"),
    "AdaMax": SAME.format("adamax"),
    "Muon": SAME.format("muon"),
    "RAdam": SAME.format("radam"),
    "Shampoo": "the entry shampoo is the same rule, and goes down a quadratic bowl, which this does not; take that",
    "SAM": SAME.format("sam"),
    "APOLLO": WITHOUT_RANK,
    "Fira": WITHOUT_RANK,
    "GaLore": WITHOUT_RANK,
    "MuonClip": "clips queries and keys that groups must point at, and is Muon without; take muon",
    "ApolloDQN": "brings a warm-up of its own, in which it heeds no schedule",
    "DistributedMuon": "works between several processes that share one model",
    "DeMo": "works between several processes that share one model",
    "LoRARite": "trains pairs of LoRA's factors only",
    "SaRA": "trains the small weights of a trained model only",
    "SpectralSphere": "takes matrices only, and leaves no rule for biases and kernels",
    "AdamMini": "is made from a model with the names of a language model's layers, not from groups of parameters",
    "WSAM": "wraps another optimizer, which is no number that a recipe could hold",
    "SCIONLight": "keeps its momentum in the gradients, which every step of a training clears",
    "AliG": "takes its step length from the loss, and has no lr",
    "A2Grad": "takes its step length from the gradients, and has no lr",
}
# What is known by reading: that it wants the loss, and what its paper sets and the library's defaults switch off.
GIVEN: dict[str, dict[str, Any]] = {
    "EmoFact": {"closure": True},
    "EmoLynx": {"closure": True},
    "EmoNavi": {"closure": True},
    "AdaFactor": {"passed": {"relative_step": False}},  # relative steps read no lr
    "GrokFastAdamW": {"passed": {"normalize_lr": False}},  # it would train with a third of the lr that it is given
    "QHAdam": {"passed": {"nus": [0.7, 1.0]}},
    "QHM": {"settings": {"momentum": 0.999, "nu": 0.7}},
    "PID": {"settings": {"momentum": 0.9}},
    "SGDP": {"settings": {"momentum": 0.9}},
    "SGDW": {"settings": {"momentum": 0.9}},
}
ABOUT = r"\| {name} +\| \*(.+?)\* +\|[^|]*\| \[paper\]\((https?://[^)]+?)\)"  # a line of the table in the package's own description


def optimizers() -> dict[str, type[Any]]:
    """Every optimizer that the package offers, by class: those it lists, and those that wrap another."""
    import pytorch_optimizer
    from pytorch_optimizer.optimizer import OPTIMIZERS

    offered = {cls.__name__: cls for cls in OPTIMIZERS.values()}
    for name in dir(pytorch_optimizer):
        cls = getattr(pytorch_optimizer, name)
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer):
            offered.setdefault(name, cls)
    return dict(sorted(offered.items(), key=lambda item: item[0].lower()))


def recorded() -> dict[str, Any]:
    """What library.toml should hold for the installed package; tensors this small are slower on several threads."""
    torch.set_num_threads(1)
    family = {name: word for word, those in FAMILY.items() for name in those.split()}
    said = metadata(PACKAGE).get_payload()
    held: dict[str, Any] = {"version": version(PACKAGE), "entries": {}, "refused": {}, "optimizers": {}}
    for name, cls in optimizers().items():
        if name in ENTRIES:
            held["entries"][name] = ENTRIES[name]
        elif name in REFUSED:
            held["refused"][name] = REFUSED[name]
        else:
            try:
                row = measured(cls, {"family": family.get(name, ""), **GIVEN.get(name, {})})
            except NotRacedError as error:
                held["refused"][name] = str(error)
                continue
            if name not in family:
                raise SystemExit(f"{name} keeps the contract and has no family; say it in FAMILY")
            row |= {"does": (inspect.getdoc(cls) or "").partition("\n")[0], "source": _source(name, str(said))}
            held["optimizers"][NAMES.get(name, name.lower())] = row
    return held


def _source(name: str, description: str) -> str:
    found = re.search(ABOUT.format(name=re.escape(name)), description, re.IGNORECASE)
    return f"{found[1]}, {found[2]}" if found else f"{PACKAGE} {version(PACKAGE)}, {name}"


def text(held: Mapping[str, Any]) -> str:
    """The file."""
    lines = [
        f"# Any other optimizer of {PACKAGE}, by name. Written by tools/record_optimizers.py; do not edit.",
        f"version = {json.dumps(held['version'])}",
        "",
        "[entries]  # classes that an entry of the catalogue is",
        *(f"{name} = {json.dumps(entry)}" for name, entry in held["entries"].items()),
        "",
        "[refused]  # classes that no race can try, each with the reason",
        *(f"{name} = {json.dumps(why)}" for name, why in held["refused"].items()),
    ]
    for name, row in held["optimizers"].items():
        lines += ["", f"[optimizers.{name}]", *(f"{key} = {_toml(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="write library.toml instead of printing it")
    write = parser.parse_args().write
    made = text(recorded())
    if write:
        FILE.write_text(made, encoding="utf-8")
    else:
        print(made, end="")


if __name__ == "__main__":
    main()
