"""`bluref match`: draw where a reference shows what a target shows."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

SUMMARY = "Match two pictures and draw flow, confidence and the warped reference."


@dataclass(frozen=True)
class Options:
    """What `bluref match` takes."""

    target: tyro.conf.Positional[Path]
    """The picture to explain, blurry or not."""

    reference: tyro.conf.Positional[Path]
    """A sharp picture of the same size that shows the same things."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Where the drawing goes: target, reference, flow; warped, its trusted part, confidence."""

    matcher: str = "compact"
    """Dense matcher: compact, dis, dis-fast, or the folder of a trained one; with +check or
    +homography after it if wished."""

    device: str = "cpu"
    """Where the matcher's network computes, as torch names it: cpu, cuda."""

    json: bool = False
    """Print one JSON object: picture, coverage (confidence of 0.7 or more), median_motion."""


def run(options: Options) -> int:
    """Match, draw, tell."""
    from bluref.errors import UserError
    from bluref.match.named import matcher_named
    from bluref.media.picture import read_picture, write_picture
    from bluref.report.flow_picture import match_pair
    from bluref.weights.device import usable_device

    for picture in (options.target, options.reference):
        if options.out.exists() and picture.exists() and options.out.samefile(picture):
            raise UserError(f"{options.out} is one of the pictures", "name another output")
    matcher = matcher_named(options.matcher, device=usable_device(options.device))
    target, reference = read_picture(options.target), read_picture(options.reference)
    drawn = match_pair(target, reference, matcher)
    write_picture(drawn.picture, options.out)
    if options.json:
        told = {
            "picture": str(options.out),
            "coverage": drawn.coverage,
            "median_motion": drawn.median_motion,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(
            f"{options.out}: {drawn.coverage:.0%} of the target matched with confidence of 0.7 or"
            f" more, median motion there {drawn.median_motion:.1f} px\n"
        )
    return 0
