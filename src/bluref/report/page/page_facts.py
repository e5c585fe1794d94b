"""What lies in a run folder, read for its page: each file only if it is there and whole."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bluref.errors import UserError
from bluref.frames.frame_table import COLUMNS, TABLE, read_table
from bluref.media.whole import whole_lines
from bluref.train.metrics import read_metrics
from bluref.train.recipe_file import read_run

Row = Mapping[str, str]


@dataclass(frozen=True)
class RunFacts:
    """What a page can tell of a run without opening a picture.

    Attributes:
        run: the folder.
        told: its recipe.yaml: `recipe`, `data`, `versions`.
        metrics: rows of metrics.csv.
        check: check.json, what was said before training; None without it.
        validation: rows of validation.csv, frames that were held out; empty without it.
        frames: rows of the data folder's frames.csv, what curating found; empty without it.
        notes: files that are there and could not be read.
    """

    run: Path
    told: dict[str, Any]
    metrics: list[dict[str, str]]
    check: Mapping[str, Any] | None
    validation: list[dict[str, str]]
    frames: list[dict[str, str]]
    notes: list[str] = field(default_factory=list)

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(str(self.told["data"].get("folder", "")))

    @property
    def deblurs(self) -> bool:
        """Whether this run trained a deblurring network, not a matcher."""
        return "backbone" in self.told["recipe"]


def read_facts(run: Path, *, data: Path | None = None) -> RunFacts:
    """Read what is there.

    Args:
        run: the folder.
        data: where its footage lies now, if it was moved.

    Raises:
        UserError: no run there, or its recipe.yaml was damaged.
    """
    told = read_run(run)
    notes: list[str] = []
    if data is not None:
        told["data"] = {**told["data"], "folder": str(data.resolve())}
    data = Path(str(told["data"].get("folder", "")))
    metrics: list[dict[str, str]] = []
    try:
        metrics = [
            row for row in read_metrics(run / "metrics.csv") if (row.get("step") or "").isdigit()
        ]
    except (OSError, ValueError, csv.Error):
        notes.append("metrics.csv cannot be read: no curves")
    return RunFacts(
        run=run,
        told=told,
        metrics=metrics,
        check=_object(run / "check.json", notes),
        validation=_rows(run / "validation.csv", ("step", "clip", "index"), notes),
        frames=_roles(data, notes),
        notes=notes,
    )


def number(row: Row, name: str) -> float:
    """The number in a column; NaN where there is none."""
    try:
        return float(row.get(name) or "nan")
    except ValueError:
        return math.nan


def _object(path: Path, notes: list[str]) -> Mapping[str, Any] | None:
    if not path.exists():
        return None
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        loaded = None
    if isinstance(loaded, dict):
        return loaded
    notes.append(f"{path.name} cannot be read and is left out")
    return None


def _roles(data: Path, notes: list[str]) -> list[dict[str, str]]:
    """The table of the footage, if it was curated, read as training reads it."""
    if not (data / TABLE).is_file():
        return []
    try:
        table = read_table(data)
    except UserError as error:
        notes.append(f"{TABLE} cannot be read and is left out: {error.problem}")
        return []
    told = [{name: getattr(row, name) for name in COLUMNS} for row in table]
    return [{n: "" if v is None else str(v) for n, v in row.items()} for row in told]


def _rows(path: Path, needed: tuple[str, ...], notes: list[str]) -> list[dict[str, str]]:
    """Rows that have all the columns; a last line torn by a crash is left out."""
    if not path.is_file():
        return []
    try:
        lines = whole_lines(path).removeprefix("\ufeff")
        read = csv.DictReader(io.StringIO(lines, newline=""))
        rows = [row for row in read if None not in row.values()] if lines else [{}]
    except (OSError, ValueError, csv.Error):
        rows = [{}]
    if not rows or all(name in rows[0] for name in needed):
        return rows
    notes.append(f"{path.name} cannot be read and is left out")
    return []
