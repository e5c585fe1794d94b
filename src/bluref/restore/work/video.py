"""Deblurring films: one in, the same one out with sharper pictures, and nothing else changed.

Frames are read, deblurred and encoded at once, in segments that are whole files. Interrupted at any
time, it goes on after the last of them, and the end is the same as without an interruption.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path

import av
import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.sharpness import WINDOW, image_sharpness
from bluref.media.films.container import container_for
from bluref.media.films.encoders import SEGMENT, Plan, plan_encoding
from bluref.media.films.planes import change, to_image
from bluref.media.films.recording import Recording, Shown, open_recording
from bluref.media.films.remux import write_film
from bluref.media.films.segment import Timed, write_segment
from bluref.media.overlap import read_ahead, write_behind
from bluref.media.picture import MAX_PIXELS
from bluref.media.upright import turn_of
from bluref.restore.fingerprint import hash_of
from bluref.restore.tiling.guard import GuardNote, summed
from bluref.restore.work.finish import Finish
from bluref.restore.work.sharp_frames import with_sharpness
from bluref.restore.work.workplace import Workplace, open_workplace

Apply = Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, "1 3 h w"]]
"""Makes an image sharper: RGB in [0, 1], upright, in and out."""

Heard = Callable[[], Sequence[GuardNote]]
"""Gives what the guard found in the image that `Apply` was given last."""

Tell = Callable[[int, int], None]
"""Called with (frames behind us, frames in all, 0 where unknown), at the start and after each."""

MAX_BYTES = 1 << 40
"""Largest film that is opened unless told otherwise: it is streamed, so memory does not grow."""

CHANGED, SHARP, CORRUPT = "changed", "sharp", "corrupt"


@dataclass(frozen=True)
class VideoOptions:
    """What may be wished for a film.

    Attributes:
        codec: a codec (`h264`) or an encoder (`libx264`); None for the source's.
        crf: quality in the encoder's numbers, lower is better; None to follow the source's.
        only_blurry: leave frames alone that are sharp beside their neighbours.
        max_pixels: larger frames are refused.
        max_bytes: larger files are refused before they are opened.
    """

    codec: str | None = None
    crf: int | None = None
    only_blurry: bool = False
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES

    def recipe(self) -> dict[str, object]:
        """What of this changes a result."""
        told = asdict(self)
        return {name: told[name] for name in ("codec", "crf", "only_blurry")}


@dataclass(frozen=True)
class VideoReport:
    """What became of a film.

    Attributes:
        frames: in the source, and in the result.
        changed: frames that went through the network.
        passed_through: frames that were left alone, being sharp.
        corrupt: indices of frames that were damaged in the source and are as its decoder gave them,
            or as the frame before where it gave none.
        resumed: frames that an earlier, interrupted call had done.
        seconds: of this call.
        codec: name of the encoder.
        notes: what could not be kept, or was found amiss, one line each.
        guard: what was found in its pictures, by this call and those that it went on from: in how
            many frames, and in what share of the pixels of all.
    """

    frames: int
    changed: int
    passed_through: int
    corrupt: tuple[int, ...]
    resumed: int
    seconds: float
    codec: str
    notes: tuple[str, ...]
    guard: tuple[GuardNote, ...] = ()


def deblur_video(  # noqa: PLR0913 - what does the work, what is wished for, who wants to hear
    path: Path | str,
    target: Path | str,
    apply: Apply,
    *,
    identity: str,
    options: VideoOptions | None = None,
    finish: Finish | None = None,
    heard: Heard = lambda: (),
    tell: Tell = lambda _behind, _total: None,
) -> VideoReport:
    """Deblur a film, or go on where an earlier call with the same arguments was interrupted.

    Every frame comes out, at its time, in the source's pixel format and colours; sound, subtitles,
    chapters and tags are copied. All frames are encoded anew, also those that are left alone.
    Memory does not depend on the length: what `apply` takes, about eight images in float32, and
    two seconds of frames for `only_blurry`. On disk the pictures need their place twice at the end.

    Args:
        path: the film.
        target: the file to write; in the source's container where its suffix is the source's.
        apply: deblurs one image; what it gives must depend on the image alone.
        identity: changes whenever `apply` would give something else; work that was begun with
            another one is begun anew.
        options: wishes for the film.
        finish: has the last word on each deblurred frame.
        heard: asked after each image that `apply` deblurred; the frame keeps what it gives.
        tell: hears of progress.

    Raises:
        UserError: the source is no film, `target` is the source or cannot be written, another
            process writes it, or no encoder fits.
    """
    start = time.monotonic()
    path, target, options = Path(path), Path(target), options or VideoOptions()
    _refuse_larger(path, options.max_bytes)
    with open_recording(path, max_pixels=options.max_pixels) as recording:
        if target.exists() and target.samefile(path):
            raise UserError(f"{target} is the film itself", "choose another output")
        plan, notes = _plan(recording, target, options)
        total = recording.about
    begun_with = {
        "source": hash_of(path),
        "model": identity,
        "finish": finish and finish.identity,
        "options": options.recipe(),
        **_written_by(plan),
    }
    with open_workplace(target, begun_with) as workplace:
        if workplace.anew:
            notes.append(f"begun anew, since this is not as it was: {workplace.anew}")
        progress = _Progress(sum(len(m.times) for m in workplace.memories()), total, tell)
        resumed, work = progress.behind, _work(apply, finish, heard)
        if workplace.ended() is None:
            _make_segments(path, plan, options, workplace, work, progress)
        notes += (workplace.ended() or {}).get("notes", [])
        report = _report(workplace, resumed, plan)
        notes += write_film(target, path, plan, workplace.segments())
        workplace.remove()
    return replace(report, seconds=time.monotonic() - start, notes=tuple(notes))


def _written_by(plan: Plan) -> dict[str, object]:
    """What a segment depends on beside pictures: all of it has to be of one encoder."""
    return {"encoder": asdict(plan), "library": [av.__version__, torch.__version__]}


def _refuse_larger(path: Path, limit: int) -> None:
    """Refuse a file by its size; what is not there is refused where it is opened."""
    size = path.stat().st_size if path.is_file() else 0
    if size > limit:
        problem = f"{path} is larger than {limit:,} bytes"
        raise UserError(problem, "raise the limit with --max-bytes")


@dataclass
class _Progress:
    behind: int
    total: int
    tell: Tell

    def step(self) -> None:
        self.behind += 1
        self.tell(self.behind, max(self.total, self.behind) if self.total else 0)


@dataclass(frozen=True)
class _Job:
    """A frame, and its image before or after the network; None where it is left alone."""

    shown: Shown
    fate: str
    image: Float[Tensor, "1 3 h w"] | None
    found: Sequence[GuardNote] = ()


def _plan(recording: Recording, target: Path, options: VideoOptions) -> tuple[Plan, list[str]]:
    container = container_for(recording.container, recording.path, target)
    frames = recording.frames()
    first = next(frames)
    # One that stands in for a lost frame does not know how the film is turned, nor its display.
    whole = (shown for shown in chain([first], frames) if not shown.corrupt)
    typical = next(whole, first)
    frames.close()
    return plan_encoding(recording, typical, container, codec=options.codec, crf=options.crf)


def _make_segments(
    path: Path,
    plan: Plan,
    options: VideoOptions,
    workplace: Workplace,
    deblur: Callable[[_Job], _Job],
    progress: _Progress,
) -> None:
    """All segments that are not there yet: read, deblurred and encoded in three threads."""

    def encode(jobs: Iterator[_Job]) -> None:
        for number, job in enumerate(jobs, start=len(workplace.segments())):
            rest = islice(jobs, SEGMENT - 1)
            write_segment(workplace.segment(number), plan, map(_timed, chain([job], rest)))

    with open_recording(path, max_pixels=options.max_pixels) as recording:
        jobs = _jobs(recording, progress.behind, only_blurry=options.only_blurry)
        progress.tell(progress.behind, progress.total)
        with write_behind(encode, 1) as give, read_ahead(jobs, 1) as waiting:
            for job in waiting:
                give(deblur(job))
                progress.step()
        workplace.end({"notes": recording.notes})


def _work(apply: Apply, finish: Finish | None, heard: Heard) -> Callable[[_Job], _Job]:
    def deblur(job: _Job) -> _Job:
        if job.image is None:
            return job
        result, found = apply(job.image), heard()
        if finish is not None and finish.knows(job.shown.index):
            result = finish(job.shown.index, job.image, result)
        return replace(job, image=result, found=found)

    return deblur


def _jobs(recording: Recording, first: int, *, only_blurry: bool) -> Generator[_Job, None, None]:
    """The frames from `first` on.

    Those before it are decoded too, or a frame might differ from what it is without interruption.
    """
    needed = first - WINDOW if only_blurry else first
    frames = (shown for shown in recording.frames() if shown.index >= needed)
    judged = with_sharpness(frames, _sharpness) if only_blurry else ((f, False) for f in frames)
    for shown, is_sharp in judged:
        if shown.index < first:
            continue
        fate = CORRUPT if shown.corrupt else SHARP if is_sharp else CHANGED
        image = None
        if fate == CHANGED:
            image = turn_of(shown.frame).upright(to_image(shown.frame))
        yield _Job(shown, fate, image)


def _sharpness(shown: Shown) -> float:
    return image_sharpness(to_image(shown.frame))


def _timed(job: _Job) -> Timed:
    shown = job.shown
    if job.image is not None:
        change(shown.frame, turn_of(shown.frame).stored(job.image))
    found = [asdict(note) for note in job.found]
    return Timed(shown.frame, shown.pts, shown.duration, job.fate, found)


def _report(workplace: Workplace, resumed: int, plan: Plan) -> VideoReport:
    """What the segments remember, without time and notes."""
    fates: Counter[str] = Counter()
    corrupt: list[int] = []
    found: list[GuardNote] = []
    for memory in workplace.memories():
        begin = sum(fates.values())
        fates.update(memory.fates)
        corrupt += (begin + i for i, fate in enumerate(memory.fates) if fate == CORRUPT)
        found += (GuardNote(**note) for told in memory.told for note in told)
    return VideoReport(
        frames=sum(fates.values()),
        changed=fates[CHANGED],
        passed_through=fates[SHARP],
        corrupt=tuple(corrupt),
        resumed=resumed,
        seconds=0.0,
        codec=plan.encoder,
        notes=(),
        guard=summed(found, sum(fates.values())),
    )
