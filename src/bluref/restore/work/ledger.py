"""What the outputs in a folder were made from: so that nothing is done twice or taken for granted.

The ledger is a hidden file of lines in the output folder. One line says that an output is begun,
another that it is done, from which content and by which recipe. Lines are only ever appended, each
in one write, so that a crash costs the last one; what cannot be read is passed over. At the start
of a run the file is written anew, whole, with one line for each output that is still there.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bluref.errors import UserError
from bluref.media.whole import write_text_whole
from bluref.restore.fingerprint import hash_of

NAME = ".bluref-outputs.jsonl"
"""Of the ledger, in the output folder."""

State = Literal["absent", "same", "stale", "unknown"]
"""Of an output: not there; made from this source by this recipe; made by us from another source or
by another recipe, or not finished; or there for a reason that the ledger does not know."""

_LARGEST = 256 << 20  # bytes; a longer file is no ledger of ours


@dataclass(frozen=True)
class Entry:
    """One output.

    output: its path below the folder, with slashes.
    source: hash of the content that it was made from; empty where nothing is known any more.
    recipe: hash of how.
    content: hash of the output; empty as long as it is only begun.
    size, changed: in bytes, and when in nanoseconds, of the output.
    """

    output: str
    source: str
    recipe: str
    content: str = ""
    size: int = 0
    changed: int = 0


class Ledger:
    """The ledger of one output folder, with the recipe of this run.

    Args:
        folder: exists.
        recipe: all that changes a result, and that JSON can hold.

    Raises:
        UserError: the ledger cannot be written.
    """

    def __init__(self, folder: Path, recipe: Mapping[str, object]) -> None:
        self.folder = folder
        told = json.dumps(recipe, sort_keys=True, default=str)
        self.recipe = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
        self.entries = _read(folder / NAME)
        there = [entry for entry in self.entries.values() if _may_be_file(folder / entry.output)]
        self.entries = {entry.output: entry for entry in there}
        if there:
            write_text_whole(folder / NAME, "".join(map(_line, there)))

    def state(self, target: Path, source: Path) -> State:
        """How an output stands to its source and to the recipe of this run.

        Raises:
            UserError: one of the files cannot be read.
        """
        status = _status(target)
        if status is None:
            return "absent"
        entry = self._entry(target)
        if entry is None:
            return "unknown"
        if not entry.content:  # what is there is what this was to replace, or our own result
            return "stale"
        untouched = (status.st_size, status.st_mtime_ns) == (entry.size, entry.changed)
        if not untouched and hash_of(target) != entry.content:
            return "unknown"
        same = entry.recipe == self.recipe and entry.source == hash_of(source)
        return "same" if same else "stale"

    @contextmanager
    def making(self, targets: Sequence[Path], source: Path) -> Iterator[None]:
        """Note that outputs are about to be made, and when the block ends well that they are there.

        When it raises, those that it did not touch are known as they were before: what was never
        made must lay no claim to a file that somebody puts in its place. Of a process that was
        killed the claim stays.

        Raises:
            UserError: as `begin` and `finish`.
        """
        before = {target: (self._entry(target), _marks(target)) for target in targets}
        try:
            for target in targets:
                self.begin(target, source)
            yield
            for target in targets:
                self.finish(target)
        except BaseException:
            with suppress(UserError):  # the first error is what should be heard of
                for target, (entry, marks) in before.items():
                    if _marks(target) == marks:
                        self._put_back(target, entry)
            raise

    def begin(self, target: Path, source: Path) -> None:
        """Note that an output is about to be made.

        Raises:
            UserError: the source cannot be read, or the ledger cannot be written.
        """
        self._note(Entry(self._key(target), hash_of(source), self.recipe))

    def finish(self, target: Path) -> None:
        """Note that an output that was begun is there.

        Raises:
            UserError: it cannot be read, or the ledger cannot be written.
        """
        begun, status = self.entries[self._key(target)], target.stat()
        content, size, changed = hash_of(target), status.st_size, status.st_mtime_ns
        self._note(Entry(begun.output, begun.source, begun.recipe, content, size, changed))

    def _put_back(self, target: Path, entry: Entry | None) -> None:
        if entry != self._entry(target):
            self._note(entry or Entry(self._key(target), "", ""))

    def _entry(self, target: Path) -> Entry | None:
        return self.entries.get(self._key(target))

    def _note(self, entry: Entry) -> None:
        _take_in(self.entries, entry)
        path = self.folder / NAME
        try:
            with path.open("ab") as file:
                file.write(_line(entry).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            problem = f"cannot write {path}: {(error.strerror or 'unknown reason').lower()}"
            raise UserError(problem, "choose another output folder") from error

    def _key(self, target: Path) -> str:
        return target.relative_to(self.folder).as_posix()


def _status(path: Path) -> os.stat_result | None:
    """What the system tells of a file; None where there is none.

    Raises:
        UserError: it tells nothing, since a folder is closed or the name too long.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = f"cannot look at {path}: {(error.strerror or 'unknown reason').lower()}"
        raise UserError(problem, "choose another output folder") from error


def _marks(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is replaced or written to; None where there is none."""
    status = _status(path)
    return status and (status.st_ino, status.st_size, status.st_mtime_ns)


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a closed folder, for one
        return True


def _line(entry: Entry) -> str:
    # A line break before it: a line that a crash cut short must not swallow the next one.
    return "\n" + json.dumps(asdict(entry))


def _read(path: Path) -> dict[str, Entry]:
    """The last entry of each output; whatever is damaged is passed over."""
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return {}
    entries: dict[str, Entry] = {}
    for line in data.splitlines():
        try:
            told = Entry(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if all(isinstance(v, type(getattr(_BLANK, k))) for k, v in asdict(told).items()):
            _take_in(entries, told)
    return entries


def _take_in(entries: dict[str, Entry], entry: Entry) -> None:
    if entry.source:
        entries[entry.output] = entry
    else:
        entries.pop(entry.output, None)


_BLANK = Entry("", "", "")
