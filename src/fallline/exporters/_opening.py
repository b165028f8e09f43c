"""Opening: where a script gets data and model from: a file and what a door fitted on it, the user's own file, or a place to paste."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fallline._errors import RefusedError
from fallline._weights import SAFETENSORS
from fallline.doors import doors, models
from fallline.exporters._case import Case
from fallline.exporters._inline import inlined, title_of
from fallline.exporters._page import FITTED, Literal, Page, in_lines, literal, wrapped
from fallline.exporters._source import copied

EMBEDDED_BYTES = 20_000  # a preparation up to this size stands in the script, a larger one in a file beside it
PARTS = ("train", "valid", "audit")
SEEDERS = ("torch.manual_seed", "np.random.seed", "random.seed")  # what a Python file is opened under
DATA, MODEL = "Data", "Model"


def from_door(case: Case) -> str:
    """The function, as "module:name", that reads what a door read and prepares it as it was; "" for what no door prepared."""
    door = doors().get(case.origin["kind"])
    return "" if door is None else door.parts


def open_file(page: Page, case: Case, script: Path) -> None:
    """The user's file, what was fitted on it, and the door's default model."""
    assert case.preparation is not None
    preparation, model = dict(case.preparation), case.preparation["model"]
    page.setting("DATA", case.origin["source"])
    arguments = preparation.pop("model")["arguments"]
    module, _, name = from_door(case).partition(":")
    kinds = {spec["kind"] for spec in preparation.get("columns", ())}
    read = getattr(importlib.import_module(module), name)
    page.add(DATA, copied(read, without=[f"{kind}_features" for kind in ("number", "date") if kind not in kinds]))
    if len(json.dumps(preparation)) <= EMBEDDED_BYTES:
        split = preparation.pop("split", None)
        if split is not None:
            page.add(FITTED, f"# The part of every row of the file, compressed.\nSPLIT = {in_lines(split)}")
            preparation["split"] = Literal("SPLIT")
        page.add(FITTED, f"PREPARATION = {literal(preparation)}")
        page.main.append(f"parts_of_data = {name}(DATA, PREPARATION)")
    else:
        beside = f"{script.stem}_preparation.json"
        page.beside[beside] = json.dumps(case.preparation, ensure_ascii=False)
        page.need("import json", "from pathlib import Path")
        page.setting("PREPARATION", Literal(f'Path(__file__).with_name("{beside}")'), "what was fitted on the training rows")
        page.main.append('preparation = json.loads(PREPARATION.read_text(encoding="utf-8"))')
        page.main.append(f"parts_of_data = {name}(DATA, preparation)")
    page.main.append('train, valid, audit = parts_of_data["train"], parts_of_data["valid"], parts_of_data["audit"]')
    page.main.append("")
    page.add(MODEL, copied(_model_class(model["name"])))
    page.add(MODEL, f"MODEL = {literal(arguments)}")
    _initial_weights(page, case, f"{model['name']}(**MODEL)")


def open_own(page: Page, case: Case) -> None:
    """The user's file, or a place to paste what a problem made in Python was made of."""
    setup = case.setup
    file = inlined_file(case)
    if file is not None:
        page.theirs, page.future = file
        page.need("import random", "import numpy as np", "import torch")
        page.before = ["", "# What the file below draws at random follows from the seed.", *(f"{name}(SEED)" for name in SEEDERS)]
        page.main.insert(0, "given = problem()")  # before the number of threads is set, as in the run
    else:
        page.add("What you fill in", _place(case))
        page.main.insert(0, "given = problem_parts()")
    _splits(page, case)
    for part in PARTS:
        page.main.append(f"{part} = {_part(page, case, part)}")
    page.main.append("")
    _initial_weights(page, case, _own_model(page, setup["model"]))


def inlined_file(case: Case) -> tuple[str, bool] | None:
    """The user's file as text, and whether it postpones annotations; None where there is none that can stand in a script."""
    text = _file(case)
    if text is None:
        return None
    made = inlined(text, Path(case.origin["source"]), case.setup["model"].get("path", ""))
    return None if made.why_not else (made.text, made.future)


def title(case: Case) -> str:
    text = _file(case)
    return title_of(text) if text is not None else ""


def _file(case: Case) -> str | None:
    path = case.folder / "problem.py"
    return path.read_text(encoding="utf-8") if case.origin["kind"] == "python_file" and path.exists() else None


def _initial_weights(page: Page, case: Case, model: str) -> None:
    page.main.append("torch.manual_seed(stream(SEED, INIT))")
    page.main.append(f"model = {model}")
    if "weights" in case.setup["model"]:
        _fill(page, case.setup["model"])
    if case.setup["model"]["eval"]:
        page.main.append("model.train()  # it comes in eval mode, as pretrained models do")
    if case.setup["precision"] == "64":
        page.main.append("model = model.double()")
    if not case.on_cpu:
        page.main.append("model = model.to(DEVICE)")


def _fill(page: Page, model: Mapping[str, Any]) -> None:
    """Lines that give the model the weights of a local file, where name and shape agree."""
    page.setting("STARTS_FROM", model["weights"])
    if model["weights"].endswith(SAFETENSORS):
        page.need("from safetensors.torch import load_file")
        read = "load_file(STARTS_FROM)"
    else:
        read = 'torch.load(STARTS_FROM, map_location="cpu", weights_only=True)' + (f"[{model['under']!r}]" if model["under"] else "")
    page.main += [
        f"held, own = {read}, model.state_dict()",
        "fitting = {name: tensor for name, tensor in held.items() if name in own and own[name].shape == tensor.shape}",
        "model.load_state_dict(fitting, strict=False)",
    ]


def _own_model(page: Page, model: Mapping[str, Any]) -> str:
    place = f"given.{model.get('in', 'model')}"
    if model["kind"] == "module":
        return f"copy.deepcopy({place})" if "weights" in model else place
    if model["kind"] == "factory":
        return f"{place}(**given.model['keywords'])" if model.get("called") else f"{place}()"
    module, _, name = model["path"].partition(":")
    if model["made"]:  # a module that is made while its file is imported: what it draws follows from a seed of its own
        page.main += ["torch.manual_seed(stream(0, INIT))", f"from {module} import {name}", ""]
        page.need("import copy")
        return f"copy.deepcopy({name})"
    page.need(f"from {module} import {name}")
    if model["keywords"] is None:
        held = "given.model['keywords']" if "in" in model else "given.model[1]"
        return f"{name}(**{held})"
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in model['keywords'].items())})"


def _splits(page: Page, case: Case) -> None:
    """Which rows were split off, as they were in the run."""
    if case.splits is None:
        return
    page.need("import base64", "import zlib", "import numpy as np", "import torch")
    for name in ("train", "valid"):
        if case.splits[name] is not None:
            text = f"# The part of each row of `{name}` as it was in the run: 0 train, 1 valid, 2 audit.\n"
            page.add(DATA, f"{text}{_split_name(name)} = {in_lines(case.splits[name])}")
    page.add(
        DATA,
        '''
        def part_rows(split, part):
            """The numbers of the rows in one part of a split."""
            parts = np.frombuffer(zlib.decompress(base64.b64decode(split)), dtype=np.uint8)
            return torch.from_numpy(np.flatnonzero(parts == part))
        ''',
    )


def _part(page: Page, case: Case, part: str) -> str:
    """The expression for one of the three parts: nested tensors, or `Examples` of a Dataset."""
    sources, splits = case.setup["sources"], case.splits or {}
    holder = part if sources[part] is not None else "valid" if part == "audit" and splits.get("valid") else "train"
    source = sources[holder]
    rows = f"part_rows({_split_name(holder)}, {PARTS.index(part)})" if splits.get(holder) is not None else ""
    base = f"given.{holder}" + (".dataset" if source["loader"] else "")
    if source["kind"] == "dataset":
        page.need("from torch.utils.data import Subset")
        data = f"Subset({base}, {rows}.tolist())" if rows else base
        return f"Examples({data}, given.{holder}.collate_fn)" if source["collate"] == "own" else f"Examples({data})"
    tree = base + (".tensors" if source["type"] == "TensorDataset" else "")
    if source["arrays"] or source["cast"] or source["elsewhere"]:
        page.add(DATA, _as_tensors(case))
        tree = f"as_tensors({tree})"
    tree = f"take({tree}, {rows})" if rows else tree
    return f"Tensors({tree})" if case.mixed else tree


def _split_name(name: str) -> str:
    return f"{name.upper()}_SPLIT"


def _as_tensors(case: Case) -> str:
    wide = case.setup["precision"] == "64"
    return f'''
        def as_tensors(tree):
            """Arrays as tensors, numbers in {"float64" if wide else "float32"}."""
            if isinstance(tree, dict):
                return {{key: as_tensors(part) for key, part in tree.items()}}
            if isinstance(tree, (tuple, list)):
                return tuple(as_tensors(part) for part in tree)
            tensor = torch.as_tensor(tree){".detach().cpu()" if any(source.get("elsewhere") for source in case.sources) else ""}
            return tensor.{"double" if wide else "float"}() if tensor.is_floating_point() else tensor
        '''


def _place(case: Case) -> str:
    """A function that the user fills in, with what the run knows of what belongs there."""
    setup = case.setup
    own = {name: kind for name, kind in setup["own"].items() if name != "scheduler_step"}
    needed = ["loss", "optimizer", "clip", "loop"]
    factory = _article(setup["model"]["kind"])
    fields = [f"model: a dict with factory, {factory}, and the keywords of its call" if "in" in setup["model"] else f"model: {factory}"]
    for part, source in setup["sources"].items():
        if source is not None:
            fields.append(f"{part}: {source['type']} of {source['rows']:,} examples")
    if setup["unpack"] == "own":
        fields.append("unpack: your function")
    if setup["metric"] != "named":
        fields.append(f"metric: your {case.facts['metric']}")
    fields += [f"{name}: {_article(str(own[name]))}" for name in needed if name in own and (name in case.own or name == "loop")]
    if "schedule" in case.own:
        fields.append(f"scheduler: {_article(own['scheduler'])}")
    why = _why(case)
    names = [field.partition(":")[0] for field in fields]
    listed = "\n".join(f"                {field}" for field in fields)
    return f'''
        def problem_parts():
            """The one place to fill in.

{wrapped(why, " " * 12, " " * 12)}

            Paste here what you gave to Problem(...), and return it:

{listed}
            """
            # PASTE HERE, for instance: return SimpleNamespace({", ".join(f"{name}=..." for name in names)})
            raise NotImplementedError("paste your model and data into problem_parts(); its docstring says what belongs there")
        '''


def _why(case: Case) -> str:
    text = _file(case)
    if text is None:
        return "The problem was made in Python, and a run's folder holds no Python objects."
    return f"{case.origin['source']} cannot stand here: {inlined(text, Path(case.origin['source'])).why_not}."


def _article(kind: str) -> str:
    words = {"factory": "your function that makes the model", "module": "your module, with the weights it had then", "named": "its name"}
    return words.get(kind, {"object": "your object", "function": "your function"}.get(kind, kind))


def _model_class(name: str) -> type:
    for info in pkgutil.iter_modules(models.__path__):
        module = importlib.import_module(f"{models.__name__}.{info.name}")
        if hasattr(module, name):
            model: type = getattr(module, name)
            return model
    raise RefusedError(f"the run's model {name} is in no file of {models.__name__}; export it with the version that made the run")
