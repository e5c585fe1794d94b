"""Carry out a study: train what is not trained yet, judge it, and remember the figures.

The folder of a study holds `runs/NAME`, a run folder each with its `result.json`, and what the
report writes. It can be left at any moment: what stands is kept, what was begun goes on.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bluref.errors import UserError
from bluref.media.whole import write_text_whole
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.fingerprint import hash_of
from bluref.train.evaluate import Evaluation
from bluref.train.make_pairs import make_pairs
from bluref.train.metrics import read_metrics
from bluref.train.named_files import named_files, replaced
from bluref.train.observe import Observer
from bluref.train.processes import launched
from bluref.train.recipe_file import differences, read_run, refuse_other_version
from bluref.train.run import train
from bluref.train.run_folder import LENDABLE, LOCK, held_alone
from bluref.train.studies.study_file import COPY, IDENTITY, Study
from bluref.train.studies.study_grid import Run, expand
from bluref.train.studies.study_judge import Judge
from bluref.train.studies.study_results import Measured, Result, at_the_end
from bluref.weights.device import usable_device
from bluref.weights.folder import locate

FORMAT = 2
"""Of result.json; 1 judged on training frames that `most` had left out."""


class StudyObserver(Observer):
    """Watches the runs of a study, one observer for each."""

    def on_run(self, name: str, place: int, of: int) -> None:
        """A run begins or goes on: the `place`-th of so many."""

    def on_judge(self, done: int, total: int) -> None:
        """Pictures are being deblurred and compared with their truth."""

    def on_judged(self, place: Path, parts: Sequence[tuple[str, Evaluation]]) -> None:
        """What a network is worth, on the test scenes first: its run folder, parts by name."""

    def on_results(self, results: Sequence["Result"]) -> None:
        """What is known so far."""


Watch = Callable[[], AbstractContextManager[StudyObserver]]


@dataclass(frozen=True)
class StudyResult:
    """What a call of `run_study` did.

    Attributes:
        results: of every run that was carried out, now or before, in the order of the table.
        finished: whether that is all of them, failed ones included.
    """

    results: tuple[Result, ...]
    finished: bool

    @property
    def failed(self) -> list[Result]:
        """Those that came to nothing."""
        return [result for result in self.results if result.measured is None]


def run_study(
    study: Study,
    folder: Path,
    *,
    watch: Watch = lambda: nullcontext(StudyObserver()),
    device: str = "cpu",
) -> StudyResult:
    """Carry out every run of a study that has not been yet.

    A run that fails for a reason that a person can mend is reported, and the others go on; it is
    tried again next time. Ctrl-C leaves the run at hand with a checkpoint, to go on from.

    Args:
        study: what to do.
        folder: of the study: new, empty, or the one to go on with.
        watch: gives an observer for each run that has something to do.
        device: where networks compute, as torch names it.

    Raises:
        UserError: the study asks for the impossible, the data set has no truth, the folder belongs
            to something else or holds runs of other recipes.
    """
    if launched():
        raise UserError("a study is carried out by one process", "start it without a launcher")
    runs = expand(study)
    usable_device(device)
    _refuse_folder(folder)
    for run in runs:
        _refuse_change(folder / "runs" / run.name, run)
    work = _Work(study, folder, Judge(study, runs), device)
    with held_alone(folder):
        # Those that come later stand in the tables while an earlier one is done once more.
        known = {run.name: Result(run, m) for run in runs if (m := _standing(run, work))}
        for place, run in enumerate(runs, start=1):
            if _standing(run, work) is None:
                known.pop(run.name, None)
                with watch() as observer:
                    observer.on_run(run.name, place, len(runs))
                    result = _attempt(run, work, observer)
                    if result is None:
                        # It may have been judged, and stopped while its pictures were drawn.
                        if (judged := _standing(run, work)) is not None:
                            known[run.name] = Result(run, judged)
                        return StudyResult(_in_order(known, runs), finished=False)
                    known[run.name] = result
                    observer.on_results(_in_order(known, runs))
        for name in LENDABLE:
            shutil.rmtree(folder / name, ignore_errors=True)
    return StudyResult(_in_order(known, runs), finished=True)


def _in_order(known: Mapping[str, Result], runs: Sequence[Run]) -> tuple[Result, ...]:
    return tuple(known[run.name] for run in runs if run.name in known)


@dataclass(frozen=True)
class _Work:
    """What the runs of a study have in common."""

    study: Study
    folder: Path
    judge: Judge
    device: str


def _attempt(run: Run, work: _Work, observer: StudyObserver) -> Result | None:
    """The run's result, a failed one too; None where a person interrupted it."""
    try:
        measured = _measure(run, work, observer)
    except KeyboardInterrupt:  # while it is judged: training ends with a checkpoint, and in order
        return None
    except UserError as error:
        _unlink(work.folder / "runs" / run.name)
        return Result(run, None, f"{error.problem}; {error.fix}")
    return Result(run, measured) if measured else None


def _measure(run: Run, work: _Work, observer: StudyObserver) -> Measured | None:
    study, folder, judge, device = work.study, work.folder, work.judge, work.device
    place = folder / "runs" / run.name
    parts: list[tuple[str, Evaluation]] = []
    if run.kind == IDENTITY:
        measured, _ = judge.network(Deblurrer.identity(), run.recipe, tell=observer.on_judge)
    elif run.kind == COPY:
        measured = judge.copies(run.recipe, tell=observer.on_judge)
    else:
        _lend(place, folder)
        _refuse_another_teacher(place, run, work)
        begun = (place / "recipe.yaml").is_file()
        data = _pairs(run.pairs_of, work, observer) if run.pairs_of else study.data
        done = train(data, place, run.recipe, resume=begun, observer=observer, device=device)
        if not done.finished:
            return None
        rows = read_metrics(place / "metrics.csv")
        measured, parts = judge.network(
            Deblurrer.from_pretrained(place, device=device),
            run.recipe,
            tell=observer.on_judge,
            target_psnr=at_the_end(rows, "target_psnr_truth"),
            coverage=at_the_end(rows, "coverage"),
            hours=(float(rows[-1]["seconds"]) if rows else done.seconds) / 3600,
        )
    told = {"format": FORMAT, **_key(work, run), "measured": asdict(measured)}
    write_text_whole(place / "result.json", json.dumps(told, indent=1) + "\n")
    _take_back(place)
    if parts:
        observer.on_judged(place, parts)
    return measured


def _pairs(teacher: str, work: _Work, observer: StudyObserver) -> Path:
    """The folder of the pairs that a run of the study makes; what is made already stays.

    Raises:
        UserError: that run came to nothing, or its pairs cannot be made.
    """
    folder = work.folder
    place, out = folder / "runs" / teacher, folder / "pairs" / teacher
    if not (place / "result.json").is_file():
        raise UserError(f"{teacher}, whose pairs it learns from, came to nothing", "see why above")
    _lend(place, folder)
    try:
        make_pairs(place, out, data=work.study.data, observer=observer, device=work.device)
    finally:
        _take_back(place)
    return out


def _key(work: _Work, run: Run) -> dict[str, Any]:
    """All that the figures of a run depend on, as JSON gives it back."""
    study = work.study
    taught = {"pairs_of": run.pairs_of, "teacher": _teacher(work, run)} if run.pairs_of else {}
    return {
        **taught,
        "recipe": _plain(run),
        "data": str(study.data.resolve()),
        "judged_on": work.judge.fingerprint(run.recipe),
        "every_test": study.every_test,
        "every_train": study.every_train,
    }


def _teacher(work: _Work, run: Run) -> str | None:
    """Which network the pairs of a run are of; None while there is none."""
    with suppress(UserError):
        return hash_of(locate(work.folder / "runs" / run.pairs_of)[0])
    return None


def _refuse_another_teacher(place: Path, run: Run, work: _Work) -> None:
    """Refuse to measure a student of a teacher that was trained anew since."""
    if not run.pairs_of:
        return
    told: dict[str, Any] = {}
    with suppress(OSError, ValueError, TypeError):
        told = dict(json.loads((place / "result.json").read_text("utf-8")))
    teacher = _teacher(work, run)
    if told.get("teacher", teacher) != teacher:
        pairs = work.folder / "pairs" / run.pairs_of
        raise UserError(
            f"{place} learnt from pairs of {run.pairs_of} as it was before it was trained anew",
            f"remove {place} and {pairs}, and start the study again",
        )


def _plain(run: Run) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(run.recipe)))
    return plain


def _standing(run: Run, work: _Work) -> Measured | None:
    """The figures of a run that stand, unless taken otherwise or the file is damaged."""
    place, key = work.folder / "runs" / run.name, _key(work, run)
    with suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads((place / "result.json").read_text("utf-8"))
        if {"format": FORMAT, **key, "measured": told["measured"]} == told:
            return Measured(**told["measured"])
    return None


def _refuse_folder(folder: Path) -> None:
    """Refuse a file, and a folder of something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", "name a folder for the study")
    held = {path.name for path in folder.iterdir()} if folder.exists() else set()
    # Others have `runs` and `frames` too, which it would take for its own. Its marks are the lock,
    # which may be lost where it was copied, and results, which no other run has.
    ours = "runs" in held and (LOCK in held or any(folder.glob("runs/*/result.json")))
    if held - {LOCK, "runs"} and not ours:
        raise UserError(f"{folder} holds something else than a study", "name another folder")


def _refuse_change(place: Path, run: Run) -> None:
    """Refuse a run that was begun with another recipe, or with other weights of those names."""
    if not (place / "recipe.yaml").is_file():
        return
    before = read_run(place)
    refuse_other_version(place, before, _plain(run).keys() ^ before["recipe"].keys())
    changed = differences(before["recipe"], _plain(run))
    changed += [
        f"{field}: another file of that name"
        for field in replaced(before["files"], named_files(run.recipe))
    ]
    if changed:
        raise UserError(
            f"{place} was started with other settings ({'; '.join(changed)})",
            "write this study to another folder, or remove that run's",
        )


def _lend(place: Path, folder: Path) -> None:
    """Let a run find what the runs before it made of the footage, where links can be made."""
    for name in LENDABLE:
        try:
            (folder / name).mkdir(parents=True, exist_ok=True)
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {place}: {error}", "choose another folder") from None
        # Relative, so that the study may be moved; `runs` may itself be a link to another disk.
        link = place / name
        shared = os.path.relpath((folder / name).resolve(), place.resolve())
        with suppress(OSError):  # a folder of its own, or this system forbids: made once more
            if link.is_symlink():  # from a call that died; the study may have been moved since
                link.unlink()
            link.symlink_to(shared, target_is_directory=True)


def _take_back(place: Path) -> None:
    _unlink(place)
    for name in LENDABLE:
        shutil.rmtree(place / name, ignore_errors=True)


def _unlink(place: Path) -> None:
    """Remove what was lent to a run, not what it made itself."""
    for lent in (place / name for name in LENDABLE):
        if lent.is_symlink():
            lent.unlink()
