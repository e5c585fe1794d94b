"""`bluref deblur`: pictures and films in, sharper ones out."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bluref.cli.options import Inputs, Output

if TYPE_CHECKING:
    from bluref.restore.video import VideoReport

SUMMARY = "Deblur pictures and folders of pictures with a trained network."


@dataclass(frozen=True)
class Options:
    """Safe to interrupt: run it again to go on."""

    inputs: Inputs
    """Pictures (PNG, JPEG, WebP, TIFF), videos, and folders, which are searched for pictures."""
    model: str
    """A run folder, a .safetensors file, an exported .onnx or .xml, a name, a repository."""
    out: Output = Path("deblurred")
    """Where the results go, under the names and in the formats of the inputs; trees are kept."""
    overwrite: bool = False
    """Do again what is already there instead of skipping it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the processor is made for it."""
    local_pooling: bool = True
    """Take means around each pixel as wide as in training. Switch it off where colours break up."""
    codec: str | None = None
    """Of videos: h264, hevc, av1, ffv1, or an encoder's name. Without it, the source's."""
    crf: int | None = None
    """Quality of videos in the encoder's numbers, lower is better. Without it, by the source's."""
    only_blurry: bool = False
    """Leave frames of a video alone that are sharp beside their neighbours."""
    engine: Literal["auto", "eager", "compile", "onnxruntime", "openvino"] = "eager"
    """What runs the network; auto measures once per machine and model, and remembers."""
    json: bool = False
    """Print one JSON object: done, skipped, failed (path and reason of each), seconds."""


def run(options: Options) -> int:
    """Deblur and report; 1 if some inputs failed."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from bluref.restore.batch import deblur_files
    from bluref.restore.deblurrer import Deblurrer
    from bluref.restore.heap import keep_freed_memory
    from bluref.restore.video import VideoOptions

    keep_freed_memory()
    deblurrer = Deblurrer.from_pretrained(
        options.model,
        local_pooling=options.local_pooling,
        precision=options.precision,
        engine=options.engine,
    )
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("deblurring", total=None)
        frames = progress.add_task("frames", total=None, visible=False)

        def film(source: Path, target: Path) -> "VideoReport":
            told = deblurrer.video(
                source,
                target,
                options=VideoOptions(options.codec, options.crf, options.only_blurry),
                tell=lambda behind, total: progress.update(
                    frames, completed=behind, total=total or None, visible=True
                ),
            )
            progress.update(frames, visible=False)
            _tell_of_film(source, told)
            return told

        report = deblur_files(
            options.inputs,
            options.out,
            deblurrer,
            overwrite=options.overwrite,
            tell=lambda behind, total: progress.update(task, completed=behind, total=total),
            film=film,
        )
    for failure in report.failed:
        sys.stderr.write(f"failed: {_one_line(failure.reason)}\n")
    sys.stderr.write(
        f"{report.done} deblurred, {report.skipped} already there, {len(report.failed)} failed"
        f" in {report.seconds:.1f} s: {options.out}\n"
    )
    if options.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 1 if report.failed else 0


def _tell_of_film(source: Path, report: "VideoReport") -> None:
    """What a user should know of one film, on stderr."""
    lines = [
        f"{report.frames} frames in {report.seconds:.1f} s, {report.changed} deblurred"
        f", {report.passed_through} left alone as sharp, written by {report.codec}"
    ]
    if report.resumed:
        lines.append(f"{report.resumed} of them were done before")
    if report.corrupt:
        shown = ", ".join(map(str, report.corrupt[:20])) + (", ..." if report.corrupt[20:] else "")
        lines.append(f"{len(report.corrupt)} frames are damaged and were left as they are: {shown}")
    for line in (*lines, *report.notes):
        sys.stderr.write(_one_line(f"{source}: {line}") + "\n")


def _one_line(text: str) -> str:
    """A file name may hold line breaks and worse."""
    return "".join(c if c.isprintable() else "?" for c in text)
