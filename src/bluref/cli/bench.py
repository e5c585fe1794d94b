"""`bluref bench`: what each engine costs here."""

import json
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bluref.cli.options import MaybeOutput
from bluref.errors import UserError

SUMMARY = "Measure a model with every engine: seconds, memory, closeness to fp32."


@dataclass(frozen=True)
class Options:
    """Engines take turns, each in a process of its own; all ratios are to plain torch in fp32."""

    model: str
    """As for `bluref deblur`, or small, light, nafnet-w32, nafnet-w64: with random weights."""
    sizes: tuple[str, ...] = ("640x360", "1280x720")
    """Pictures to deblur, WIDTHxHEIGHT."""
    engines: tuple[Literal["eager", "compile", "onnxruntime", "openvino", "cuda"], ...] = (
        "eager",
        "onnxruntime",
        "openvino",
    )
    """Engines to measure; compile takes minutes to start, cuda is torch on a graphics processor."""
    precisions: tuple[Literal["fp32", "bf16", "fp16"], ...] = ()
    """Number formats; if none is named fp32, and bf16 where the processor is made for it, and on
    cuda all three."""
    rounds: int = 5
    """Pictures per engine, of which the median counts."""
    picture: Path | None = None
    """A photograph to deblur, repeated to fill the size; smooth noise if none is given."""
    output: MaybeOutput = None
    """Draw the table into this file, a PNG."""
    json: bool = False
    """Print one JSON object: rows, left_out (engine, precision, reason)."""


def run(options: Options) -> int:
    """Measure and report."""
    sizes = [_size(text) for text in options.sizes]
    if options.rounds < 1:
        raise UserError(f"--rounds must be at least 1, got {options.rounds}", "give 5")
    if options.output is not None and options.output.suffix.lower() != ".png":
        raise UserError(f"{options.output} is no name for a PNG", "let it end in .png")
    from bluref.report.bench_picture import bench_table, draw_bench
    from bluref.restore.engines.bench import bench, combinations

    columns, unable = combinations(options.engines, options.precisions)
    rows, failed = bench(
        options.model,
        sizes,
        columns,
        rounds=options.rounds,
        picture=options.picture,
        tell=lambda line: print(line, file=sys.stderr),
    )
    for left in (*unable, *failed):
        sys.stderr.write(f"left out: {left.engine} {left.precision}: {left.reason}\n")
    if options.json:
        told = {
            "rows": [asdict(row) for row in rows],
            "left_out": [asdict(left) for left in (*unable, *failed)],
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(bench_table(rows) + "\n")
    if options.output is not None:
        draw_bench(rows, options.output)
    return 0


def _size(text: str) -> tuple[int, int]:
    """Height and width."""
    from bluref.media.picture import MAX_PIXELS

    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text, re.ASCII)
    if found is None:
        raise UserError(f"{text!r} is no size of a picture", "give WIDTHxHEIGHT, such as 1280x720")
    height, width = int(found[2]), int(found[1])
    if height * width > MAX_PIXELS:
        raise UserError(f"{text} is too large to measure", f"give at most {MAX_PIXELS} pixels")
    return height, width
