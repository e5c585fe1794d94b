"""What has been measured of a clip, kept as it is measured: so that stopping costs nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

from bluref.errors import UserError
from bluref.frames.curation import LeftOut
from bluref.frames.measured import Row, as_told, from_told
from bluref.media.whole import write_text_whole

FORMAT = 3
"""Changes whenever rows measured before no longer count."""


class Journal:
    """The rows of one clip, in a file of lines; what cannot be read counts as not there.

    Attributes:
        path: of the file.
        rows: measured so far.
        done: whether that is all of the clip.
        notes: on the clip, when done.
        failed: pictures of it that could not be read, when done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.done = False
        self.notes: list[str] = []
        self.failed: list[LeftOut] = []
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, ValueError):
            lines = []
        for line in lines:
            if self.done or not self._take(line):
                break

    def _take(self, line: str) -> bool:
        try:
            told = json.loads(line)
            if "notes" in told:
                self.notes = list(told["notes"])
                self.failed = [LeftOut(**one) for one in told["failed"]]
                self.done = True
            else:
                self.rows.append(from_told(told))
        except (KeyError, TypeError, ValueError):
            return False
        return True

    @contextmanager
    def open(self) -> Iterator["Journal"]:
        """Lend it for writing on: first what could be read, then what is added.

        Raises:
            UserError: the disk is full, or the place is read-only.
        """
        write_text_whole(self.path, "".join(_line(as_told(row)) for row in self.rows))
        try:
            with self.path.open("a", encoding="utf-8") as self._file:
                yield self
        except OSError as error:
            if error.filename not in (None, str(self.path)):
                raise
            reason = (error.strerror or str(error)).lower()
            raise UserError(
                f"cannot write {self.path}: {reason}", "free some disk space, and run it again"
            ) from error

    _file: IO[str]

    def add(self, row: Row) -> None:
        """Keep one more row."""
        self.rows.append(row)
        self._file.write(_line(as_told(row)))
        self._file.flush()

    def finish(self, notes: list[str], failed: list[LeftOut]) -> None:
        """Note that the rows are all there are."""
        self.notes, self.failed, self.done = notes, failed, True
        told = {"notes": notes, "failed": [asdict(one) for one in failed]}
        self._file.write(_line(told))


def _line(told: dict[str, object]) -> str:
    return json.dumps(told) + "\n"
