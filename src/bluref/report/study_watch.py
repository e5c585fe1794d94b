"""Watching a study: each run as ever, and the tables as far as they go."""

from collections.abc import Sequence
from pathlib import Path

from bluref.report.study_table import write_tables
from bluref.report.watch import Watch
from bluref.report.worst_sheet import write_worst
from bluref.train.evaluate import Evaluation
from bluref.train.studies.study import StudyObserver
from bluref.train.studies.study_results import Result


class StudyWatch(Watch, StudyObserver):
    """Watches one run of a study, and writes its tables anew when the run is done.

    Args:
        study: its folder.
    """

    def __init__(self, study: Path) -> None:
        super().__init__()
        self.study = study

    def __enter__(self) -> "StudyWatch":
        """Start showing progress."""
        super().__enter__()
        return self

    def on_run(self, name: str, place: int, of: int) -> None:
        """Say which."""
        self.say(f"{name}: {place} of {of}")

    def on_judge(self, done: int, total: int) -> None:
        """Show how many pictures are measured."""
        self.show("measuring", done, total)

    def on_judged(self, place: Path, parts: Sequence[tuple[str, Evaluation]]) -> None:
        """Write which clips it helps and where it fails."""
        write_worst(parts, place)

    def on_results(self, results: Sequence[Result]) -> None:
        """Write the tables, so that a study that is left has them too."""
        write_tables(results, self.study)
