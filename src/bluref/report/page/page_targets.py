"""Targets of a run that is over, made again as training and validation made them.

Nothing in the run changes. Matches that its banks still hold are used after their seal is checked;
what they do not hold is matched in a folder that is gone afterwards.
"""

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank, BlurryItself, Teacher, entry_name
from bluref.pseudo.coverage import most_covering
from bluref.pseudo.gate import Gate
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.pseudo.target import PseudoSharp
from bluref.train.banks import bank_of, gate_of, heed_motion
from bluref.train.data import TrainingData
from bluref.train.held import FOLDER, JUDGE, judging_bank
from bluref.train.moving import FIT, USUAL, Moving, motion_of
from bluref.train.recipe import Recipe
from bluref.train.source import TEACHER, SavedTeacher


@dataclass(frozen=True)
class PageTargets:
    """One kind of targets of a run.

    Attributes:
        kept: the run's bank of them, which is only read.
        bank: alike, elsewhere: holds copies, and what had to be matched anew.
        round: of the targets.
        teacher: on whose outputs they are matched.
        refs: references of a frame at most.
        moving: how frames came to be blurry, if that is known.
        gate: how they are judged by that, if they are.
    """

    kept: Bank
    bank: Bank
    round: int
    teacher: Teacher
    refs: int
    moving: Moving | None
    gate: Gate | None

    def target(
        self, sample: Sample, crop: Crop, blurry: Float[Tensor, "1 3 h w"]
    ) -> tuple[PseudoSharp, Float[Tensor, "1 3 h w"]]:
        """The target of a box of a frame, and what references alone show of it.

        The two differ where a frame is its own target. To judge by that would praise whatever
        leaves the frame as it is.

        Args:
            sample: the frame with its references, or with more of them to choose among.
            crop: the box.
            blurry: what it shows.

        Raises:
            UserError: frames cannot be read.
        """
        if len(sample.references) > self.refs:
            store, matcher = self.bank.store, self.bank.matcher
            sample = most_covering([sample], self.refs, matcher=matcher, store=store)[0]
        self._match(sample)
        made = self.bank.target(self.round, sample, crop)
        if self.moving is None or self.gate is None:
            return made, made.image
        try:
            how = self.moving.around([(sample, crop)])
        except UserError:  # its motion was never followed, or the file of it is torn
            return made, made.image
        return self.gate(made, blurry, how.motion, how.sure, how.exposure), made.image

    def _match(self, sample: Sample) -> None:
        """As the run matched it, if it did: an entry that is whole and of the same things."""
        entry = entry_name(sample.blurry)
        kept, copy = (bank.round_folder(self.round) / entry for bank in (self.kept, self.bank))
        if kept.is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, copy)
        self.bank.refresh(self.round, [sample], self.teacher)


def trained_targets(
    run: Path, recipe: Recipe, found: TrainingData, store: FrameStore, scratch: Path
) -> PageTargets:
    """What a run learnt from last; the first round, where training ended in its warm start.

    Args:
        run: the run folder.
        recipe: of the run.
        found: its frames.
        store: where they are read from.
        scratch: a folder for what is computed anew.

    Raises:
        UserError: unknown matcher, or the network that a round was matched on is damaged.
    """
    kept, bank = bank_of(run, recipe, store), bank_of(scratch, recipe, store)
    moving = None
    if recipe.gate:
        motion = motion_of(found.learnt, run, bank, beside=found.beside)
        moving = _moving(motion, run, recipe)
    for one in (kept, bank):
        heed_motion(one, recipe, moving)
    round_ = max(kept.rounds(), default=0)
    folder = kept.round_folder(round_) / TEACHER
    teacher = SavedTeacher(folder) if (folder / "model.json").is_file() else BlurryItself()
    return PageTargets(kept, bank, round_, teacher, recipe.refs, moving, gate_of(recipe))


def validation_targets(
    run: Path, recipe: Recipe, found: TrainingData, store: FrameStore, scratch: Path
) -> PageTargets:
    """By what the frames held back were judged, see `train.held`; arguments and errors as above."""
    bank = bank_of(scratch, recipe, store)
    plain = strategy_named("average")
    kept, bank = (judging_bank(bank, root) for root in (run, scratch))
    matches = bank.beside(run / FOLDER / "motion", strategy=plain, threshold=0.0, even=False)
    beside = with_neighbours([sample.blurry for sample in found.held], found.around)
    moving = _moving(FootageMotion(beside, matches), run, recipe)
    return PageTargets(kept, bank, 0, BlurryItself(), recipe.refs, moving, gate_of(JUDGE))


def _moving(motion: FootageMotion, run: Path, recipe: Recipe) -> Moving | None:
    return Moving(motion, _exposure(run, recipe)) if motion.samples else None


def _exposure(run: Path, recipe: Recipe) -> float:
    """As the run was told, or found; the usual one where it did neither."""
    if recipe.exposure is not None:
        return recipe.exposure
    with suppress(OSError, ValueError, TypeError, KeyError):
        return float(json.loads((run / FIT).read_text("utf-8"))["exposure"] or USUAL)
    return USUAL
