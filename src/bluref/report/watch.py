"""Watching a run: contact sheets and curves into the run folder, progress to the terminal."""

import math
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bluref.match.pairs import Pairs
from bluref.media.picture import write_picture
from bluref.report.contact_sheet import contact_sheet
from bluref.report.curves import draw_curves
from bluref.report.pair_sheet import pair_sheet
from bluref.train.observe import Observer, Snapshot


class Watch(Observer):
    """Draws `sheets/step-NNNNNN.jpg` and `curves.png` into the run folder; shows time left.

    Args:
        console: where progress is shown; standard error, so that stdout stays for machines.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=not self.console.is_terminal,
        )
        self.folder: Path | None = None
        self._tasks: dict[str, TaskID] = {}
        self._note = ""

    def __enter__(self) -> "Watch":
        """Start showing progress."""
        self.progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop showing progress."""
        self.progress.stop()

    def on_start(self, folder: Path, step: int, steps: int) -> None:
        """Remember the run folder."""
        self.folder = folder
        self.show("training", step, steps)

    def on_check(self, what: str, done: int, total: int) -> None:
        """Show how far the check is."""
        self.show(f"checking: {what}", done, total)

    def on_prepare(self, done: int, total: int) -> None:
        """Show how many frames are decoded."""
        self.show("decoding frames", done, total)

    def on_references(self, done: int, total: int) -> None:
        """Show for how many frames references are chosen."""
        self.show("choosing references", done, total)

    def on_motion(self, done: int, total: int) -> None:
        """Show of how many frames the motion is known."""
        self.show("following motion", done, total)

    def on_exposure(self, done: int, total: int) -> None:
        """Show how far that is."""
        self.show("finding the exposure", done, total)

    def on_export(self, done: int, total: int) -> None:
        """Show how many pairs are made."""
        self.show("making pairs", done, total)

    def on_hold_out(self, done: int, total: int) -> None:
        """Show how many of the frames held back are matched."""
        self.show("matching frames held back", done, total)

    def on_refresh(self, round_: int, done: int, total: int) -> None:
        """Show how many frames are matched."""
        self.show(f"matching, round {round_}", done, total)

    def on_step(self, step: int, loss: float) -> None:
        """Move the bar."""
        self.show("training", step, None)

    def on_metrics(self, row: Mapping[str, float | str]) -> None:
        """Show the latest figures; a line per row where there is no terminal to draw a bar in."""
        parts = [f"loss {row['loss']:.4f}"]
        if "coverage" in row:
            parts.append(f"covered {row['coverage']:.0%}")
        if "epe" in row:
            parts.append(f"flow off by {row['epe']:.2f} of {row['epe_zero']:.1f} px")
        if "output_psnr_truth" in row:
            parts.append(f"against truth {row['output_psnr_truth']:.2f} dB")
        self._note = ", ".join(parts)
        if not self.console.is_terminal:
            self.say(f"step {row['step']} ({row['phase']}): {self._note}")

    def on_validation(self, step: int, columns: Mapping[str, float], best: bool) -> None:
        """Tell what frames held back say."""
        gain, reblur = columns["validation_gain"], columns["validation_reblur"]
        told = {"agreement with references": gain, "blurred again": reblur}
        parts = [f"{what} {dB:+.2f} dB" for what, dB in told.items() if not math.isnan(dB)]
        said = ", ".join(parts) + " over the blurry frames" if parts else "nothing can be said"
        kept = ", the best so far" if best else ""
        self.say(f"held back, after {step} steps: {said}{kept}")

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Draw the contact sheet, and the curves so far."""
        if self.folder is None:
            return
        name = f"step-{snapshot.step:06d}.jpg"
        write_picture(contact_sheet(snapshot), self.folder / "sheets" / name, quality=92)
        self.on_draw()

    def on_pairs(self, pairs: Pairs) -> None:
        """Draw the sheet of training pairs."""
        if self.folder is not None:
            write_picture(pair_sheet(pairs, columns=2), self.folder / "pairs.jpg", quality=90)

    def on_draw(self) -> None:
        """Draw the curves so far."""
        if self.folder is not None:
            draw_curves(self.folder / "metrics.csv", self.folder / "curves.png")

    def on_message(self, text: str) -> None:
        """Print it."""
        self.say(text)

    def on_page(self, done: int, total: int) -> None:
        """Show how many frames are judged for the run's page."""
        self.show("judging frames for the report", done, total)

    def on_end(self, folder: Path) -> None:
        """Draw the last curves."""
        draw_curves(folder / "metrics.csv", folder / "curves.png")

    def say(self, text: str) -> None:
        """Print a line as it is: paths may hold brackets, and commands are not cut in two."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of something that goes on, and make one for it the first time.

        Args:
            what: is done.
            done: how much of it.
            total: of how much; None where unknown, or as it was.
        """
        if what not in self._tasks:
            self._tasks[what] = self.progress.add_task(what, total=total, note="")
        note = self._note if what == "training" else ""
        self.progress.update(self._tasks[what], completed=done, total=total, note=note)
