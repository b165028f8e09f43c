"""Reading: whether a file is a table, how it is to be read, and in plain words why not."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TextIO

from fallline._counted import counted
from fallline._errors import RefusedError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LINES_IN_A_ROW = 20  # a ragged row over more lines than this is a quotation mark gone astray
LINES_LOOKED_AT = 50  # lines that show how fields are separated: enough for every real file met so far
KNOWN_STARTS = {b"PAR1": "a Parquet file; name it .parquet", b"PK": "an Excel or zip file; save the sheet as CSV", b"%PDF": "a PDF"}


def reading_of(path: Path) -> tuple[dict[str, Any], list[str]]:
    """How `_prepare.read_frame` is to read the file, as plain JSON, and what was noticed; refuses what is no sound table."""
    if path.stat().st_size == 0:
        raise RefusedError(f"{path} is empty; a table needs a line of column names and rows below it")
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    _check_text(path)
    with _explained(path):
        with _text(path) as lines:
            head = list(itertools.islice(lines, LINES_LOOKED_AT))
        separator = _separator(head, "\t" if ".tsv" in path.name.lower() else ",")
        _check_rows(path, separator)
    reading = {"format": "csv", "separator": separator, "decimal": "."}
    notes = []
    if separator not in (",", "\t"):
        notes.append(f"fields are separated by {SEPARATORS[separator]}")
    if separator != "," and _decimal_commas(head, separator):
        reading["decimal"] = ","
        notes.append("numbers are read with decimal commas (1,5 is one and a half)")
    return reading, notes


def _parquet(path: Path) -> tuple[dict[str, Any], list[str]]:
    import polars as pl

    try:
        names = list(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RefusedError(f"{path} cannot be read as Parquet: {_first_line(error)}; write it again, or give a CSV") from error
    _check_names(path, names)
    return {"format": "parquet", "decimal": "."}, []


def _check_text(path: Path) -> None:
    """Refuse what is no UTF-8 text by its first bytes, before a parser makes nonsense of it."""
    with _explained(path), _bytes(path) as file:
        start = file.read(1 << 16)  # 64 KiB: a binary file shows a zero byte long before
    for magic, what in KNOWN_STARTS.items():
        if start.startswith(magic):
            raise RefusedError(f"{path} is no CSV but {what}")
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RefusedError(f"{path} is UTF-16 text; save it as UTF-8 (in Excel: 'CSV UTF-8')")
    if b"\0" in start:
        raise RefusedError(f"{path} is no text but binary data; a table is CSV text (UTF-8), also gzipped, or Parquet")
    if not start.strip():
        raise RefusedError(f"{path} holds only blank lines; a table needs a line of column names and rows below it")


def _bytes(path: Path) -> IO[bytes]:
    """The file's content, unpacked where it is gzipped, whatever its name says."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")  # type: ignore[return-value]  # GzipFile reads as IO[bytes] does


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    import io

    with _bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What goes wrong between disk and text, as a message for the user."""
    try:
        yield
    except UnicodeDecodeError as error:
        odd = error.object[error.start]
        raise RefusedError(
            f"{path} is not UTF-8 text (byte 0x{odd:02X}); save it as UTF-8 (in Excel: 'CSV UTF-8'), or convert it: "
            f"iconv -f WINDOWS-1252 -t UTF-8 in.csv > out.csv"
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError(f"{path} is damaged: its gzip data break off or do not unpack ({error}); fetch it again") from error
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from error
    except csv.Error as error:
        raise RefusedError(f'{path} cannot be read as CSV: {error}; look for a quotation mark " too many') from error


def _separator(head: list[str], usual: str) -> str:
    """The separator that gives every line the same number of fields, and most of them; else the one that the header has most of."""
    best, fields = usual, 0
    for separator in sorted(SEPARATORS, key=lambda one: one != usual):  # the usual one wins ties
        widths = [len(row) for row in csv.reader(head, delimiter=separator) if row]
        if widths and len(set(widths[:-1])) <= 1 and widths[0] > max(fields, 1):  # the last line looked at may be half a quoted field
            best, fields = separator, widths[0]
    if fields:
        return best
    return max(sorted(SEPARATORS, key=lambda one: one != usual), key=lambda one: head[0].count(one))


def _decimal_commas(head: list[str], separator: str) -> bool:
    values = [value.strip() for row in csv.reader(head[1:], delimiter=separator) for value in row]
    commas = sum(bool(re.fullmatch(r"[-+]?\d+,\d+", value)) for value in values)
    points = sum(bool(re.fullmatch(r"[-+]?\d+\.\d+", value)) for value in values)
    return commas > 0 and points == 0


def _check_rows(path: Path, separator: str) -> None:
    """Refuse a ragged file: a parser would fill short rows with missing values and say nothing."""
    with _text(path) as lines:
        reader = csv.reader(lines, delimiter=separator)
        names = next((row for row in reader if row), [])
        _check_names(path, names)
        width, rows, ragged, line = len(names), 0, 0, reader.line_num
        first = ""
        for row in reader:
            if len(row) != width:
                if not row:
                    continue
                if reader.line_num - line > LINES_IN_A_ROW:
                    raise csv.Error(f"line {line + 1} opens a quotation mark that closes {reader.line_num - line:,} lines later or never")
                ragged += 1
                first = first or f"line {reader.line_num} has {len(row)}"
            rows, line = rows + 1, reader.line_num
    if ragged:
        raise RefusedError(
            f"{path} is ragged: its header names {counted(width, 'column')}, but {ragged:,} of its {counted(rows, 'row')} "
            f"{'has' if ragged == 1 else 'have'} more or fewer fields ({first}); "
            f"mend these rows, and put quotation marks around values that contain {SEPARATORS[separator]}"
        )
    if not rows:
        raise RefusedError(f"{path} has column names and no rows; give a table with rows")


def _check_names(path: Path, names: list[str]) -> None:
    stripped = [name.strip() for name in names]
    twice = [name for name, times in Counter(stripped).items() if times > 1 and name]
    if twice:
        raise RefusedError(f"{path} has more than one column called {', '.join(map(repr, twice))}; every column needs its own name")
    if len(names) > 1 and all(re.fullmatch(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?", name) for name in stripped):
        raise RefusedError(f"{path} has no line of column names: its first line is {', '.join(stripped[:4])}, ...; add one")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def frame_of(path: Path, reading: dict[str, Any]) -> Any:
    """The table as a polars frame; a parser's complaint becomes a message for the user."""
    import polars as pl

    from fallline.doors._prepare import read_frame

    try:
        return read_frame(path, reading)
    except (pl.exceptions.PolarsError, OSError) as error:
        if reading["format"] != "csv":
            raise RefusedError(f"{path} cannot be read: {_first_line(error)}; write it again, or give a CSV") from error
        raise RefusedError(
            f'{path} cannot be read as CSV: it has quotation marks inside values; write a value such as 5" as "5""" ({_first_line(error)})'
        ) from error


def head_of(path: Path, rows: int) -> Any:
    """The first rows of a table as text; None where it cannot be read, which opening it whole will explain."""
    import polars as pl

    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path, n_rows=rows)
        with _text(path) as lines:
            head = list(itertools.islice(lines, LINES_LOOKED_AT))
        separator = _separator(head, "\t" if ".tsv" in path.name.lower() else ",")
        frame = pl.read_csv(path, separator=separator, infer_schema=False, n_rows=rows)
        frame.columns = [name.strip() or f"column_{number}" for number, name in enumerate(frame.columns, 1)]
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error, IndexError):
        return None
    return frame
