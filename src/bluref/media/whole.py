"""Files that appear whole or not at all.

Every output is written beside its place and renamed into it, so that a crash, a full disk or
Ctrl-C leaves the old file or none, never half of the new one.
"""

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bluref.errors import UserError

_LEFT_AFTER = 24 * 3600  # s without a change from which on nobody works on a temporary file
# Their names, and those of files beside them that differ in the suffix.
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.(partial(\..*)?|values|encoded)", re.DOTALL)
_FIXES = {
    errno.EACCES: "choose a folder you may write to, or change its permissions",
    errno.EDQUOT: "free some of your disk quota, or choose another place",
    errno.EFBIG: "choose a file system that holds larger files",
    errno.EISDIR: "choose a name that is not a folder's",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "free some disk space, or choose another place",
    errno.ENOTDIR: "choose a place whose parent is a folder",
    errno.EEXIST: "choose a place whose parent is a folder",
    errno.EIO: "check the disk, or choose another one",
    errno.EPERM: "choose a folder you may write to, or change its permissions",
    errno.EROFS: "choose a place that is not mounted read-only",
}


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Lend a temporary path beside `path`; rename it into place when the block ends well.

    The temporary file keeps the suffix of `path`, starts with a dot, and is flushed to disk before
    the rename. The block may put further files beside it whose names differ in the suffix, and must
    remove them. Missing parent folders are made. When the block raises, it is removed and `path`
    stays as it was.

    Raises:
        UserError: the disk is full, the place is read-only, or `path` names something that is not
            a file (a folder, a device). Other errors of the block pass through.
    """
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial{path.suffix}")
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} exists and is not a file", "choose another name")
        _make_folder(path.parent)
        try:
            yield partial
            _flush(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        if error.errno not in _FIXES or not _is_about(error, path, partial):
            raise
        raise _cannot_write(path, error) from error


def is_of_the_place(number: int) -> bool:
    """Whether a number of an error tells of the place that is written to: a full disk, and such."""
    return number in _FIXES


def write_text_whole(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8 with `whole_file`; line ends are kept as they are."""
    with whole_file(path) as partial:
        partial.write_bytes(text.encode())


def append_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 at the end of a file of lines; read it with `whole_lines`.

    Raises:
        UserError: the disk is full, or the place is read-only.
    """
    try:
        with path.open("ab") as file:
            file.write(text.encode())
    except OSError as error:
        if error.errno not in _FIXES:
            raise
        raise _cannot_write(path, error) from error


def whole_lines(path: Path) -> str:
    """What a file of lines holds, without a last one that a crash has torn."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    return text[: text.rfind("\n") + 1]


def decimal_bytes(count: int) -> str:
    """So many bytes, as people say it: 820 kB, 3.2 GB."""
    unit, step = next(
        ((unit, step) for unit, step in (("GB", 1e9), ("MB", 1e6)) if count >= step), ("kB", 1e3)
    )
    value = count / step
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def remove_leftovers(folder: Path) -> None:
    """Remove what writers of files in `folder` left there when they were killed, a day ago or more.

    Whatever cannot be looked at or removed stays.
    """
    with suppress(OSError):
        entries = [entry for entry in folder.iterdir() if _TEMPORARY.fullmatch(entry.name)]
        for entry in entries:
            _remove_if_left(entry)


def _cannot_write(path: Path, error: OSError) -> UserError:
    code = error.errno or errno.EIO
    return UserError(f"cannot write {path}: {os.strerror(code).lower()}", _FIXES[code])


def _make_folder(folder: Path) -> None:
    """Make it and its parents.

    Raises:
        UserError: it lies where the system makes no folders, such as below `/proc`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        problem = f"the folder {folder} cannot be made"
        raise UserError(problem, "choose a place you may write to") from error


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > _LEFT_AFTER:
            path.unlink()


def _is_about(error: OSError, path: Path, partial: Path) -> bool:
    """Whether it was this output that failed, and not some input read in the block."""
    if error.filename is None:  # a failed write or flush names no file
        return True
    named = Path(os.fsdecode(error.filename))
    own = partial.name.partition(".partial")[0]
    beside = named.parent == partial.parent and named.name.startswith(own)
    return beside or named in (path, *path.parents)


def _flush(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and journals renames itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
