"""`bluref curate`: from clips to frames with roles."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bluref.cli.options import Inputs, Output
from bluref.errors import one_line
from bluref.frames.curation import CurateConfig

if TYPE_CHECKING:
    from bluref.frames.curation import CurateReport

SUMMARY = "Find which frames of your clips are blurry, and which are sharp references."


@dataclass(frozen=True)
class Options:
    """What `bluref curate` takes."""

    clips: Inputs
    """Videos, pictures, and folders of either, in any mix. Only blurred footage is fine: its
    sharpest moments become references."""

    output: Output
    """The data folder to make or to renew. It gets frames.csv, one line per frame with every figure
    and the role (change any role by hand: training obeys), and pictures to look at. Train on it
    with: bluref train DATA -o RUN. Interrupted, run it again: it goes on."""

    config: CurateConfig = field(default_factory=CurateConfig)
    """What to do."""

    pictures: bool = True
    """Draw a timeline and a contact sheet of each clip into DATA/pictures."""

    json: bool = False
    """Print one JSON object: table, clips (clip, path, kind, shots, frames, sharp, blurry, skip,
    notes), sharp, blurry, skip, failed (path, reason), seconds."""


def run(options: Options) -> int:
    """Curate, draw, tell; 1 if something could not be read."""
    from bluref.frames.curate import curate

    with _progress() as tell:
        report = curate(options.clips, options.output, options.config, tell=tell)
        if options.pictures:
            from bluref.report.curated_pictures import draw_curated

            draw_curated(options.output, tell=tell)
    for failure in report.failed:
        sys.stderr.write(f"left out: {one_line(failure.reason)}\n")
    if options.json:
        counts = {"sharp": report.sharp, "blurry": report.blurry, "skip": report.skip}
        told = {**asdict(report), "table": str(report.table), **counts}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(_summary(report))
    return 1 if report.failed else 0


def _summary(report: "CurateReport") -> str:
    lines = []
    for clip in report.clips:
        cut = f" in {clip.shots} shots" if clip.shots > 1 else ""
        lines.append(
            f"{clip.clip}: {clip.frames} frames{cut}: {clip.sharp} sharp, {clip.blurry} blurry,"
            f" {clip.skip} of no use"
        )
        lines += [f"  {note}" for note in clip.notes]
    lines.append(
        f"{report.table}: {report.sharp} sharp and {report.blurry} blurry frames of"
        f" {len(report.clips)} clips ({report.seconds:.0f} s)"
    )
    return "".join(one_line(line) + "\n" for line in lines)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each clip on stderr with the time left, on a terminal only."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def tell(clip: str, done: int, total: int) -> None:
            if clip not in tasks:
                tasks[clip] = bar.add_task(escape(one_line(clip)), total=total or None)
            bar.update(tasks[clip], completed=done, total=total or None, visible=done != total)

        yield tell
