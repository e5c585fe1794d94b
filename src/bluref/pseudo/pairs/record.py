"""What is known of a pair, and pairs.csv: one row each, to sort and to choose by."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.media.whole import write_text_whole

TABLE = "pairs.csv"
KINDS = ("blur", "sharp", "trust")
"""Folders, each with a NAME.png of every pair."""


@dataclass(frozen=True)
class PairRecord:
    """One pair: where it comes from, how far to believe it, and what its files are.

    Attributes:
        name: of its files, without suffix.
        clip: of the blurry frame.
        index: its number in the clip.
        width: in pixels.
        height: in pixels.
        coverage: share of pixels that references speak for.
        mean_trust: over all pixels.
        completed: share of the sharp picture that the network gave, not the references.
        expected_psnr: dB of the sharp picture against the truth, as estimated without it.
        round: of targets that it was taken from.
        source: file of the blurry frame, from the data folder on.
        references: `clip/index` of each.
        source_hash: of the blurry frame's pixels.
        reference_hashes: of the pixels of each reference.
        blur_sha256: of the file.
        sharp_sha256: of the file.
        trust_sha256: of the file.
        key: of all that the files depend on.
    """

    name: str
    clip: str
    index: int
    width: int
    height: int
    coverage: float
    mean_trust: float
    completed: float
    expected_psnr: float
    round: int
    source: str
    references: tuple[str, ...]
    source_hash: str
    reference_hashes: tuple[str, ...]
    blur_sha256: str
    sharp_sha256: str
    trust_sha256: str
    key: str

    def file(self, folder: Path, kind: str) -> Path:
        """The file of one of `KINDS`."""
        return folder / kind / f"{self.name}.png"

    def sha256(self, kind: str) -> str:
        """Of the file of one of `KINDS`."""
        return {
            "blur": self.blur_sha256,
            "sharp": self.sharp_sha256,
            "trust": self.trust_sha256,
        }[kind]

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: list(v) if type(v) is tuple else v for name, v in asdict(self).items()}


_KINDS = {field.name: field.type for field in fields(PairRecord)}
_NAME = re.compile(r"[^\w+-]")


def pair_names(frames: Sequence[Frame]) -> list[str]:
    """File names, without suffix, that every trainer takes: no folder and no dot in them.

    WebDataset cuts names at their first dot, and trainers of BasicSR's kind list a folder without
    what lies in its subfolders.

    Raises:
        UserError: two frames would bear the same name.
    """
    names = [_NAME.sub("_", f.clip.replace("/", "__")) + f"__{f.index:06d}" for f in frames]
    seen: dict[str, Frame] = {}
    for name, frame in zip(names, frames, strict=True):
        other = seen.setdefault(name.casefold(), frame)
        if other is not frame:
            raise UserError(
                f"the clips {other.clip!r} and {frame.clip!r} would share the file name {name}.png",
                "rename one of the two clips",
            )
    return names


def write_records(path: Path, records: Iterable[PairRecord]) -> None:
    """Write pairs.csv; it appears whole.

    Raises:
        UserError: the disk is full, or the place may not be written to.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_KINDS)
    for record in records:
        writer.writerow(
            json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v
            for v in record.told().values()
        )
    write_text_whole(path, text.getvalue())


def read_records(path: Path) -> list[PairRecord]:
    """The rows of pairs.csv. Rows may be removed by hand: what is not listed is no pair.

    Raises:
        UserError: unreadable, or a row that says what no pair can; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in _KINDS if name not in (reader.fieldnames or ())]:
                raise UserError(
                    f"{path} line 1: no column {missing[0]!r}", "let `bluref pairs` write it anew"
                )
            return [_read(row, path, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be read: {error}", "let `bluref pairs` write it anew"
        ) from None


def record_from(told: dict[str, Any]) -> PairRecord:
    """A record as `PairRecord.told` gives it.

    Raises:
        KeyError, TypeError, ValueError: it is no such thing.
    """
    values: dict[str, Any] = {}
    for name, kind in _KINDS.items():
        value = told[name]
        values[name] = tuple(map(str, value)) if kind not in (str, int, float) else kind(value)
    if not (0 <= values["coverage"] <= 1 and 0 <= values["mean_trust"] <= 1):
        raise ValueError("coverage and mean_trust must lie in [0, 1]")
    if not math.isfinite(values["expected_psnr"]):
        raise ValueError("expected_psnr must be a number")
    if not values["name"] or _NAME.search(values["name"]):
        raise ValueError(f"no file is called {values['name']!r}")
    return PairRecord(**values)


def _read(row: dict[str, Any], path: Path, line: int) -> PairRecord:
    try:
        if None in row or None in row.values():
            raise ValueError(f"there must be {len(_KINDS)} cells")
        lists = {name: json.loads(row[name]) for name in ("references", "reference_hashes")}
        if not all(isinstance(value, list) for value in lists.values()):
            raise ValueError("references must be a list")
        return record_from({**row, **lists})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} line {line}: {error}",
            "mend or remove the line, or let `bluref pairs` write it",
        ) from None
