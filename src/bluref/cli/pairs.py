"""`bluref pairs`: from a run to a data set of pairs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bluref.cli.options import Input, Output
from bluref.cli.training import pointing_on_itself
from bluref.errors import as_command
from bluref.media.whole import decimal_bytes

if TYPE_CHECKING:
    from bluref.train.make_pairs import PairsReport

SUMMARY = "Make a data set of blurry and sharp pairs out of a trained run, for any trainer."


@dataclass(frozen=True)
class Options:
    """Safe to interrupt: run it again to go on. PAIRS/README.md says what the files are."""

    run: Input
    """The run folder of `bluref train`."""

    output: Output
    """PAIRS, the folder to make: blur/, sharp/ and trust/ with equal names, pairs.csv with a row of
    figures for each, and what Hugging Face `datasets` and FiftyOne need to open it."""

    keep: float = 1.0
    """Share of the pairs to keep: the best ones, by the PSNR that they should have."""

    shards: bool = False
    """Also write shards/pairs-NNNNNN.tar for WebDataset, as large as the pictures again."""

    validation: Path | None = None
    """Pictures that networks will be judged by. Pairs that hold one of them are left out; so are
    those that hold one of the test/ part of the run's own footage."""

    data: Path | None = None
    """Where the footage of the run lies now, if it was moved."""

    device: str = "cpu"
    """Where networks compute, as torch names it: cpu, cuda."""

    json: bool = False
    """Print one JSON object: pairs, coverage, expected_psnr, bytes, out, made, worse, leaked, leaks
    (pair, frame, seen, same), seconds."""


def run(options: Options) -> int:
    """Make the pairs and tell what they are worth."""
    from bluref.report.watch import Watch
    from bluref.train.make_pairs import PairsConfig, make_pairs

    config = PairsConfig(options.keep, options.shards, options.validation)
    with pointing_on_itself(), Watch() as watch:
        report = make_pairs(
            options.run,
            options.output,
            config,
            data=options.data,
            observer=watch,
            device=options.device,
        )
    if options.json:
        sys.stdout.write(json.dumps(_told(report)) + "\n")
    else:
        sys.stderr.write(_summary(report))
    return 0


def _told(report: "PairsReport") -> dict[str, object]:
    return {
        "pairs": report.pairs,
        "coverage": round(report.coverage, 4),
        "expected_psnr": round(report.expected_psnr, 3),
        "bytes": report.bytes,
        "out": str(report.out),
        "made": report.made,
        "worse": report.worse,
        "leaked": report.leaked,
        "leaks": [
            {"pair": k.blurry.key, "frame": k.frame.key, "seen": str(k.seen), "same": k.same}
            for k in report.leaks
        ],
        "seconds": round(report.seconds, 2),
    }


def _summary(report: "PairsReport") -> str:
    lines = []
    if report.leaked:
        lines.append(f"{report.leaked} pairs left out: validation shows one of their pictures")
    if near := len({leak.blurry for leak in report.leaks if not leak.same}):
        lines.append(
            f"{near} pairs hold a picture that is nearly one of validation; --json names them"
        )
    if report.worse:
        lines.append(f"{report.worse} pairs not kept, since others should be better")
    lines.append(
        f"{report.out}: {report.pairs} pairs, {report.made} of them new,"
        f" {decimal_bytes(report.bytes)} ({report.seconds:.0f} s)"
    )
    lines.append(
        f"references cover {report.coverage:.0%} of a frame,"
        f" expected PSNR {report.expected_psnr:.1f} dB"
    )
    train = as_command(["bluref", "train", report.out, "--pairs", "-o", "RUN"])
    lines.append(f"learn from them: {train} --backbone light")
    return "".join(line + "\n" for line in lines)
