"""`bluref simulate`: blurry footage with its truth, from sharp footage or photographs."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from bluref.degrade.simulation import SimulateConfig, SimulateReport

if TYPE_CHECKING:
    from torch import Tensor

SUMMARY = "Make blurry footage with ground truth from sharp footage or photographs."


@dataclass(frozen=True)
class Options:
    """What `bluref simulate` takes."""

    source: tyro.conf.Positional[Path]
    """A video, or a folder of videos, of numbered frames, or of photographs."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The data folder to make: {train,test}/SCENE/{blur,sharp}/NNNNNN.png. Must be new or empty."""

    config: SimulateConfig = field(default_factory=SimulateConfig)
    """What to make."""

    json: bool = False
    """Print one JSON object: out, kind, clips, frames, failed (path, reason), seconds."""


def run(options: Options) -> int:
    """Simulate, tell; 1 if something in the source was left out."""
    from bluref.degrade.simulate import simulate

    with _progress() as progress:
        report = simulate(options.source, options.out, options.config, _flow, progress)
    for failure in report.failed:
        sys.stderr.write(f"left out {failure.path}: {failure.reason}\n")
    if options.json:
        told = {"out": str(options.out), **asdict(report), "frames": report.frames}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(_summary(options.out, report))
    return 1 if report.failed else 0


def _summary(out: Path, report: SimulateReport) -> str:
    tests = sum(clip.split == "test" for clip in report.clips)
    left_out = f", {len(report.failed)} left out" if report.failed else ""
    return (
        f"{out}: {report.frames} frames in {len(report.clips)} clips of {report.kind},"
        f" {tests} of them for testing{left_out} ({report.seconds:.0f} s)\n"
    )


def _flow(target: "Tensor", reference: "Tensor") -> "Tensor":
    """Motion between frames; imported when asked for, as photographs need no OpenCV."""
    from bluref.match.dis import dis_flow

    return dis_flow(target, reference)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with the time left, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("frames", total=None)
        yield lambda done, expected: bar.update(task, completed=done, total=expected or None)
