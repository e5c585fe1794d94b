"""What the outputs in a folder were made from: so that nothing is done twice or taken for granted.

The ledger is a hidden file of lines in the output folder. One line says that an output is begun,
another that it is done, from which content and by which recipe. Lines are only ever appended, each
in one write, so that a crash costs the last one; what cannot be read is passed over. At the start
of a run the file is written anew, whole, with one line for each output that is still there.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bluref.errors import UserError
from bluref.media.whole import write_text_whole

NAME = ".bluref-outputs.jsonl"
"""Of the ledger, in the output folder."""

State = Literal["absent", "same", "stale", "unknown"]
"""Of an output: not there; made from this source by this recipe; made by us from another source or
by another recipe, or not finished; or there for a reason that the ledger does not know."""

_LARGEST = 256 << 20  # bytes; a longer file is no ledger of ours
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One output.

    output: its path below the folder, with slashes.
    source: hash of the content that it was made from.
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
        there = [entry for entry in self.entries.values() if (folder / entry.output).is_file()]
        self.entries = {entry.output: entry for entry in there}
        if there:
            write_text_whole(folder / NAME, "".join(map(_line, there)))

    def state(self, target: Path, source: Path) -> State:
        """How an output stands to its source and to the recipe of this run.

        Raises:
            UserError: one of the files cannot be read.
        """
        if not target.exists():
            return "absent"
        entry = self.entries.get(self._key(target))
        if entry is None:
            return "unknown"
        if not entry.content:  # what is there is what this was to replace, or our own result
            return "stale"
        status = target.stat()
        untouched = (status.st_size, status.st_mtime_ns) == (entry.size, entry.changed)
        if not untouched and content_hash(target) != entry.content:
            return "unknown"
        same = entry.recipe == self.recipe and entry.source == content_hash(source)
        return "same" if same else "stale"

    def begin(self, target: Path, source: Path) -> None:
        """Note that an output is about to be made.

        Raises:
            UserError: the source cannot be read, or the ledger cannot be written.
        """
        self._note(Entry(self._key(target), content_hash(source), self.recipe))

    def finish(self, target: Path) -> None:
        """Note that an output that was begun is there.

        Raises:
            UserError: it cannot be read, or the ledger cannot be written.
        """
        begun, status = self.entries[self._key(target)], target.stat()
        content, size, changed = content_hash(target), status.st_size, status.st_mtime_ns
        self._note(Entry(begun.output, begun.source, begun.recipe, content, size, changed))

    def _note(self, entry: Entry) -> None:
        self.entries[entry.output] = entry
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


def content_hash(path: Path) -> str:
    """Hexadecimal digits that change with any byte of a file.

    Raises:
        UserError: it cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                digest.update(block)
    except OSError as error:
        problem = f"cannot read {path}: {(error.strerror or 'unknown reason').lower()}"
        raise UserError(problem, "check its permissions and the disk") from error
    return digest.hexdigest()


def _line(entry: Entry) -> str:
    # A line break before it: a line that a crash cut short must not swallow the next one.
    return "\n" + json.dumps(asdict(entry))


def _read(path: Path) -> dict[str, Entry]:
    """The last entry of each output; whatever is damaged is passed over."""
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    except OSError:
        return {}
    entries = {}
    for line in data.splitlines():
        try:
            told = Entry(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if all(isinstance(v, type(getattr(_BLANK, k))) for k, v in asdict(told).items()):
            entries[told.output] = told
    return entries


_BLANK = Entry("", "", "")
