"""The targets of a run as they stand: opened again without training on."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bluref.errors import UserError, as_command
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank, BlurryItself, Teacher
from bluref.pseudo.target import PseudoSharp
from bluref.train.banks import bank_of, gate_of, heed_motion
from bluref.train.covering import choose_by_coverage
from bluref.train.data import TrainingData, find_training_data
from bluref.train.moving import Moving, find_moving
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_run, read_run_recipe
from bluref.train.source import TEACHER, SavedTeacher
from bluref.weights.device import usable_device

# Pixels of all references together that are warped and fused at a time.
AT_ONCE = 6_000_000


@dataclass(frozen=True)
class RunTargets:
    """What a run learnt from last.

    Attributes:
        data: the data folder.
        recipe: of the run.
        found: its blurry and sharp frames.
        bank: its targets.
        round: of the targets, the newest one.
        moving: how the frames came to be blurry, where the recipe asks and it is known.
        device: where networks compute, as torch names it.
    """

    data: Path
    recipe: Recipe
    found: TrainingData
    bank: Bank
    round: int
    moving: Moving | None
    device: str = "cpu"

    @property
    def store(self) -> FrameStore:
        """Where frames are read from."""
        return self.bank.store

    @property
    def held_back(self) -> list[Frame]:
        """Frames that the run itself keeps for validation, truth and references included.

        Where a scene has no sharp frames of its own, references are those of training: not these.
        """
        frames = [
            f for s in self.found.held for f in (s.blurry, *s.references, s.truth) if f is not None
        ]
        learnt = {f for s in self.found.samples for f in s.references} | set(self.found.sharp)
        return [frame for frame in dict.fromkeys(frames) if frame not in learnt]

    def refresh(self, samples: Sequence[Sample], tell: Callable[[int, int], None]) -> None:
        """Match what is not matched, or is torn, as the run would; the rest stays.

        Raises:
            UserError: the network of that round is damaged, or the disk is full.
        """
        folder = self.bank.round_folder(self.round) / TEACHER
        teacher: Teacher = BlurryItself()
        if folder.is_dir():
            try:
                teacher = SavedTeacher(folder, device=self.device)
            except UserError as error:
                raise UserError(
                    f"the network that made these targets is torn ({error.problem})",
                    "train on with --resume, which makes them anew",
                ) from error
        self.bank.refresh(self.round, samples, teacher, tell=tell)

    def target(self, sample: Sample) -> PseudoSharp:
        """The target of a whole frame, as training sees it in crops.

        Fused in bands, which changes nothing, and judged by the gate as a whole.
        """
        size = self.store.size(sample.blurry)
        parts = [self.bank.target(self.round, sample, band) for band in _bands(size, sample)]
        target = PseudoSharp(
            torch.cat([part.image for part in parts], dim=2),
            torch.cat([part.weight for part in parts], dim=2),
            torch.cat([part.support for part in parts], dim=2),
        )
        gate = gate_of(self.recipe)
        if self.moving is None or gate is None:
            return target
        reblur = self.moving.around([(sample, Crop(0, 0, *size))])
        blurry = self.store.image(sample.blurry)
        return gate(target, blurry, reblur.motion, reblur.sure, reblur.exposure)


def open_targets(
    run: Path,
    *,
    data: Path | None = None,
    observer: Observer | None = None,
    without_rounds: bool = False,
    device: str = "cpu",
) -> RunTargets:
    """Open the newest targets of a run.

    Args:
        run: its folder.
        without_rounds: open it also if it has no targets yet, for those that make their own.
        data: where its footage lies now, if it was moved.
        observer: watches what has to be found anew.
        device: where networks compute, as torch names it.

    Raises:
        UserError: no run there, one that has no targets, its footage is gone or another, or no such
            device.
    """
    observer = observer or Observer()
    told = read_run(run)
    recipe = read_run_recipe(run, Recipe)
    _refuse_without_targets(run, recipe)
    data = data or Path(str(told["data"].get("folder")))
    if not data.is_dir():
        raise UserError(
            f"the footage of {run} is no longer in {data}", "say where it is now: --data FOLDER"
        )
    bank = bank_of(run, recipe, FrameStore(run / "frames"), device=usable_device(device))
    if not bank.rounds() and not without_rounds:
        raise UserError(
            f"{run} has no targets yet: it has not come further than its warm start",
            f"train on: {as_command(['bluref', 'train', data, '-o', run, '--resume'])}",
        )
    found = find_training_data(data, recipe, bank.store, tell=observer.on_prepare)
    if found.fingerprint != told["data"].get("fingerprint"):
        raise UserError(
            f"the footage in {data} is not what {run} was trained on",
            "bring the frames back, or say where they are: --data FOLDER; where no frame has"
            " changed, the version of BluRef has, and chooses them otherwise",
        )
    used = [f for s in found.samples for f in (s.blurry, *s.references)]
    bank.store.prepare([*used, *found.sharp, *found.beside], tell=observer.on_prepare)
    if any(len(sample.references) > recipe.refs for sample in found.samples):
        found = choose_by_coverage(run, recipe, found, bank, observer, Alone())
    moving = find_moving(run, recipe, found, bank, observer, Alone()) if recipe.gate else None
    heed_motion(bank, recipe, moving)
    return RunTargets(data, recipe, found, bank, max(bank.rounds(), default=0), moving, device)


def about_source(frame: Frame, data: Path) -> str:
    """Where a frame comes from, from the data folder on: names no machine."""
    path = Path(frame.path.name)
    with suppress(ValueError):
        path = frame.path.resolve().relative_to(data.resolve())
    place = "" if frame.position is None else f"#{frame.position}"
    return path.as_posix() + place


def plain_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """Of a recipe, what its targets depend on: no path of a machine."""
    found = ("layout", "split", "choice", "delta", "refs")
    judged = ("strategy", "threshold", "gate", "refine", "sharper", "keep_sharp", "even")
    return {name: recipe[name] for name in (*found, *judged)}


def _refuse_without_targets(run: Path, recipe: Recipe) -> None:
    if recipe.supervised or recipe.pairs:
        kind = "true pairs" if recipe.supervised else "the pairs of another run"
        raise UserError(
            f"{run} learnt from {kind}, it has no pseudo-sharp targets",
            "give a run that learnt from footage",
        )


def _bands(size: tuple[int, int], sample: Sample) -> list[Crop]:
    height, width = size
    rows = max(AT_ONCE // (width * len(sample.references)), 16)
    return [Crop(top, 0, min(rows, height - top), width) for top in range(0, height, rows)]
