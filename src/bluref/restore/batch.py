"""Deblurring many pictures: files and folders in, the same tree out."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bluref.errors import UserError
from bluref.media.picture import is_picture, list_pictures, read_picture, write_picture
from bluref.media.video import is_video
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.video import VideoReport

Tell = Callable[[int, int], None]
"""Called with (pictures behind us, pictures in all) at the start and after each picture."""

Film = Callable[[Path, Path], VideoReport]
"""Deblurs one video into another file."""


@dataclass(frozen=True)
class Failure:
    """What could not be deblurred, and why, in one line."""

    path: str
    reason: str


@dataclass(frozen=True)
class DeblurReport:
    """What became of the inputs: pictures done, skipped as already there, failed; wall time."""

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    seconds: float


def deblur_files(
    inputs: Sequence[Path],
    out: Path,
    deblurrer: Deblurrer,
    *,
    overwrite: bool = False,
    tell: Tell = lambda _behind, _total: None,
    film: Film | None = None,
) -> DeblurReport:
    """Deblur pictures and folders of pictures into `out`, in the format of each source.

    A folder is searched through, what is no picture in it is passed over, and its tree is kept
    below `out`; of several inputs, each folder keeps its own name too. One bad file is reported and
    the rest goes on. Outputs appear whole, and those already there are skipped, so work that was
    interrupted goes on when it is started again.

    Args:
        inputs: files and folders.
        out: made where it is missing; when it lies inside an input folder, it is not searched.
        deblurrer: does the work.
        overwrite: do again what is already there.
        tell: hears of progress.
        film: does the work for videos; None for `deblurrer.video` as it is.

    Raises:
        UserError: nothing was given, an output would replace an input or another output, or `out`
            cannot be written. Nothing has been done then.
    """
    start = time.monotonic()
    if not inputs:
        raise UserError("no pictures given", "name pictures, or folders of them")
    jobs, failed = _plan(inputs, out)
    _check_outputs(jobs)
    _check_writable(out)
    done = skipped = 0
    tell(0, len(jobs))
    for behind, (source, target) in enumerate(jobs, start=1):
        if target.exists() and not overwrite:
            skipped += 1
        else:
            reason = _deblur_file(source, target, deblurrer, film or deblurrer.video)
            if reason is None:
                done += 1
            else:
                failed.append(Failure(str(source), reason))
        tell(behind, len(jobs))
    return DeblurReport(done, skipped, tuple(failed), time.monotonic() - start)


def _plan(inputs: Sequence[Path], out: Path) -> tuple[list[tuple[Path, Path]], list[Failure]]:
    """Pairs of source and output, and the inputs that give none."""
    jobs: list[tuple[Path, Path]] = []
    failed = []
    for path in inputs:
        below = out if len(inputs) == 1 else out / path.resolve().name
        found = _jobs_of_folder(path, below, out) if path.is_dir() else _jobs_of_file(path, out)
        if isinstance(found, Failure):
            failed.append(found)
        else:
            jobs += found
    once = {(_identity(source), target): (source, target) for source, target in jobs}
    return list(once.values()), failed


def _jobs_of_folder(folder: Path, below: Path, out: Path) -> list[tuple[Path, Path]] | Failure:
    try:
        pictures = list_pictures(folder, recursive=True)
    except UserError as error:
        return Failure(str(folder), error.problem)
    pictures = [picture for picture in pictures if not _is_in(picture, out, folder)]
    if not pictures:
        return Failure(str(folder), f"no pictures in {folder}")
    return [(picture, below / picture.relative_to(folder)) for picture in pictures]


def _jobs_of_file(path: Path, out: Path) -> list[tuple[Path, Path]] | Failure:
    if not path.exists():
        return Failure(str(path), f"{path} does not exist")
    if not path.is_file() or not (is_picture(path) or is_video(path)):
        return Failure(str(path), f"{path} is not a PNG, JPEG, WebP or TIFF picture, nor a video")
    return [(path, out / path.name)]


def _is_in(picture: Path, out: Path, folder: Path) -> bool:
    """Whether a picture found in `folder` is an output of an earlier run into a folder below it."""
    within = out.resolve()
    return folder.resolve() in within.parents and within in picture.resolve().parents


def _check_outputs(jobs: Sequence[tuple[Path, Path]]) -> None:
    """Refuse to replace an input or the output of another input, whatever links may hide it."""
    sources = {_identity(source): source for source, _ in jobs}
    targets: dict[Path, Path] = {}
    for source, target in jobs:
        if target.exists() and _identity(target) in sources:
            problem = f"the output {target} would replace the input {sources[_identity(target)]}"
            raise UserError(problem, "choose another output folder")
        other = targets.setdefault(target, source)
        if other != source:
            raise UserError(
                f"{other} and {source} would both become {target}",
                "deblur them in two calls with different output folders",
            )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_writable(out: Path) -> None:
    """Find out now, not after the first picture has been computed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise UserError(
            f"cannot write to {out}: {reason}", "choose another output folder"
        ) from error


def _deblur_file(source: Path, target: Path, deblurrer: Deblurrer, film: Film) -> str | None:
    """Deblur one picture or film and return None, or why it could not be done."""
    try:
        if is_video(source):
            film(source, target)
            return None
        write_picture(deblurrer(read_picture(source)), target)
    except UserError as error:
        return error.problem
    except (MemoryError, RuntimeError) as error:
        # torch tells of memory that ran out on a CPU by a plain RuntimeError.
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        return f"{source} is too large for the memory of this machine"
    return None


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
