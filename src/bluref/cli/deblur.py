"""`bluref deblur`: pictures in, sharper pictures out."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bluref.cli.options import Inputs, Output

SUMMARY = "Deblur pictures and folders of pictures with a trained network."


@dataclass(frozen=True)
class Options:
    """Safe to interrupt: run it again to go on."""

    inputs: Inputs
    """Pictures (PNG, JPEG, WebP, TIFF) and folders, which are searched through."""
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

    deblurrer = Deblurrer.from_pretrained(
        options.model,
        local_pooling=options.local_pooling,
        precision=options.precision,
        engine=options.engine,
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
            overwrite=options.overwrite,
            tell=lambda behind, total: progress.update(task, completed=behind, total=total),
        )
    for failure in report.failed:  # a file name may hold line breaks and worse
        reason = "".join(c if c.isprintable() else "?" for c in failure.reason)
        sys.stderr.write(f"failed: {reason}\n")
    sys.stderr.write(
        f"{report.done} deblurred, {report.skipped} already there, {len(report.failed)} failed"
        f" in {report.seconds:.1f} s: {options.out}\n"
    )
    if options.json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 1 if report.failed else 0
