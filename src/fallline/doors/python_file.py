"""Door for Python files: a file with `def problem() -> fallline.Problem`, run as a script in its folder would be."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline._errors import FalllineError, RefusedError, UsageError, nearest
from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

    from fallline._problem import Problem

FUNCTION = "problem"


def open_python_file(path: Path, asked: Asked) -> Problem:
    """The problem that the file's `problem()` returns; what was asked takes the place of what it says, and that is noted.

    The file's folder is put on `sys.path` and stays there, as when the file is run as a script: its model may import more later.
    What the file draws at random without seeding itself, such as the initial weights of a module, follows from `seed`: `resume`, `train`
    and an exported script must see the same.

    Raises:
        UsageError: the file has no `problem()` as it should be. RefusedError: it raised, with its traceback.
    """
    from fallline._batches import seeded  # loads torch, which asking for doors must not
    from fallline._problem import Origin, Problem

    with seeded(asked.seed):
        module = _run(path)
        function = _function(path, module)
        try:
            made = function()
        except FalllineError as error:
            raise type(error)(f"{path}{_line(error, path)}: {error}") from error
        except (Exception, SystemExit) as error:
            raise RefusedError(_raised(f"{path}: {FUNCTION}() raised", error, path)) from error
    if not isinstance(made, Problem):
        came = "nothing: is its return missing?" if made is None else f"{_article(type(made).__name__)}"
        raise UsageError(f"{path}: {FUNCTION}() must return a fallline.Problem, it returned {came}")
    given = {name: value for name in ENTRY.options() if name != "seed" and (value := getattr(asked, name)) is not None}
    notes = [*made.origin.notes, *(_said(name, value, getattr(made, name)) for name, value in given.items())]
    origin = Origin(kind="python_file", source=str(path), options=asked.plain(), notes=tuple(notes))
    if "metric" in given and "direction" not in given:
        given["direction"] = None  # the file's direction was that of its own metric
    return dataclasses.replace(made, **given, origin=origin)


def _run(path: Path) -> ModuleType:
    """The file as a module, run."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"fallline_problem_{path.stem}"  # a prefix, so that a file called torch.py hides nothing
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up by its name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        place = f"line {error.lineno}" if error.filename == str(path) else f"{error.filename}, line {error.lineno}"
        raise RefusedError(f"{path} is no valid Python: {error.msg} ({place}); correct it and run it once by itself") from error
    except OSError as error:
        if error.filename == str(path) or error.filename == path:
            raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from error
        raise RefusedError(_raised(f"{path} raised while it was loaded", error, path)) from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path} is no UTF-8 text; save it as UTF-8") from error
    except FalllineError as error:
        raise type(error)(f"{path}{_line(error, path)}: {error}") from error
    except (Exception, SystemExit) as error:
        raise RefusedError(_raised(f"{path} raised while it was loaded", error, path)) from error
    return module


def _function(path: Path, module: ModuleType) -> Any:
    wanted = f"write a function `def {FUNCTION}():` that returns fallline.Problem(...)"
    own = {name: value for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)}
    if FUNCTION not in own:
        functions = [name for name, value in own.items() if inspect.isfunction(value) and value.__module__ == module.__name__]
        close = nearest(FUNCTION, own)
        has = f"is {' or '.join(close)} meant?" if close else f"it defines {', '.join(functions) or 'no function'};"
        raise UsageError(f"{path} has no function {FUNCTION}(); {has} {wanted}")
    function = own[FUNCTION]
    if not callable(function):
        raise UsageError(f"{path}: {FUNCTION} must be a function, it is {_article(type(function).__name__)}; {wanted}")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise UsageError(f"{path}: {FUNCTION}() must take no arguments ({error}); give them defaults") from error
    except ValueError:
        pass  # a callable written in C shows no signature; calling it will tell
    return function


def _raised(top: str, error: BaseException, path: Path) -> str:
    """Our message on top, their traceback below it, from their own file on."""
    frames = _from_file(error.__traceback__, path)
    below = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{top} {said}; correct it, then try again. Its traceback:\n{below}"


def _from_file(trace: TracebackType | None, path: Path) -> TracebackType | None:
    """The traceback without the frames of this package and of the import system that lie above the user's file."""
    whole = trace
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename) == path:
            return trace
        trace = trace.tb_next
    return whole


def _line(error: BaseException, path: Path) -> str:
    """ ", line 12" of the user's file where the error came from; "" where it did not pass through it."""
    line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename) == path:
            line = f", line {number}"
    return line


def _said(name: str, value: Any, own: Any) -> str:
    shown = getattr(own, "__name__", own)
    instead = "" if own is None else f" instead of {shown}"
    return f"{name} is {getattr(value, '__name__', value)}, as given{instead}"


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


ENTRY = Door(name="python_file", title="a Python file", suffixes=(".py",), open=open_python_file, takes=("positive",))
