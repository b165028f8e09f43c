"""The command line: finds the verbs, and turns what they raise into a message and an exit code.

Exit codes: 0 done; 1 a finding that the user asked to fail on; 2 the call is wrong; 3 the data or the model cannot be used;
130 interrupted; 70 a bug in Fallline (EX_SOFTWARE of sysexits.h, apart from the others so that scripts can tell).
"""

from __future__ import annotations

import io
import sys
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fallline._errors import FalllineError, InterruptedRun
from fallline.verbs import verbs

BUG = 70
INTERRUPTED = 130
PACKAGE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name in Chinese must not end a race on an ASCII terminal
    command = typer.main.get_command(application())
    try:
        code = command.main(None if arguments is None else list(arguments), prog_name="fallline", standalone_mode=False)
    except FalllineError as error:
        _tell(str(error) if isinstance(error, InterruptedRun) else f"error: {error}")
        return error.exit_code
    except typer.TyperException as error:
        if error.format_message():  # empty after `fallline` alone, which has shown its help
            _tell(f"error: {error.format_message()}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the one place where everything ends
        return _unexpected(error)
    return code if isinstance(code, int) else 0


def application() -> typer.Typer:
    """All verbs as one typer application."""
    app = typer.Typer(
        name="fallline",
        help="Chooses loss, optimizer, learning rate, schedule, decay and clipping for a PyTorch model, by a short race on its own data.",
        no_args_is_help=True,
        add_completion=False,  # it would write into the user's home
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for verb in verbs():
        app.command(verb.name, epilog=f"Example: {verb.example}", no_args_is_help=False)(verb.run)
    return app


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version
        from platform import python_version

        typer.echo(f"fallline {version('fallline')} (torch {version('torch')}, Python {python_version()})")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and stop.")] = False,
) -> None:
    pass


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _unexpected(error: Exception) -> int:
    """The whole traceback, and whose fault it is: code in a file that is neither ours nor installed is the user's."""
    traceback.print_exception(error)
    frame = _theirs(error)
    if frame is not None:
        _tell(f"\nerror: your code raised this, in {frame.name} at {frame.filename}:{frame.lineno}")
        return 3
    _tell("\nThis is a bug in Fallline. Please report the lines above, with what `fallline env` prints and the command that you typed.")
    return BUG


def _theirs(error: Exception) -> traceback.FrameSummary | None:
    installed = [PACKAGE, *(Path(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib", "scripts"))]
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_file() and not any(Path(f.filename).is_relative_to(folder) for folder in installed)]
    return own[-1] if own else None
