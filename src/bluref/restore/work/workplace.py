"""Where a film is kept while it is unfinished: a hidden folder beside the file it will be.

It holds what it was begun with, the segments that are whole, and nothing that cannot be made again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bluref.errors import UserError
from bluref.media.films.segment import Memory, read_memory
from bluref.media.whole import write_text_whole

FORMAT = 2
_BEGUN_WITH, _ENDED_WITH, _LOCK = "begun.json", "ended.json", "lock"


class Workplace:
    """The folder of one unfinished film; see `open_workplace`.

    Attributes:
        folder: where it is.
        anew: why what was there could not be gone on with; empty where it could, or nothing was.
    """

    def __init__(self, folder: Path, anew: str) -> None:
        self.folder = folder
        self.anew = anew

    def segment(self, number: int) -> Path:
        """The file of a segment, which may not be there yet."""
        return self.folder / f"{number:06d}.segment"

    def segments(self) -> list[Path]:
        """The segments that are whole, up to the first that is not."""
        paths: list[Path] = []
        while (path := self.segment(len(paths))).is_file():
            try:
                read_memory(path)
            except (ValueError, TypeError):
                break
            paths.append(path)
        return paths

    def memories(self) -> Iterator[Memory]:
        """What they remember, one by one."""
        return map(read_memory, self.segments())

    def end(self, told: Mapping[str, Any]) -> None:
        """Remember that all segments are there, and something else."""
        write_text_whole(self.folder / _ENDED_WITH, json.dumps(dict(told)))

    def ended(self) -> dict[str, Any] | None:
        """What `end` was given; None before."""
        return _read(self.folder / _ENDED_WITH)

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def open_workplace(target: Path, begun_with: Mapping[str, Any]) -> Iterator[Workplace]:
    """The workplace of the film that will be `target`, for one process at a time.

    Args:
        target: the file that is wanted; its folder is made where it is missing.
        begun_with: all that the result depends on. What was begun with anything else is removed.

    Raises:
        UserError: another process works on it, or the folder cannot be written.
    """
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]  # any name has room for it
    folder = target.parent / f".{name}.unfinished"
    wanted = json.loads(json.dumps({"format": FORMAT, **begun_with}))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("wb")
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise UserError(
            f"cannot write {target}: {reason}", "choose a folder that you may write to"
        ) from error
    with lock:
        _take(lock.fileno(), target)
        there = _read(folder / _BEGUN_WITH)
        anew = "" if there in (None, wanted) else _difference(there or {}, wanted)
        if there != wanted:
            _empty(folder)
            write_text_whole(folder / _BEGUN_WITH, json.dumps(wanted))
        for partial in folder.glob(".*.partial*"):  # of a process that was killed
            partial.unlink(missing_ok=True)
        yield Workplace(folder, anew)


def _take(descriptor: int, target: Path) -> None:
    """Lock an open file until it is closed, or its process has ended, however it did."""
    try:
        import fcntl
    except ImportError:  # Windows: two processes at once are not found out
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UserError(
            f"another process is writing {target}", "wait for it, or choose another output"
        ) from error


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    changed = [key for key in wanted if there.get(key) != wanted[key]]
    return ", ".join(changed) or "format"


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != _LOCK:
            path.unlink()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
