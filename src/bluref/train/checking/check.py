"""Whether footage can be trained on, told before hours are spent."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch

from bluref.errors import UserError, as_command
from bluref.frames.clip import Clip, Frame
from bluref.frames.layouts import find_clips
from bluref.frames.store import FrameStore
from bluref.measure.likeness import Impression
from bluref.media.whole import decimal_bytes, write_text_whole
from bluref.train.checking.check_blur import blur_of
from bluref.train.checking.check_cost import measure_cost
from bluref.train.checking.check_coverage import (
    NOTHING,
    USABLE,
    Matched,
    brightness_problems,
    coverage_problems,
    match_sample,
    mean_coverage,
    sample_of,
)
from bluref.train.checking.check_files import (
    Survey,
    clip_problems,
    foreign_problems,
    frames_of,
    size_problems,
    survey,
)
from bluref.train.checking.check_leaks import leaked, repeated, shared_by_the_sets
from bluref.train.checking.check_report import CheckReport, Kind, Problem, verdict_of, worst_first
from bluref.train.data import TrainingData, find_training_data
from bluref.train.fitting import fitting, refuse_to_draw
from bluref.train.found_pairs import find_pairs, refuse_pairs
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe

CHECK = "check.json"
"""What a run folder calls the report."""
SAMPLE = 20
"""Blurry frames that are matched."""
MEASURED = ("test", "val", "validation")
"""Parts of a data folder that training must not see."""

FEW = 24
"""Blurry frames, or sharp ones, below which there is little to learn from."""
Tell = Callable[[str, int, int], None]


def _silent(what: str, done: int, total: int) -> None:
    """Nobody listens."""


def check(
    data: Path,
    recipe: Recipe,
    store: FrameStore,
    *,
    sample: int = SAMPLE,
    device: str = "cpu",
    tell: Tell = _silent,
) -> CheckReport:
    """Say whether training on a data folder can work, with what to change.

    Args:
        data: the data folder, as `bluref train` takes it.
        recipe: of the run that is meant.
        store: where frames are decoded to; free space is looked at where its folder is.
        sample: blurry frames that are matched.
        device: where the run will compute.
        tell: called with (what, done, all).

    Raises:
        UserError: no such folder, no clip in it, or names of blurry and sharp frames that do not
            agree: there is nothing to check. Pairs, which need no check. All else is told in the
            report.
    """
    started = time.monotonic()
    _refuse_pairs(data, recipe)
    clips = find_clips(data, part="train", layout=recipe.layout)
    aside = _clips_aside(data, recipe)
    frames, measured = frames_of(clips), frames_of(aside)
    seen = survey(
        [*frames, *measured], tell=lambda done, all_: tell("looking at files", done, all_)
    )
    work = _Work(recipe, store, seen)
    work.problems += [*size_problems(seen), *clip_problems(seen), *foreign_problems(data)]
    work.find(data, device, tell)
    work.tell_broken(set(frames))
    if work.found is not None:
        work.look_for_leaks(measured)
        work.count()
        work.match(sample, device, tell)
        work.reckon(device)
    return work.report(time.monotonic() - started)


def check_before(
    data: Path, run: Path, recipe: Recipe, store: FrameStore, device: str, observer: Observer
) -> None:
    """Check what a run is about to train on, write RUN/check.json and tell what is wrong.

    Raises:
        UserError: it is hopeless.
    """
    report = check(data, recipe, store, device=device, tell=observer.on_check)
    write_text_whole(run / CHECK, report.as_json())
    if report.verdict == "hopeless":
        worst, tells = report.problems[0], as_command(["bluref", "check", data])
        raise UserError(
            f"training on {data} cannot work: {worst.path}: {worst.problem}",
            f"{worst.fix}; `{tells}` tells all, --no-check trains all the same",
        )
    observer.on_message(report.as_text().rstrip())


@dataclass
class _Work:
    """A check under way."""

    recipe: Recipe
    store: FrameStore
    seen: Survey
    problems: list[Problem] = field(default_factory=list)
    found: TrainingData | None = None
    matched: Sequence[Matched] = ()
    blur: tuple[Kind, float | None] = ("unknown", None)
    hours: float | None = None
    disk_bytes: int | None = None

    def find(self, data: Path, device: str, tell: Tell) -> None:
        """Give roles, references and crops as training will, or note what stands in its way."""
        try:
            self.found = find_training_data(
                data, self.recipe, self.store, tell=lambda d, n: tell("decoding frames", d, n)
            )
            if self.recipe.supervised and not any(s.truth for s in self.found.samples):
                raise UserError(
                    "no blurry frame has a true sharp version to learn from",
                    "omit --supervised, or use a paired data set",
                )
            self.recipe = fitting(self.recipe, self.found, self.store, torch.device(device))
        except UserError as error:
            known = [str(frame) for frame in self.seen.broken]
            known += [problem.path for problem in self.problems if problem.weight == "hopeless"]
            if not any(path in error.problem for path in known):
                self.problems.append(Problem(str(data), error.problem, error.fix, "hopeless"))

    def tell_broken(self, trained: set[Frame]) -> None:
        """Note files that cannot be read; those that training would read stop it."""
        if self.found is not None:
            trained = set(self.found.frames)
        for frame, error in self.seen.broken.items():
            stops = frame in trained
            self.problems.append(
                Problem(str(frame), error.problem, error.fix, "hopeless" if stops else "note")
            )

    def look_for_leaks(self, measured: Sequence[Frame]) -> None:
        """Compare the two sets with each other, with themselves and with what will be measured."""
        if self.found is None:
            return
        blurry = self._impressions([sample.blurry for sample in self.found.samples])
        sharp = self._impressions(self.found.sharp)
        self.problems += shared_by_the_sets(blurry, sharp)
        self.problems += [*repeated(blurry, "blurry"), *repeated(sharp, "sharp")]
        self.problems += leaked({**blurry, **sharp}, self._impressions(measured))

    def count(self) -> None:
        """Note sets that are small, and frames that are."""
        if self.found is None:
            return
        for role, count in (("blurry", len(self.found.samples)), ("sharp", len(self.found.sharp))):
            if count < FEW:
                told = f"only {count} frames, and a network wants hundreds"
                fix = "give longer clips, or more of them"
                self.problems.append(Problem(f"the {role} frames", told, fix, "thin"))
        try:
            refuse_to_draw(self.recipe, self.found, self.store, processes=1)
        except UserError as error:
            self.problems.append(Problem("the crops", error.problem, error.fix, "hopeless"))
        if self.found.left_out:
            told = (
                f"{self.found.left_out} have no sharp frame of their size"
                f" {self.recipe.delta} or more frames away, and are left out"
            )
            fix = "lower --delta, or use --choice random"
            self.problems.append(Problem("the blurry frames", told, fix))

    def match(self, sample: int, device: str, tell: Tell) -> None:
        """Match a sample with its references, and judge coverage, blur and brightness."""
        if self.found is None or self.recipe.supervised:
            return
        whole = [
            one
            for one in self.found.samples
            if not {one.blurry, *one.references} & self.seen.broken.keys()
        ]
        try:
            self.matched = match_sample(
                sample_of(whole, sample),
                self.recipe.refs,
                self.store,
                tell=lambda done, all_: tell("matching a sample", done, all_),
                device=device,
            )
        except UserError as error:  # of large footage not every picture has been looked at
            self.problems.append(Problem("a sample", error.problem, error.fix, "hopeless"))
        if not self.matched:
            return
        self.problems += coverage_problems(self.matched)
        if mean_coverage(self.matched) >= NOTHING:
            kind, share, problems = blur_of(self.matched)
            self.blur = kind, share
            self.problems += problems
            self.problems += brightness_problems(self.brightness, even=self.recipe.even)

    def reckon(self, device: str) -> None:
        """Time a few steps, unless the run could not take them."""
        if self.found is None or verdict_of(self.problems) == "hopeless":
            return
        try:
            cost = measure_cost(self.found, self.recipe, self.store, device)
        except UserError as error:
            self.problems.append(Problem("the recipe", error.problem, error.fix, "hopeless"))
            return
        self.hours = cost.hours(self.recipe, self.found)
        self.disk_bytes = need = cost.disk_bytes(self.recipe, self.found, self.store)
        folder = self.store.folder.absolute()
        free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free
        if need > free:
            told = (
                f"a run needs about {decimal_bytes(need)}, {folder} has {decimal_bytes(free)} free"
            )
            fix = "free some space, write the run elsewhere, or use fewer frames"
            self.problems.append(Problem("the disk", told, fix, "thin"))

    @property
    def brightness(self) -> float:
        """Median factor between references and blurry frames where both show the same."""
        return median([one.brightness for one in self.matched if one.coverage >= USABLE] or [1.0])

    def report(self, seconds: float) -> CheckReport:
        """Everything together."""
        found, samples = self.found, 0 if self.found is None else len(self.found.samples)
        if self.recipe.supervised and found is not None:
            usable = sum(sample.truth is not None for sample in found.samples)
        else:
            share = sum(m.coverage >= USABLE for m in self.matched) / max(len(self.matched), 1)
            usable = round(share * samples)
        problems = worst_first(self.problems)
        return CheckReport(
            verdict=verdict_of(problems),
            usable_blurry=usable,
            coverage=mean_coverage(self.matched) if self.matched else None,
            problems=problems,
            expected_hours=self.hours,
            expected_disk_bytes=self.disk_bytes,
            blurry=samples,
            sharp=0 if found is None else len(found.sharp),
            left_out=0 if found is None else found.left_out,
            sampled=len(self.matched),
            blur=self.blur[0],
            blurred=self.blur[1],
            brightness=self.brightness if self.matched else None,
            seconds=seconds,
        )

    def _impressions(self, frames: Sequence[Frame]) -> Mapping[Frame, Impression]:
        looks = self.seen.looks
        return {frame: looks[frame].impression for frame in frames if frame in looks}


def _refuse_pairs(data: Path, recipe: Recipe) -> None:
    if recipe.pairs:
        find_pairs(data)  # refuses what is none, or is torn
        raise UserError(
            f"{data} holds pairs, which need no check",
            f"learn from them: {as_command(['bluref', 'train', data, '--pairs'])}",
        )
    refuse_pairs(data)


def _clips_aside(data: Path, recipe: Recipe) -> list[Clip]:
    """Clips that will be measured on, where the data folder has such parts."""
    clips: list[Clip] = []
    for part in MEASURED:
        if not (data / part).is_dir() or not (data / "train").is_dir():
            continue
        try:
            clips += find_clips(data, part=part, layout=recipe.layout)
        except UserError:
            continue  # what is wrong with them is told to whoever measures
    return clips
