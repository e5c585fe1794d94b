"""Deblurring many pictures and films: files and folders in, the same tree out."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import bluref
from bluref.errors import UserError
from bluref.media.whole import remove_leftovers
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.guard import GuardNote
from bluref.restore.tiling.memory import highest, is_out_of_memory
from bluref.restore.tiling.tiles import TileReport
from bluref.restore.work.finish import Finish
from bluref.restore.work.inputs import Failure, Job, Kind, check_outputs, plan, trust_beside
from bluref.restore.work.ledger import Ledger
from bluref.restore.work.one_photo import PhotoOptions, deblur_image, deblur_photo
from bluref.restore.work.video import VideoOptions, VideoReport, deblur_video

Tell = Callable[[int, int], None]
"""Called with (pictures behind us, pictures in all) at the start and after each picture."""

TellFrames = Callable[[Path, int, int], None]
"""Called with (film, frames behind us, frames in all, 0 where unknown)."""

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
    guard: what was found in pictures: path, finding, action, in how many tiles (of a film: frames)
        and in what share of the picture (of a film: of its frames' pixels).
    shrunk: how often memory ran out and tiles were made smaller.
    kept: outputs that were there, are not known to be of these sources and this recipe, and were
        left alone as asked for.
    passed_over: how many files of a suffix are pictures that are not read here.
    films: what became of each video, by its path.
    """

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    seconds: float
    peak_memory_bytes: int
    tiles: int
    engine: str
    guard: tuple[dict[str, object], ...]
    kept: tuple[str, ...]
    shrunk: int
    passed_over: dict[str, int]
    films: dict[str, VideoReport]


def deblur_files(  # noqa: PLR0913 - what is wished for, and who wants to hear
    inputs: Sequence[Path],
    out: Path,
    deblurrer: Deblurrer,
    *,
    options: PhotoOptions = PhotoOptions(),  # noqa: B008 - frozen
    video: VideoOptions = VideoOptions(),  # noqa: B008 - frozen
    finish: Finish | None = None,
    existing: Existing = "refuse",
    tell: Tell = lambda _behind, _total: None,
    tell_frames: TellFrames = lambda _source, _behind, _total: None,
) -> DeblurReport:
    """Deblur pictures, videos and folders of them into `out`, in the format of each source.

    A folder is searched through, what is no picture in it is passed over, and its tree is kept
    below `out`; of several inputs, each folder keeps its own name too. One bad file is reported and
    the rest goes on. Outputs appear whole, and those made from the same content by the same network
    and options are skipped, so work that was interrupted goes on when it is started again.

    Args:
        inputs: files and folders.
        out: made where it is missing; when it lies inside an input folder, it is not searched.
        deblurrer: does the work.
        options: how photographs are done.
        video: how films are done.
        finish: has the last word on pictures and the frames of films.
        existing: what to do where an output is there already.
        tell: hears of progress.
        tell_frames: hears of progress within a film: its path, frames behind us, frames in all.

    Raises:
        UserError: nothing was given, an output would replace an input or another output, or `out`
            cannot be written. Nothing has been done then.
    """
    start = time.monotonic()
    if not inputs:
        raise UserError("no pictures given", "name pictures, or folders of them")
    found = plan(inputs, out)
    check_outputs(found.jobs, trust=options.trust)
    _check_writable(out)
    for folder in {out, *(job.target.parent for job in found.jobs)}:
        remove_leftovers(folder)
    ledgers: dict[Kind, Ledger] = {
        "picture": Ledger(out, _recipe(deblurrer, options.recipe() | _last_word(finish))),
        "video": Ledger(
            out,
            _recipe(deblurrer, video.recipe() | _of_frames(options) | _last_word(finish)),
        ),
    }
    batch = _Batch(deblurrer, options, video, finish, existing, ledgers, tell_frames)
    batch.failed += found.failed
    tell(0, len(found.jobs))
    for behind, job in enumerate(found.jobs, start=1):
        batch.take(job)
        tell(behind, len(found.jobs))
    return batch.report(time.monotonic() - start, dict(found.passed_over))


def _recipe(deblurrer: Deblurrer, options: Mapping[str, object]) -> dict[str, object]:
    """All that changes a result beside the picture or film."""
    return {"bluref": bluref.__version__, "network": deblurrer.fingerprint, **options}


def _of_frames(options: PhotoOptions) -> dict[str, object]:
    """What changes the frames of films, of the options for photographs."""
    return {"strength": options.strength, "guard": options.guard}


def _last_word(finish: Finish | None) -> dict[str, object]:
    return {"finish": finish.identity} if finish else {}


@dataclass
class _Batch:
    """The work and what has come of it so far."""

    deblurrer: Deblurrer
    options: PhotoOptions
    video: VideoOptions
    finish: Finish | None
    existing: Existing
    ledgers: Mapping[Kind, Ledger]
    tell_frames: TellFrames
    done: int = 0
    skipped: int = 0
    tiles: int = 0
    failed: list[Failure] = field(default_factory=list)
    shrunk: int = 0
    guard: list[dict[str, object]] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    films: dict[str, VideoReport] = field(default_factory=dict)

    def take(self, job: Job) -> None:
        """Do one job, or skip it, or note why it failed."""
        try:
            outputs = self._wanted(job)
            if not outputs:
                self.skipped += 1
                return
            with self.ledgers[job.kind].making(outputs, job.source):
                report = self._deblur(job, outputs)
        except UserError as error:
            self.failed.append(Failure.of(job.source, error))
        except (MemoryError, RuntimeError) as error:
            # torch tells of memory that ran out on a CPU by a plain RuntimeError.
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            reason = f"{job.source} is too large for the memory of this machine"
            mend = "allow less with --memory, or take a smaller model"
            self.failed.append(Failure(str(job.source), f"{reason}; {mend}"))
        else:
            self.done += 1
            self.tiles += report.tiles
            self.guard += ({"path": str(job.source), **asdict(note)} for note in report.guard)
            self.shrunk += report.shrunk

    def report(self, seconds: float, passed_over: dict[str, int]) -> DeblurReport:
        """What has come of all."""
        return DeblurReport(
            done=self.done,
            skipped=self.skipped,
            failed=tuple(self.failed),
            seconds=seconds,
            peak_memory_bytes=highest(),
            tiles=self.tiles,
            engine=self.deblurrer.engine,
            guard=tuple(self.guard),
            kept=tuple(self.kept),
            shrunk=self.shrunk,
            passed_over=passed_over,
            films=self.films,
        )

    def _wanted(self, job: Job) -> tuple[Path, ...]:
        """The outputs that are to be made: none, the target, or that and its map of trust.

        Raises:
            UserError: one is there, nobody knows what from, and nothing was said about that.
        """
        outputs = job.outputs(trust=self.options.trust)
        if self.existing == "overwrite":
            return outputs
        ledger = self.ledgers[job.kind]
        states = {output: ledger.state(output, job.source) for output in outputs}
        foreign = [output for output, state in states.items() if state == "unknown"]
        if foreign and self.existing == "refuse":
            problem = f"{foreign[0]} is there, and not known to be made from {job.source}"
            raise UserError(problem, "--overwrite makes it anew, --skip-existing leaves it")
        self.kept += map(str, foreign)
        if job.target in foreign or all(states[o] == "same" for o in outputs if o not in foreign):
            return ()
        return tuple(output for output in outputs if output not in foreign)

    def _deblur(self, job: Job, outputs: Sequence[Path]) -> TileReport:
        """The one place where a file goes through the network, whatever its kind."""
        if job.kind == "picture":
            options = replace(self.options, trust=trust_beside(job.target) in outputs)
            return deblur_photo(job.source, job.target, self.deblurrer, options, self.finish)
        frames = _Frames()
        film = deblur_video(
            job.source,
            job.target,
            partial(
                deblur_image,
                deblurrer=self.deblurrer,
                memory=self.options.memory,
                options=self.options.of_tiles(),
                hear=frames.hear,
            ),
            identity=f"{self.deblurrer.fingerprint} {_of_frames(self.options)}",
            options=self.video,
            finish=self.finish,
            heard=frames.drained,
            tell=partial(self.tell_frames, job.source),
        )
        if self.options.trust:
            note = "maps of trust are written of photographs only"
            film = replace(film, notes=(*film.notes, note))
        self.films[str(job.source)] = film
        return TileReport(frames.tiles, 0, 0, frames.shrunk, film.guard)


@dataclass
class _Frames:
    """What is heard of the frames of a film, one after the other."""

    notes: list[GuardNote] = field(default_factory=list)
    tiles: int = 0
    shrunk: int = 0

    def hear(self, report: TileReport) -> None:
        """One more frame was deblurred."""
        self.notes += report.guard
        self.tiles += report.tiles
        self.shrunk += report.shrunk

    def drained(self) -> tuple[GuardNote, ...]:
        """The notes so far, once."""
        told = tuple(self.notes)
        self.notes.clear()
        return told


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
