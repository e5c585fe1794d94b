"""The table of a curated folder, frames.csv: one row per frame that was looked at.

A person may change any `role` in it with a spreadsheet or an editor; what is read is checked line
by line. `file` is relative to the folder of the table where it lies inside, else absolute.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from bluref.errors import UserError
from bluref.media.whole import write_text_whole

TABLE = "frames.csv"
ROLES = ("sharp", "blurry", "skip")
NEEDED = ("clip", "index", "role", "file")
"""Columns without which a table cannot be read; any other may be missing."""


@dataclass(frozen=True)
class FrameRow:
    """One line of the table.

    Attributes:
        clip: name of the clip.
        index: frame number in the clip.
        time: seconds by the clock of the film, which may begin later than at 0.
        sharpness: base-2 log of the energy of fine detail; compare it within a shot, where 0.3 less
            is about twice the blur once it is more than two pixels.
        below: how far it lies below the best of its scene, in the same unit.
        motion: of the scene since the frame looked at before, in pixels of the file per frame of
            the file; None where another scene was seen.
        exposure: mean brightness, in [0, 1].
        shot: number of the piece between cuts, from 1.
        duplicate: number of the frame that it repeats, or None.
        role: one of `ROLES`.
        why: in a few words; a note only.
        file: the picture, or the video.
        position: number of the frame in the video; None for a picture.
    """

    clip: str
    index: int
    time: float | None
    sharpness: float | None
    below: float | None
    motion: float | None
    exposure: float | None
    shot: int
    duplicate: int | None
    role: str
    why: str
    file: Path
    position: int | None


COLUMNS = tuple(field.name for field in fields(FrameRow))
_NUMBERS = ("time", "sharpness", "below", "motion", "exposure")
_DIGITS = {"time": 3, "sharpness": 3, "below": 3, "motion": 2, "exposure": 3}


def table_text(rows: Iterable[FrameRow], folder: Path) -> str:
    """The table as text, for `folder`/frames.csv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_told(row, name, folder) for name in COLUMNS])
    return text.getvalue()


def write_table(rows: Iterable[FrameRow], folder: Path) -> Path:
    """Write `folder`/frames.csv, which appears whole."""
    write_text_whole(folder / TABLE, table_text(rows, folder))
    return folder / TABLE


def _told(row: FrameRow, name: str, folder: Path) -> str:
    value = getattr(row, name)
    if value is None:
        return ""
    if name == "file":
        inside = value.is_relative_to(folder.absolute())
        return Path(value.relative_to(folder.absolute()) if inside else value).as_posix()
    return f"{value:.{_DIGITS[name]}f}" if name in _DIGITS else str(value)


def read_table(folder: Path) -> list[FrameRow]:
    """The rows of `folder`/frames.csv, checked; paths made absolute, existence not looked at.

    Raises:
        UserError: there is none, or a line of it is wrong: the message names the line.
    """
    return [row for _, row in read_lines(folder)]


def read_lines(folder: Path) -> list[tuple[int, FrameRow]]:
    """The same with the number of each row's line, for whoever finds more that is wrong."""
    path = folder / TABLE
    reader = _reader(path)
    rows: list[tuple[int, FrameRow]] = []
    seen: dict[tuple[str, int], int] = {}
    try:
        for cells in reader:
            line = reader.line_num - _lines_within(cells)
            row = _row(cells, folder, f"{path} line {line}")
            first = seen.setdefault((row.clip, row.index), line)
            if first != line:
                raise UserError(
                    f"{path} line {line}: frame {row.index} of clip {row.clip!r} is in"
                    f" line {first} already",
                    "remove one of the two lines",
                )
            rows.append((line, row))
    except csv.Error as error:
        raise UserError(
            f"{path} line {reader.line_num}: {error}", "mend that line, or curate again"
        ) from None
    return rows


def _reader(path: Path) -> "csv.DictReader[str]":
    """What reads its rows, by the separator that it has.

    Raises:
        UserError: it cannot be read, or lacks a column.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(f"cannot read {path}: {reason}", "run bluref curate again") from error
    # Spreadsheets of some countries save with semicolons.
    header = text.partition("\n")[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise UserError(
            f"{path} line 1: there is no column {missing[0]!r}",
            f"put back the first line: {','.join(COLUMNS)}",
        )
    return reader


def _lines_within(cells: Mapping[str | None, str | list[str] | None]) -> int:
    """Ends of lines inside a row: a quote that is not closed runs on to the end of the file."""
    told = [
        text for cell in cells.values() for text in (cell if isinstance(cell, list) else [cell])
    ]
    return sum(text.rstrip("\r\n").count("\n") for text in told if text)


def _row(cells: Mapping[str | None, str | None], folder: Path, where: str) -> FrameRow:
    if None in cells or None in cells.values():
        raise UserError(
            f"{where}: it has {'more' if None in cells else 'fewer'} cells than the first line",
            "put a name that holds a comma into quotes, close every quote, and leave no cell out",
        )
    told = {str(name).strip(): str(value).strip() for name, value in cells.items()}
    role = told["role"].lower()
    if role not in ROLES:
        raise UserError(f"{where}: role is {told['role']!r}", f"use one of {', '.join(ROLES)}")
    for name in ("clip", "file"):
        if not told[name] or "\0" in told[name]:
            raise UserError(f"{where}: there is no {name}", "fill it in, or remove the line")
    numbers = {name: _number(told.get(name, ""), name, where) for name in _NUMBERS}
    index, shot = _whole(told, "index", where), _whole(told, "shot", where)
    if index is None:
        raise UserError(f"{where}: there is no index", "fill it in, or remove the line")
    return FrameRow(
        clip=told["clip"],
        index=index,
        **numbers,
        shot=1 if shot is None else shot,
        duplicate=_whole(told, "duplicate", where),
        role=role,
        why=told.get("why", ""),
        file=folder.absolute() / told["file"],
        position=_whole(told, "position", where),
    )


def _number(text: str, name: str, where: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {name} is {text!r}", "write a number with a point, or nothing")
    return number


def _whole(told: Mapping[str, str], name: str, where: str) -> int | None:
    text = told.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise UserError(f"{where}: {name} is {text!r}", "write a whole number, 0 or more")
    return int(text)
