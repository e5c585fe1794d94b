"""`bluref deblur`: pictures in, sharper pictures out."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bluref.cli.options import Inputs, Output
from bluref.errors import UserError

if TYPE_CHECKING:
    from bluref.restore.batch import DeblurReport, Existing

TOLD = ("done", "skipped", "failed", "seconds", "peak_memory_bytes", "tiles", "engine", "guard")
"""What `--json` tells of a `DeblurReport`."""

SUMMARY = "Deblur pictures and folders of pictures with a trained network."


@dataclass(frozen=True)
class Options:
    """Safe to interrupt: run it again to go on."""

    inputs: Inputs
    """Pictures (PNG, JPEG, WebP, TIFF, AVIF, HEIC) and folders, which are searched through."""
    model: Path
    """A run folder, a folder with model.safetensors, or a .safetensors file; `identity` changes
    nothing."""
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
    max_pixels: int = 200_000_000
    """Larger pictures are refused before they are decoded."""
    max_bytes: int = 4 << 30
    """Larger files are refused before they are opened."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the processor is made for it."""
    local_pooling: bool = True
    """Take means around each pixel as wide as in training. Switch it off where colours break up."""
    json: bool = False
    """Print one JSON object: done, skipped, failed (path and reason of each), seconds,
    peak_memory_bytes, tiles, engine, guard (path, finding and action of each)."""


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
    from bluref.restore.one_photo import PhotoOptions

    _check(options)
    if str(options.model) == "identity":
        deblurrer = Deblurrer.identity()
    else:
        deblurrer = Deblurrer.from_pretrained(
            options.model, local_pooling=options.local_pooling, precision=options.precision
        )
    console = Console(stderr=True)
    columns = (
        TextColumn("deblurring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("deblurring", total=None)
        report = deblur_files(
            options.inputs,
            options.out,
            deblurrer,
            options=PhotoOptions(options.quality, options.max_pixels, options.max_bytes),
            existing=_existing(options),
            tell=lambda behind, total: progress.update(task, completed=behind, total=total),
        )
    _tell(report, options.out)
    if options.json:
        told = asdict(report)
        sys.stdout.write(json.dumps({name: told[name] for name in TOLD}) + "\n")
    return 1 if report.failed else 0


def _check(options: Options) -> None:
    if options.overwrite and options.skip_existing:
        raise UserError("--overwrite and --skip-existing contradict each other", "choose one")
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise UserError(f"--quality {options.quality} is out of range", "choose 1 to 100")
    for name in ("max_pixels", "max_bytes"):
        if getattr(options, name) < 1:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} {getattr(options, name)} allows nothing", "choose 1 or more")


def _existing(options: Options) -> "Existing":
    return "overwrite" if options.overwrite else "skip" if options.skip_existing else "refuse"


def _tell(report: "DeblurReport", out: Path) -> None:
    lines = [f"{count} {suffix} not read here" for suffix, count in report.passed_over.items()]
    lines += [f"left as it is, of unknown origin: {path}" for path in report.kept]
    lines += [f"failed: {failure.reason}" for failure in report.failed]
    lines.append(
        f"{report.done} deblurred, {report.skipped} already there, {len(report.failed)} failed"
        f" in {report.seconds:.1f} s: {out}"
    )
    for line in lines:  # a file name may hold line breaks and worse
        sys.stderr.write("".join(c if c.isprintable() else "?" for c in line) + "\n")
