"""From a table with a column of texts to a Problem: which column is the text, what its tokens are, and what else is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._counted import counted
from fallline._errors import RefusedError, UsageError
from fallline.doors._asked import Asked
from fallline.doors._columns import column_of
from fallline.doors._named import check_column, listed, official_column, target_names
from fallline.doors._opened import opened_problem
from fallline.doors._prepare import words
from fallline.doors._prepare_text import UNKNOWN, parts_of_texts, tokens_of
from fallline.doors._reading import frame_of, head_of, reading_of
from fallline.doors._rows import OFFICIAL, Division, divide, group_ids
from fallline.doors._target import Target, target_of, yes_or_no
from fallline.doors.models.text import TextNet
from fallline.metrics import resolve

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from fallline._problem import Problem

PEEKED = 20_000  # rows that show whether a column is text: names repeat, but not in half of so many rows
DIFFERENT = 0.5  # share of different values from which a column of words is text: categories repeat
SPACED = 0.5  # of the texts are several words: then words are the tokens, else characters (names, codes, Chinese)
TOKEN_ROWS = 2  # training texts that a token needs for a code of its own: what occurs once is unknown in any other text
TOKENS = 20_000  # most tokens with a code of their own, the frequent ones first
COVERED = 0.99  # of the training texts are read to their end
LONGEST = {"words": 256, "characters": 512}  # tokens read of any text: what a CPU trains in minutes
# AdamW with a cosine, 12 passes, one seed: with words a second convolution gained nothing on Banking77; with characters it raised
# macro F1 on names from 0.44 to 0.54, where dropout of 0.3 in place of 0.1 lost 0.03 again.
MODEL = {"words": {"depth": 1, "dropout": 0.3}, "characters": {"depth": 2, "dropout": 0.1}}


def claims(path: Path, given: Mapping[str, Any]) -> bool:
    """Whether a table is one of texts: as said, or where the only column that could tell anything holds texts."""
    if "text" in given:
        return True
    if "horizon" in given or "time" in given:
        return False
    frame = head_of(path, PEEKED)
    if frame is None:
        return False
    others = _others(frame, given.get("target"), given.get("group"))
    return len(others) == 1 and _is_text(frame[others[0]])


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    reading, notes = reading_of(path)
    frame = frame_of(path, reading)
    named, official = official_column(frame, {asked.text, asked.group})
    text = _text_column(frame, asked)
    names = _targets(frame, asked, {text, named, asked.group}, notes)
    check_column(text, "text", frame.columns, names)
    check_column(asked.group, "group", frame.columns, names)
    target = target_of(frame, names, decimal=reading["decimal"], metric=asked.metric, task=asked.task, positive=asked.positive)
    unread = [name for name in frame.columns if name not in {text, named, asked.group, *names}]
    notes.append(f"text: column {text}" + (f"; not read: {listed(unread)}" if unread else ""))
    texts = words(frame[text])
    there = _with_text(path, texts, notes)
    notes += target.notes
    division = _divided(frame, texts, target, target.rows & there, official, asked, notes)
    train = division.rows("train")
    spec = _fitted(texts.gather(train), text, notes)
    start = target.start(train)
    arguments = {"tokens": len(spec["tokens"]) + UNKNOWN + 1, "outputs": len(start), **MODEL[spec["level"]], "start": start}
    preparation = {
        "format": 1,
        "reading": reading,
        "text": spec,
        "target": target.fitted(train),
        "split": division.packed(),
        "model": {"name": TextNet.__name__, "arguments": arguments},
    }
    return opened_problem(
        path,
        asked,
        kind="text",
        parts=parts_of_texts(path, preparation),
        model=TextNet,
        preparation=preparation,
        task=target.task,
        division=division,
        notes=notes,
        labels=target.class_names(),
        again=opened if official is None else None,
    )


def _others(frame: pl.DataFrame, target: str | None, group: str | None) -> list[str]:
    """The columns that are no target, group or official split; where no target is named, columns of 0 and 1 are targets."""
    named = {group, target, *(name.strip() for name in (target or "").split(","))}
    others = [name for name in frame.columns if name not in named and not _official(frame, name)]
    return others if target else [name for name in others if not yes_or_no(frame[name], column_of(frame[name], "."), ".")]


def _is_text(column: pl.Series) -> bool:
    """Words of which more than half differ."""
    if column_of(column, ".").kind != "category":
        return False
    present = words(column).drop_nulls()
    return len(present) > 1 and present.n_unique() > DIFFERENT * len(present)


def _official(frame: pl.DataFrame, name: str) -> bool:
    """Whether a column is called split and says nothing but parts; in the first rows it may say one part only."""
    said = words(frame[name]).str.to_lowercase().drop_nulls().unique().to_list() if name.lower() == "split" else []
    return bool(said) and set(said) <= set(OFFICIAL)


def _text_column(frame: pl.DataFrame, asked: Asked) -> str:
    """The column as named, else the only one that is left; what the first rows showed, all rows may not."""
    if asked.text is not None:
        return asked.text
    others = _others(frame, asked.target, asked.group)
    if len(others) != 1:
        raise UsageError(f"which column holds the texts? Name it with --text; the table has {listed(frame.columns)}")
    return others[0]


def _targets(frame: pl.DataFrame, asked: Asked, taken: set[str | None], notes: list[str]) -> list[str]:
    """The targets as named; left out, all columns of 0 and 1, where there are at least two."""
    others = [name for name in frame.columns if name not in taken]
    if asked.target is not None:
        return target_names(asked.target, frame.columns)
    labels = [name for name in others if yes_or_no(frame[name], column_of(frame[name], "."), ".")]
    if len(labels) < 2:
        raise UsageError(f"which column is to be predicted? Name it with --target; beside the text the table has {listed(others)}")
    notes.append(f"targets: all {len(labels)} columns of 0 and 1, as none was named ({listed(labels)})")
    return labels


def _with_text(path: Path, texts: pl.Series, notes: list[str]) -> NDArray[np.bool_]:
    """Which rows have a text at all."""
    there: NDArray[np.bool_] = texts.is_not_null().to_numpy()
    if not there.any():
        raise RefusedError(f"{path}: column {texts.name!r} holds no text in any of its {len(texts):,} rows; name another with --text")
    if not there.all():
        empty = int((~there).sum())
        notes.append(f"left out {counted(empty, 'row')} with an empty text")
    return there


def _divided(
    frame: pl.DataFrame,
    texts: pl.Series,
    target: Target,
    rows: NDArray[np.bool_],
    official: NDArray[np.int64] | None,
    asked: Asked,
    notes: list[str],
) -> Division:
    """The parts of the rows: the official ones, else drawn so that no text lies in two of them."""
    column = texts.str.to_lowercase() if asked.group is None else frame[asked.group]
    groups, said = group_ids(column)
    repeated = int(rows.sum()) - len(np.unique(groups[rows]))
    if official is not None:
        notes.append("the column split is the official split: train and valid as it says, test reports (audit)")
    if asked.group is not None:
        notes.append(said)
    elif repeated:
        across = "equal texts stay in one part" if official is None else "the official split may hold one in two parts"
        notes.append(f"{counted(repeated, 'text')} {'repeats' if repeated == 1 else 'repeat'} another; {across}")
    classes = target.classes
    division = divide(rows, seed=asked.seed, labels=classes, groups=groups, order=None, official=official)
    notes += division.notes
    return division


def _fitted(train: pl.Series, column: str, notes: list[str]) -> dict[str, Any]:
    """The tokens of the training texts: what they are, which have a code, and how many are read of a text."""
    texts = train.to_list()
    level = "words" if np.mean([" " in text for text in texts]) > SPACED else "characters"
    split = [tokens_of(text, level) for text in texts]
    rows = Counter(token for tokens in split for token in set(tokens))
    frequent = sorted((token for token, count in rows.items() if count >= TOKEN_ROWS), key=lambda token: (-rows[token], token))
    length = int(min(np.ceil(np.quantile([len(tokens) for tokens in split], COVERED)), LONGEST[level]))
    longer = sum(len(tokens) > length for tokens in split)
    kept = frequent[:TOKENS]
    notes.append(
        f"tokens: {level}, {len(kept):,} that occur in {TOKEN_ROWS} training texts or more; others count as unknown. "
        f"Read are the first {length} of a text ({counted(longer, 'training text')} longer)"
    )
    return {"column": column, "level": level, "tokens": kept, "length": length}
