"""What is to be deblurred, and where each result goes."""

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bluref.errors import UserError
from bluref.media.foreign import foreign_footage
from bluref.media.photos.photo_formats import PHOTO_SUFFIXES, how_stored
from bluref.media.picture import TRUST_MAP, natural_order
from bluref.media.video import is_video, open_container

Kind = Literal["picture", "video"]
"""What can be deblurred."""

# Pictures and films all the same, of which people should hear that they are not read.
_UNREAD = frozenset(
    (".gif", ".bmp", ".jxl", ".jp2", ".psd", ".exr", ".dng", ".cr2", ".cr3", ".nef")
)
_UNREAD |= {".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"}
_UNREAD |= {".vob", ".flv", ".ogv", ".3g2", ".mxf", ".rm", ".asf"}


@dataclass(frozen=True)
class Job:
    """One file to be deblurred into another."""

    kind: Kind
    source: Path
    target: Path

    def outputs(self, *, trust: bool) -> tuple[Path, ...]:
        """The files that it makes: its target, and with `trust` the map of a picture."""
        map_of = (trust_beside(self.target),) if trust and self.kind == "picture" else ()
        return (self.target, *map_of)


@dataclass(frozen=True)
class Failure:
    """What could not be deblurred, and why and what mends it, in one line."""

    path: str
    reason: str

    @classmethod
    def of(cls, path: Path, error: UserError) -> "Failure":
        """The failure that an error with this file is."""
        return cls(str(path), f"{error.problem}; {error.fix}")

    @classmethod
    def of_system(cls, path: Path, error: OSError | ValueError, what: str = "open") -> "Failure":
        """The failure that it is when the system does not let a file be opened."""
        reason = str(getattr(error, "strerror", None) or error).lower()
        return cls(str(path), f"cannot {what} {path}: {reason}; check the path and who may read it")


@dataclass
class Plan:
    """The jobs, the inputs that give none, and how many pictures of which suffix are not read."""

    jobs: list[Job] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def kind_of(path: Path) -> Kind | None:
    """What a file in a folder is, by the end of its name; None for what is to be passed over."""
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return "picture"
    return "video" if is_video(path) else None


def trust_beside(target: Path) -> Path:
    """Where the map of trust of a result goes."""
    return target.with_name(f"{target.name}{TRUST_MAP}")


def plan(inputs: Sequence[Path], out: Path) -> Plan:
    """Find the files to deblur, each once.

    A folder is searched through; its tree is kept below `out`, and of several inputs each folder
    keeps its own name too. In a folder only names count, and hidden files and folders, links to
    folders, maps of trust beside their pictures, and what is no picture are passed over. A file
    that is named itself may have any name.

    Args:
        inputs: files and folders.
        out: where results go; what is there, below an input folder, is not searched.
    """
    found = Plan()
    for path in inputs:
        if _is_folder(path):
            below = out if len(inputs) == 1 else out / path.resolve().name
            _plan_folder(found, path, below, out)
        else:
            _plan_file(found, path, out / path.name)
    once = {(_identity(job.source) or job.source, job.target): job for job in found.jobs}
    found.jobs = list(once.values())
    found.failed = list({failure.path: failure for failure in found.failed}.values())
    return found


def check_outputs(jobs: Sequence[Job], *, trust: bool) -> None:
    """Make sure that no input is replaced, and that each job has outputs of its own.

    Args:
        jobs: all of them.
        trust: whether pictures get maps of trust.

    Raises:
        UserError: an output is an input, whatever links may hide it, or that of another input.
    """
    sources = {_identity(job.source): job.source for job in jobs}
    sources.pop(None, None)
    makers: dict[Path, Path] = {}
    pairs = [(job.source, output) for job in jobs for output in job.outputs(trust=trust)]
    for source, output in pairs:
        replaced = sources.get(_identity(output))
        if replaced is not None:
            problem = f"the output {output} would replace the input {replaced}"
            raise UserError(problem, "choose another output folder")
        other = makers.setdefault(output, source)
        if other != source:
            raise UserError(
                f"{other} and {source} would both become {output}",
                "deblur them in two calls with different output folders",
            )


def _plan_folder(found: Plan, folder: Path, below: Path, out: Path) -> None:
    before = len(found.jobs) + len(found.failed)
    within = Path(os.path.realpath(out))  # `resolve` raises where links form a loop
    skipped = within if folder.resolve() in within.parents else None
    for file in _files_below(folder, skipped, found.failed):
        kind = kind_of(file)
        if kind is not None:
            found.jobs.append(Job(kind, file, below / file.relative_to(folder)))
        elif file.suffix.lower() in _UNREAD:
            found.passed_over[file.suffix.lower()] += 1
    if len(found.jobs) + len(found.failed) == before:
        found.failed.append(Failure(str(folder), f"no pictures or videos in {folder}; name others"))


def _files_below(folder: Path, skipped: Path | None, failed: list[Failure]) -> Iterator[Path]:
    """Files in natural order; `skipped` is not entered, and folders that cannot be listed fail."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        failed.append(Failure.of_system(folder, error, "list"))
        return
    maps = {f"{name}{TRUST_MAP}" for name in names}
    for name in sorted(set(names) - maps, key=natural_order):
        entry = folder / name
        if name.startswith("."):
            continue
        try:
            is_file, is_folder = entry.is_file(), entry.is_dir() and not entry.is_symlink()
        except OSError as error:
            failed.append(Failure.of_system(entry, error))
            continue
        if is_file:
            yield entry
        elif is_folder and entry.resolve() != skipped:
            yield from _files_below(entry, skipped, failed)
        elif entry.is_symlink() and not entry.exists() and kind_of(entry) is not None:
            failed.append(Failure(str(entry), f"{entry} is a link that leads nowhere; mend it"))


def _plan_file(found: Plan, path: Path, target: Path) -> None:
    kind: Kind | None = kind_of(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
            raise UserError(f"{path} is not a file", "give pictures, videos or folders of them")
        if kind is None:
            kind = _kind_inside(path)
    except (OSError, ValueError) as error:
        found.failed.append(Failure.of_system(path, error))
    except UserError as error:
        found.failed.append(Failure.of(path, error))
    else:
        found.jobs.append(Job(kind, path, target))


def _kind_inside(path: Path) -> Kind:
    """What a file holds that is called like neither picture nor film.

    Raises:
        UserError: neither; says what it is, where that is known.
    """
    try:
        how_stored(path)
    except UserError as error:
        with suppress(UserError), open_container(path) as container:
            if container.streams.video:
                return "video"
        raise foreign_footage(path) or error from None
    return "picture"


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a closed folder above it, a name that is too long: told when it is opened
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells files from another, whatever they are called; None for what cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
