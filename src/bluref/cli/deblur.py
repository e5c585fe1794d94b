"""`bluref deblur`: pictures in, sharper pictures out."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bluref.cli.options import Inputs, Output
from bluref.errors import UserError, one_line

_FINDINGS = {
    "broken": "the network gave no numbers",
    "clipped": "the result was blown out",
    "colours": "the result changed its colours",
    "moved": "the result was moved or its brightness changed",
    "already sharp": "sharp already",
    "noise": "strong noise, for which this was not made,",
    "defocus": "blur of a lens out of focus, for which this was not made,",
}
_ACTIONS = {
    "kept": "the result was kept",
    "global pooling": "pooled over the whole tile instead (as --no-local-pooling does)",
    "input": "left as it was there",
}

if TYPE_CHECKING:
    from rich.progress import Progress

    from bluref.restore.work.batch import DeblurReport, Existing
    from bluref.restore.work.inputs import Failure
    from bluref.restore.work.one_photo import PhotoOptions
    from bluref.restore.work.video import VideoOptions, VideoReport

TOLD = (
    "done",
    "skipped",
    "failed",
    "seconds",
    "peak_memory_bytes",
    "tiles",
    "engine",
    "guard",
    "films",
)
"""What `--json` tells of a `DeblurReport`."""

SUMMARY = "Deblur pictures, films and folders of them with a trained network."


@dataclass(frozen=True)
class Options:
    """Safe to interrupt: run it again to go on."""

    inputs: Inputs
    """Pictures (PNG, JPEG, WebP, TIFF, AVIF, HEIC), videos, and folders of them."""
    model: str
    """A run folder, a .safetensors file, an exported .onnx or .xml, a repository (owner/name) on
    the Hugging Face Hub, `general`, which comes with BluRef, or `identity`: change nothing."""
    out: Output = Path("deblurred")
    """Where the results go, under the names and in the formats of the inputs; trees are kept. A
    result that was made from the same content by the same model and options is skipped, and one
    made otherwise is made anew; a hidden file there remembers."""
    skip_existing: bool = False
    """Also leave alone what is there for an unknown reason, which is a failure otherwise."""
    overwrite: bool = False
    """Do everything anew, and replace whatever is there."""
    quality: int | None = None
    """Of JPEG, lossy WebP, AVIF and HEIC, 1 to 100. Without it, as good as each source."""
    strength: float = 1.0
    """From 0, the picture as it came, to 1, the network's result: a mean of both between."""
    guard: bool = True
    """Judge every tile, and take what is safer where the result would harm the picture: it is
    sharp already, its colours break up, it moves, or the network breaks down."""
    trust: bool = False
    """Write NAME.trust.png beside each photograph: white where to believe the result."""
    memory: str | None = None
    """How much this process may hold, like 2GiB; larger pictures are done in tiles. Without it,
    half of what is free, at most 8GiB."""
    max_pixels: int = 200_000_000
    """Larger pictures are refused before they are decoded, and films with larger frames."""
    max_bytes: int | None = None
    """Larger files are refused before they are opened; if not given, photographs of more than 4 GiB
    and films of more than 1 TiB."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the processor is made for it; fp16 is for
    graphics processors."""
    device: str = "cpu"
    """Where the network runs, as torch names it: cpu, cuda, cuda:1, mps."""
    local_pooling: bool = True
    """Take means around each pixel as wide as in training. Switch it off where colours break up."""
    codec: str | None = None
    """Of videos: h264, hevc, av1, ffv1, or an encoder's name. Without it, the source's."""
    crf: int | None = None
    """Quality of videos in the encoder's numbers, lower is better. Without it, by the source's."""
    only_blurry: bool = False
    """Leave frames of a video alone that are sharp beside their neighbours."""
    engine: Literal["auto", "eager", "compile", "onnxruntime", "openvino"] | None = None
    """What runs the network: eager if none is named, but an exported file brings its own; auto
    measures once per machine and model, and remembers."""
    json: bool = False
    """Print one JSON object: done, skipped, failed (path and reason of each), seconds,
    peak_memory_bytes, tiles, engine, guard (path, finding and action of each), films."""


def run(options: Options) -> int:
    """Deblur and report; 1 if some inputs failed."""
    from bluref.restore.deblurrer import Deblurrer
    from bluref.restore.work.batch import deblur_files

    _check(options)
    photographs = _photo_options(options)
    films = _film_options(options)
    deblurrer = Deblurrer.from_pretrained(
        options.model,
        local_pooling=options.local_pooling,
        precision=options.precision,
        device=options.device,
        engine=options.engine,
    )
    with _progress() as progress:
        files = progress.add_task("deblurring", total=None)
        frames = progress.add_task("frames", total=None, visible=False)
        report = deblur_files(
            options.inputs,
            options.out,
            deblurrer,
            options=photographs,
            video=films,
            existing=_existing(options),
            tell=lambda behind, total: progress.update(files, completed=behind, total=total),
            tell_frames=lambda film, behind, total: progress.update(
                frames,
                description=one_line(film.name),
                completed=behind,
                total=total or None,
                visible=behind != total,
            ),
        )
    _tell(report, options.out)
    if options.json:
        told = asdict(report)
        sys.stdout.write(json.dumps({name: told[name] for name in TOLD}) + "\n")
    return 1 if report.failed else 0


def _film_options(options: Options) -> "VideoOptions":
    from bluref.restore.work.video import MAX_BYTES, VideoOptions

    return VideoOptions(
        codec=options.codec,
        crf=options.crf,
        only_blurry=options.only_blurry,
        max_pixels=options.max_pixels,
        max_bytes=options.max_bytes or MAX_BYTES,
    )


def _photo_options(options: Options) -> "PhotoOptions":
    from bluref.media.photos.photo import MAX_BYTES
    from bluref.restore.tiling.memory import parse_bytes
    from bluref.restore.work.one_photo import PhotoOptions

    return PhotoOptions(
        quality=options.quality,
        max_pixels=options.max_pixels,
        max_bytes=options.max_bytes or MAX_BYTES,
        memory=None if options.memory is None else parse_bytes(options.memory),
        strength=options.strength,
        guard=options.guard,
        trust=options.trust,
    )


def _progress() -> "Progress":
    """Files and frames behind us, and the time left; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _check(options: Options) -> None:
    if options.overwrite and options.skip_existing:
        raise UserError("--overwrite and --skip-existing contradict each other", "choose one")
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise UserError(f"--quality {options.quality} is out of range", "choose 1 to 100")
    if not 0 <= options.strength <= 1:
        raise UserError(f"--strength {options.strength} is out of range", "choose 0 to 1")
    if options.crf is not None and options.crf < 0:
        raise UserError(f"--crf {options.crf} is out of range", "choose 0 or more, 0 is the best")
    for flag, limit in (("--max-pixels", options.max_pixels), ("--max-bytes", options.max_bytes)):
        if limit is not None and limit < 1:
            raise UserError(f"{flag} {limit} allows nothing", "choose 1 or more")


def _existing(options: Options) -> "Existing":
    return "overwrite" if options.overwrite else "skip" if options.skip_existing else "refuse"


def _tell(report: "DeblurReport", out: Path) -> None:
    lines = [f"{path}: {line}" for path, film in report.films.items() for line in _of_film(film)]
    lines += [f"{count} {suffix} not read here" for suffix, count in report.passed_over.items()]
    lines += [f"left as it is, of unknown origin: {path}" for path in report.kept]
    lines += [f"{note['path']}: {_of_guard(note)}" for note in report.guard]
    if report.shrunk:
        lines.append(f"memory ran out {report.shrunk} times; smaller tiles took up the work")
    lines += [f"failed: {_named(failure)}" for failure in report.failed]
    lines.append(
        f"{report.done} deblurred, {report.skipped} already there, {len(report.failed)} failed"
        f" in {report.seconds:.1f} s: {out}"
    )
    for line in lines:
        sys.stderr.write(one_line(line) + "\n")


def _of_film(report: "VideoReport") -> Iterator[str]:
    """What a user should know of one film."""
    yield (
        f"{report.frames} frames in {report.seconds:.1f} s, {report.changed} deblurred,"
        f" {report.passed_through} left alone as sharp, written by {report.codec}"
    )
    if report.resumed:
        yield f"{report.resumed} of them were done before"
    if report.corrupt:
        shown = ", ".join(map(str, report.corrupt[:20])) + (", ..." if report.corrupt[20:] else "")
        yield f"{len(report.corrupt)} frames are damaged and were left as they are: {shown}"
    yield from report.notes


def _of_guard(note: Mapping[str, object]) -> str:
    """What the guard found in a picture, and did about it."""
    action = _ACTIONS[str(note["action"])]
    return f"{_FINDINGS[str(note['finding'])]} in {float(str(note['share'])):.0%} of it; {action}"


def _named(failure: "Failure") -> str:
    """Why it failed, with the name of the file where the reason does not have it."""
    known = failure.path in failure.reason
    return failure.reason if known else f"{failure.path}: {failure.reason}"
