"""What a run works with, and what it draws its batches from."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bluref.degrade.synthesis import SynthesisConfig
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank
from bluref.train.banks import course_of, gate_of
from bluref.train.batches import (
    Batch,
    BatchAt,
    Drawing,
    PseudoBatches,
    SupervisedBatches,
    SyntheticBatches,
    drawing_of,
    parts_of,
)
from bluref.train.data import TrainingData
from bluref.train.loop import Source
from bluref.train.motion_batches import MotionBatches
from bluref.train.moving import Moving
from bluref.train.pair_batches import PairBatches
from bluref.train.processes import Processes
from bluref.train.recipe import Recipe
from bluref.train.source import Curriculum, FixedPairs
from bluref.train.validation import Held, HeldOutValidation, Judging

# Crops that are drawn to tell how much of the footage stood still.
LOOKED_AT = 16


@dataclass(frozen=True)
class Given:
    """What a run works with.

    Attributes:
        recipe: every choice, settled.
        found: the frames, and what each is for.
        store: where frames are read from.
        bank: of targets; None where there are true pairs.
        moving: how things move; None where nobody asks, or frames have no neighbours.
        processes: who else trains.
        held: frames held back, ready to judge by; known to the first process alone.
    """

    recipe: Recipe
    found: TrainingData
    store: FrameStore
    bank: Bank | None
    moving: Moving | None
    processes: Processes
    held: Sequence[Held] = ()

    @property
    def drawing(self) -> Drawing:
        """How items are drawn; `fitted` has settled how many."""
        return drawing_of(self.recipe)

    def validation(self, run: Path, step: int) -> HeldOutValidation | None:
        """Judges by the frames held back, if there are any."""
        if not self.held:
            return None
        recipe = self.recipe
        judging = Judging(
            every=recipe.validate_every,
            patience=recipe.patience,
            min_coverage=recipe.min_coverage,
            training_size=self.drawing.crop,
            device=self.processes.device,
        )
        return HeldOutValidation(run, self.held, judging, upto=step)

    @cached_property
    def _kernels(self) -> SynthesisConfig:
        """Random kernels as long as the footage's own blur, up to their size, where it is known."""
        usual = SynthesisConfig()
        if self.moving is None:
            return usual
        found = self.moving.lengths([sample.blurry for sample in self.found.samples])
        if found is None:
            return usual
        longest = float(usual.motion.size - 1)
        fitted = replace(usual.motion, length=tuple(min(length, longest) for length in found))
        return replace(usual, motion=fitted)

    @property
    def _picked(self) -> Set[Frame]:
        """Frames that are the truth only where they stood still."""
        return self.found.picked if self.recipe.still else frozenset()

    def synthetic(self, drawing: Drawing) -> BatchAt:
        """Sharp frames blurred by the footage's own motion, or by random kernels."""
        if self.moving is None or self.recipe.blur == "kernels":
            return SyntheticBatches(self.found.sharp, self.store, drawing, self._kernels)
        motion = self.moving.motion
        return MotionBatches(
            frames=self.found.sharp,
            lenders=[s for b in self.found.samples if (s := motion.sample(b.blurry))]
            or motion.samples,
            motion=motion,
            exposure=self.moving.exposure,
            store=self.store,
            drawing=drawing,
            picked=self._picked,
            still=self.recipe.still,
        )

    def rest(self) -> float | None:
        """Share of what synthetic pairs show that is the truth; None where all of it is.

        Where sharp frames are but the better ones of the footage, that is what stood still. A few
        crops are drawn and looked at.
        """
        if self.moving is None or self.recipe.blur == "kernels" or not self._picked:
            return None
        pairs = self.synthetic(replace(self.drawing, batch=LOOKED_AT))
        return float(pairs(0).weight.mean())


def source_of(given: Given) -> Source[Batch]:
    """What batches are drawn from: true pairs where there is no bank of targets.

    Raises:
        UserError: no frame has a truth, where one is asked for; or the anchor takes whole batches.
    """
    recipe, found, store, bank = given.recipe, given.found, given.store, given.bank
    rank, count = given.processes.rank, given.processes.count
    own, synthetic = parts_of(recipe, found, processes=count)
    synthetic = synthetic.shared(rank, count, before=own.batch)
    own, drawing = own.shared(rank, count), given.drawing.shared(rank, count)
    anchor = given.synthetic(synthetic) if synthetic.batch else None
    if recipe.pairs:
        return FixedPairs(PairBatches(found.samples, store, own), "pairs")
    if bank is None:
        with_truth = [sample for sample in found.samples if sample.truth is not None]
        if not with_truth:
            raise UserError(
                "no blurry frame has a true sharp version to learn from",
                "omit --supervised, or use a paired data set",
            )
        return FixedPairs(SupervisedBatches(with_truth, store, own), anchor=anchor)
    return Curriculum(
        warm=given.synthetic(drawing),
        pseudo=PseudoBatches(
            found.samples,
            store,
            own,
            bank,
            round=0,
            moving=given.moving if max(recipe.gate, recipe.reblur) > 0 else None,
            gate=gate_of(recipe),
            course=course_of(bank, recipe),
        ),
        anchor=anchor,
        warm_start=min(recipe.warm_start, recipe.steps),
        refresh_every=recipe.refresh_every,
        training_size=drawing.crop if recipe.local_pooling else None,
        processes=given.processes,
        taught=recipe.init is not None,
    )
