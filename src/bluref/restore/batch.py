"""Deblurring many pictures: files and folders in, the same tree out."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

import bluref
from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.fingerprint import fingerprint
from bluref.restore.inputs import Failure, Job, check_outputs, plan
from bluref.restore.ledger import Ledger
from bluref.restore.one_photo import PhotoOptions, PhotoReport, deblur_photo
from bluref.restore.peak_memory import peak_memory_bytes

Tell = Callable[[int, int], None]
"""Called with (pictures behind us, pictures in all) at the start and after each picture."""

Existing = Literal["refuse", "skip", "overwrite"]
"""What becomes of an output that is there and that the ledger does not know: a failure that says
so; left as it is; done anew. Outputs that the ledger knows are skipped where source and recipe are
the same, and done anew where not; `overwrite` does them all anew."""


@dataclass(frozen=True)
class DeblurReport:
    """What became of the inputs.

    done, skipped: how many, the latter as already there.
    failed: the others.
    seconds: of wall time.
    peak_memory_bytes: of this process.
    tiles: pieces that the network was given.
    engine: what ran it.
    guard: what was found and not made worse: path, finding and action of each.
    kept: outputs that were there, are not known to be of these sources and this recipe, and were
        left alone as asked for.
    passed_over: how many files of a suffix are pictures that are not read here.
    """

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    seconds: float
    peak_memory_bytes: int
    tiles: int
    engine: str
    guard: tuple[dict[str, str], ...]
    kept: tuple[str, ...]
    passed_over: dict[str, int]


def deblur_files(
    inputs: Sequence[Path],
    out: Path,
    deblurrer: Deblurrer,
    *,
    options: PhotoOptions = PhotoOptions(),  # noqa: B008 - frozen
    existing: Existing = "refuse",
    tell: Tell = lambda _behind, _total: None,
) -> DeblurReport:
    """Deblur pictures and folders of pictures into `out`, in the format of each source.

    A folder is searched through, what is no picture in it is passed over, and its tree is kept
    below `out`; of several inputs, each folder keeps its own name too. One bad file is reported and
    the rest goes on. Outputs appear whole, and those made from the same content by the same network
    and options are skipped, so work that was interrupted goes on when it is started again.

    Args:
        inputs: files and folders.
        out: made where it is missing; when it lies inside an input folder, it is not searched.
        deblurrer: does the work.
        options: how.
        existing: what to do where an output is there already.
        tell: hears of progress.

    Raises:
        UserError: nothing was given, an output would replace an input or another output, or `out`
            cannot be written. Nothing has been done then.
    """
    start = time.monotonic()
    if not inputs:
        raise UserError("no pictures given", "name pictures, or folders of them")
    found = plan(inputs, out)
    check_outputs(found.jobs)
    _check_writable(out)
    batch = _Batch(deblurrer, options, existing, Ledger(out, _recipe(deblurrer, options)))
    batch.failed += found.failed
    tell(0, len(found.jobs))
    for behind, job in enumerate(found.jobs, start=1):
        batch.take(job)
        tell(behind, len(found.jobs))
    return DeblurReport(
        batch.done,
        batch.skipped,
        tuple(batch.failed),
        time.monotonic() - start,
        peak_memory_bytes(),
        batch.tiles,
        "eager",
        tuple(batch.guard),
        tuple(batch.kept),
        dict(found.passed_over),
    )


def _recipe(deblurrer: Deblurrer, options: PhotoOptions) -> dict[str, object]:
    """All that changes a result beside the picture."""
    how = {"window": deblurrer.window_of, "bf16": deblurrer.bf16, "bluref": bluref.__version__}
    return {"network": fingerprint(deblurrer.model, **how), **options.recipe()}


class _Batch:
    """The work and what has come of it so far."""

    def __init__(
        self, deblurrer: Deblurrer, options: PhotoOptions, existing: Existing, ledger: Ledger
    ) -> None:
        self.deblurrer, self.options, self.existing = deblurrer, options, existing
        self.ledger = ledger
        self.done = self.skipped = self.tiles = 0
        self.failed: list[Failure] = []
        self.guard: list[dict[str, str]] = []
        self.kept: list[str] = []

    def take(self, job: Job) -> None:
        """Do one job, or skip it, or note why it failed."""
        try:
            if not self._is_wanted(job):
                self.skipped += 1
                return
            self.ledger.begin(job.target, job.source)
            report = self._deblur(job)
            self.ledger.finish(job.target)
        except UserError as error:
            self.failed.append(Failure.of(job.source, error))
        except (MemoryError, RuntimeError) as error:
            # torch tells of memory that ran out on a CPU by a plain RuntimeError.
            if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
                raise
            reason = f"{job.source} is too large for the memory of this machine"
            self.failed.append(Failure(str(job.source), reason))
        else:
            self.done += 1
            self.tiles += report.tiles
            self.guard += ({"path": str(job.source), **finding} for finding in report.guard)

    def _is_wanted(self, job: Job) -> bool:
        """Whether the output is to be made.

        Raises:
            UserError: it is there, nobody knows what from, and nothing was said about that.
        """
        if self.existing == "overwrite":
            return True
        state = self.ledger.state(job.target, job.source)
        if state == "unknown" and self.existing == "refuse":
            problem = f"{job.target} is there, and not known to be made from {job.source}"
            raise UserError(problem, "--overwrite makes it anew, --skip-existing leaves it")
        if state == "unknown":
            self.kept.append(str(job.target))
        return state in ("absent", "stale")

    def _deblur(self, job: Job) -> PhotoReport:
        """The one place where a file goes through the network, whatever its kind."""
        return deblur_photo(job.source, job.target, self.deblurrer, self.options)


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


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
