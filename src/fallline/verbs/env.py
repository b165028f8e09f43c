"""`fallline env`: versions, devices, threads, and what is not installed, for a bug report."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from typing import Any

from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._listing import show

SHOWN = ("torch", "numpy", "polars", "torchmetrics", "scipy", "typer", "rich", "safetensors")
DEVELOPMENT = "dev"  # the extra of those who work on Fallline itself


def env(output_format: flags.Format = flags.OutputFormat.TABLE) -> None:
    """Show versions, devices, threads and missing extras."""
    rows = [{"name": "fallline", "value": _version("fallline")}, {"name": "python", "value": platform.python_version()}]
    rows += [{"name": name, "value": _version(name)} for name in SHOWN]
    rows += [{"name": "system", "value": platform.platform()}, *_machine(), *_torchvision(), *_extras()]
    show("env", rows, {"": lambda row: row["name"], "value": lambda row: row["value"]}, output_format)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _machine() -> list[dict[str, Any]]:
    import torch

    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    cuda = torch.version.cuda or "none, torch was built for the CPU"
    cores = f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}"
    return [{"name": "devices", "value": ", ".join(devices)}, {"name": "cuda", "value": cuda}, {"name": "threads", "value": cores}]


def _torchvision() -> list[dict[str, Any]]:
    """torchvision built for another torch breaks models given by its names, and other packages that import it."""
    version, torch_version = _version("torchvision"), _version("torch").partition("+")[0]
    if version == "missing":
        return []
    wanted = next(
        (found[1] for line in metadata.requires("torchvision") or () if (found := re.match(r"torch\s*==\s*([\d.]+)", line))), torch_version
    )
    fits = (
        ""
        if wanted == torch_version
        else f': built for torch {wanted}, here is {torch_version}; pip install torchvision "torch=={torch_version}"'
    )
    return [{"name": "torchvision", "value": version + fits}]


def _extras() -> list[dict[str, Any]]:
    """Every extra: installed, or the exact line that installs what it lacks."""
    wanted: dict[str, list[str]] = {}
    for needed in metadata.requires("fallline") or ():
        requirement, _, marker = needed.partition(";")
        named = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
        if named and named[1] != DEVELOPMENT:
            wanted.setdefault(named[1], []).append(requirement.strip())
    rows = []
    for extra, requirements in sorted(wanted.items()):
        lacking = [text for text in requirements if _version(re.split(r"[<>=!~\s\[]", text, maxsplit=1)[0]) == "missing"]
        quoted = " ".join(f'"{text}"' for text in lacking)
        rows.append({"name": f"extra {extra}", "value": f"not installed: pip install {quoted}" if lacking else "installed"})
    return rows


ENTRY = Verb(name="env", run=env, place=90, example="fallline env")
