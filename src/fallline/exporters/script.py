"""The script: one plain PyTorch file that repeats the training of a run's winner, to be read as a tutorial and run without this package."""

from __future__ import annotations

import re
from pathlib import Path

from fallline._errors import RefusedError, UsageError
from fallline._journal import write_text
from fallline.exporters import Exporter
from fallline.exporters._batching import write_batches
from fallline.exporters._case import Case
from fallline.exporters._judging import write_judging
from fallline.exporters._opening import from_door, inlined_file, open_file, open_own, title
from fallline.exporters._page import Page, wrapped
from fallline.exporters._training import write_training


def write_script(folder: Path, out: Path | None = None) -> Path:
    """Write `train_<run>.py`; `out` is the file, or a folder for it."""
    case = Case.of(folder)
    path = _path(folder, out)
    page = page_of(case, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, text in page.beside.items():
            write_text(path.with_name(name), text)
        write_text(path, page.render())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; name another place with --out") from error
    return path


def page_of(case: Case, path: Path) -> Page:
    """The script that will stand at `path`, with the files that lie beside it."""
    page = Page()
    page.setting("SEED", case.recipe.seed)
    page.setting("THREADS", case.setup["threads"], "with another number sums come out a little different")
    page.main.append("torch.set_num_threads(THREADS)")
    if not case.on_cpu:
        page.setting("DEVICE", case.device)
    write_batches(page, case)
    if from_door(case):
        open_file(page, case, path)
    else:
        open_own(page, case)
    write_training(page, case)
    write_judging(page, case)
    page.header = _header(case, path)
    try:
        compile(page.render(), str(path), "exec")
    except SyntaxError as error:
        raise RefusedError(
            f"the script for {case.folder} would not be valid Python ({error}); please report this with the run's folder"
        ) from error
    return page


def _path(folder: Path, out: Path | None) -> Path:
    name = f"train_{re.sub(r'[^A-Za-z0-9_]+', '_', folder.resolve().name)}.py"
    if out is None:
        return folder / name
    return out if out.suffix == ".py" else out / name


def _header(case: Case, path: Path) -> str:
    """What the script does, what it needs, what it repeats, and what is to be filled in."""
    recipe, source = case.recipe, case.origin["source"]
    what = title(case) or (f"{Path(source).name}: the training of its model." if source else "A training.")
    said = [what, ""]
    said.append(
        wrapped(
            f"Written by Fallline from the run {case.folder.resolve().name}; it needs PyTorch and what is imported below, not Fallline."
        )
    )
    paste = not from_door(case) and inlined_file(case) is None
    if paste:
        said += ["", wrapped("TO FILL IN: problem_parts(), the one place marked PASTE HERE, with your model and data.")]
    said += ["", f"    python {path.name}", ""]
    shown = {"loss": recipe.loss, "optimizer": recipe.optimizer, "schedule": recipe.schedule, "clip": recipe.clip}
    for kind, part in shown.items():
        said.append(wrapped("your own" if part.own else str(part), f"{kind + ':':<12}", " " * 12))
    for kind, extra in (("average", recipe.average), ("lr change", recipe.lr_change), ("cooldown", recipe.cooldown)):
        if extra is not None:
            said.append(f"{kind + ':':<11} {', '.join(f'{key}={value:.6g}' for key, value in vars(extra).items())}")
    if recipe.body_lr is not None:
        said.append(wrapped(f"{recipe.body_lr.factor:g} for all but {', '.join(recipe.body_lr.head)}", f"{'body lr:':<12}", " " * 12))
    said.append(f"{'weights:':<11} {'the best of all looks at valid' if recipe.keep == 'best' else 'the last'}")
    if case.outcome:
        values = ", ".join(f"{value!r} on {part}" for part, value in case.outcome.items())
        said += ["", wrapped(f"The run's {case.facts['metric']} is {values}.")]
    said += [] if case.outcome else [""]
    version = f" and torch {case.torch}" if case.torch else ""
    exact = case.on_cpu and case.setup["threads"] == 1
    same = "the weights are the run's, bit for bit" if exact else "the weights are the run's, up to the order in which sums are taken"
    said.append(wrapped(f"On the same kind of machine{version} {same}."))
    return "\n".join(said).replace("\\", "\\\\").replace('"""', "'''") + "\n"


ENTRY = Exporter(name="script", title="one plain PyTorch file that repeats the training", write=write_script)
