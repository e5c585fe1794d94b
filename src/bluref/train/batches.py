"""Batches: pure functions of the step, so that a run resumes exactly with no loader state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.synthesis import SynthesisConfig, synthetic_pair
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop, random_crop
from bluref.frames.randomness import item_generator, randint
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank
from bluref.pseudo.gate import Gate
from bluref.pseudo.target import PseudoSharp
from bluref.train.data import TrainingData
from bluref.train.moving import Moving
from bluref.train.reblur import Reblur
from bluref.train.recipe import BATCH, CROP, Recipe

# Share of a batch that is synthetic, where the recipe leaves it open: beside references that are
# sharp, and beside those that are but the better frames of the footage.
ANCHOR, MORE = 0.5, 0.75


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        blurry: the network's input; always the blurry frame itself (paper Eq. 3).
        target: what it should come near.
        weight: trust in [0, 1], zero where the target says nothing.
        truth: the true sharp crops of the footage's own items, where a paired data set has them;
            they measure, and never teach.
        synthetic: how many items, the last ones, are synthetic pairs among the footage's own.
        reblur: how the footage's own items came to be blurry, where that is known.
    """

    blurry: Float[Tensor, "b 3 h w"]
    target: Float[Tensor, "b 3 h w"]
    weight: Float[Tensor, "b 1 h w"]
    truth: Float[Tensor, "own 3 h w"] | None = None
    synthetic: int = 0
    reblur: Reblur | None = None

    def own(self) -> "Batch":
        """The items from the footage, without the synthetic ones."""
        if not self.synthetic:
            return self
        count = len(self.blurry) - self.synthetic
        return Batch(self.blurry[:count], self.target[:count], self.weight[:count], self.truth)

    def anchored(self, pairs: "Batch") -> "Batch":
        """These items followed by synthetic pairs."""
        return Batch(
            blurry=torch.cat((self.blurry, pairs.blurry)),
            target=torch.cat((self.target, pairs.target)),
            weight=torch.cat((self.weight, pairs.weight)),
            truth=self.truth,
            synthetic=len(pairs.blurry),
            reblur=self.reblur,
        )


BatchAt = Callable[[int], Batch]


@dataclass(frozen=True)
class Drawing:
    """How items are drawn.

    Attributes:
        seed: of the run.
        batch: items per step.
        crop: side in pixels.
        first: number of the first item, where others draw those before it.
    """

    seed: int
    batch: int
    crop: int
    first: int = 0

    def generators(self, step: int) -> list[torch.Generator]:
        """One generator per item: a pure function of (seed, step, item)."""
        items = range(self.first, self.first + self.batch)
        return [item_generator(self.seed, step, item) for item in items]

    def shared(self, rank: int, count: int, *, before: int = 0) -> "Drawing":
        """The items of one process of several that draw as many each.

        Args:
            rank: number of the process, from 0.
            count: how many there are.
            before: items of each process that are numbered before these.
        """
        return replace(self, first=count * before + rank * self.batch)

    def parted(self, share: float, *, processes: int = 1) -> tuple["Drawing", "Drawing"]:
        """The first items of each step, and the last ones: `share` of them, rounded.

        Args:
            share: of the last ones.
            processes: how many draw as many items each.

        Raises:
            UserError: several processes, rounding each for itself, would part their items otherwise
                than one would part all of them.
        """
        last = round(self.batch * share)
        if last * processes != round(self.batch * processes * share):
            raise UserError(
                f"an anchor of {share:g} is no whole number of the {self.batch} items of a process",
                "let --batch times --anchor be whole, as --batch 4 --anchor 0.5",
            )
        return (
            replace(self, batch=self.batch - last),
            replace(self, batch=last, first=self.first + self.batch - last),
        )


def drawing_of(recipe: Recipe) -> Drawing:
    """How a run draws; batch and crop are as usual where the recipe leaves them open."""
    return Drawing(recipe.seed, recipe.batch or BATCH, recipe.crop or CROP)


def anchor_of(recipe: Recipe, found: TrainingData) -> float:
    """Share of every later batch that is blurred here.

    References that are blurred themselves teach less than places that stood still; true pairs are
    left alone unless the recipe says otherwise.

    Args:
        recipe: of the run; may leave it open.
        found: its frames.
    """
    if recipe.pairs:
        return 0.0
    if recipe.supervised:
        return recipe.anchor or 0.0
    if recipe.anchor is not None:
        return recipe.anchor
    stands_still = recipe.blur == "motion" and recipe.still and found.picked and found.moves
    if not stands_still:
        return ANCHOR
    batch = recipe.batch or BATCH
    # A whole number of items, that processes part alike, and never all of them.
    return int(batch * MORE) / batch


def warms(recipe: Recipe) -> bool:
    """Whether it begins with sharp frames that are blurred here; pairs begin with themselves."""
    return recipe.warm_start > 0 and not (recipe.supervised or recipe.pairs)


def synthesises(recipe: Recipe, found: TrainingData) -> bool:
    """Whether sharp frames are blurred here, at first or all the time."""
    return warms(recipe) or parts_of(recipe, found)[1].batch > 0


def needs_motion(recipe: Recipe, found: TrainingData) -> bool:
    """Whether the footage's own motion will blur sharp frames, targets or outputs, if known."""
    has_targets = recipe.warm_start < recipe.steps and not (recipe.supervised or recipe.pairs)
    judges = max(recipe.reblur, recipe.gate) > 0 and has_targets
    return judges or (recipe.blur == "motion" and synthesises(recipe, found))


def parts_of(recipe: Recipe, found: TrainingData, *, processes: int = 1) -> tuple[Drawing, Drawing]:
    """Items of each step that are drawn from the footage, and those blurred here beside them.

    Args:
        recipe: of the run.
        found: its frames.
        processes: how many draw as many items each.

    Raises:
        UserError: nothing is left to the footage, or the items cannot be parted as one process
            would.
    """
    drawing, anchor = drawing_of(recipe), anchor_of(recipe, found)
    own, synthetic = drawing.parted(anchor, processes=processes)
    if not own.batch:
        raise UserError(
            f"anchor {anchor:g} leaves no item of a batch of {drawing.batch} to the footage",
            "lower --anchor, or raise --batch",
        )
    return own, synthetic


@dataclass(frozen=True)
class SyntheticBatches:
    """Sharp frames blurred by random kernels: the warm start. No pair and no blurry frame involved.

    Attributes:
        frames: sharp frames.
        store: where they are read from.
        drawing: how items are drawn.
        synthesis: blur and noise.
    """

    frames: Sequence[Frame]
    store: FrameStore
    drawing: Drawing
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        generators = self.drawing.generators(step)
        side = self.drawing.crop + 2 * self.synthesis.margin
        cuts = []
        for generator in generators:
            frame = self.frames[randint(generator, len(self.frames))]
            size = self.store.size(frame)
            if min(size) < side:
                raise UserError(
                    f"{frame} is {size[1]}x{size[0]}, to be blurred by random kernels it must have"
                    f" {side} pixels each way",
                    f"lower --crop to {min(size) - 2 * self.synthesis.margin} or less, or set"
                    " --warm-start 0 and --anchor 0",
                )
            cuts.append(self.store.cut(frame, random_crop(generator, size, side)))
        blurry, sharp = synthetic_pair(torch.cat(cuts), generators, self.synthesis)
        return Batch(blurry, sharp, torch.ones_like(sharp[:, :1]))


@dataclass(frozen=True)
class SupervisedBatches:
    """Blurry frames with their true sharp versions: the upper bound.

    Attributes:
        samples: blurry frames; all must have a truth.
        store: where they are read from.
        drawing: how items are drawn; the same crops as `PseudoBatches` draws.
    """

    samples: Sequence[Sample]
    store: FrameStore
    drawing: Drawing

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        blurry, truth = [], []
        for generator in self.drawing.generators(step):
            sample, crop = draw(generator, self.samples, self.store, self.drawing.crop)
            if sample.truth is None:
                raise UserError(f"{sample.blurry} has no true sharp version", "omit --supervised")
            blurry.append(self.store.cut(sample.blurry, crop))
            truth.append(self.store.cut(sample.truth, crop))
        target = torch.cat(truth)
        return Batch(torch.cat(blurry), target, torch.ones_like(target[:, :1]), target)


@dataclass(frozen=True)
class ThresholdCourse:
    """A threshold that changes while training: few sure targets first, more later, or the reverse.

    Attributes:
        first: the threshold up to `begin`.
        last: the threshold from `end` on.
        begin: step at which it begins to change, evenly.
        end: step at which it has changed.
    """

    first: float
    last: float
    begin: int
    end: int

    def at(self, step: int) -> float:
        """The threshold of a step."""
        done = (step - self.begin) / max(self.end - self.begin, 1)
        return self.first + min(max(done, 0.0), 1.0) * (self.last - self.first)


@dataclass(frozen=True)
class PseudoBatches:
    """Blurry frames with pseudo-sharp targets from the bank (paper Eqs. 2 and 3).

    Attributes:
        samples: blurry frames with their references.
        store: where they are read from.
        drawing: how items are drawn.
        bank: cached matches.
        round: number of the bank's round in use.
        moving: how the frames came to be blurry, if it is known.
        gate: how targets are judged by that motion, if they are.
        course: smallest confidence that may speak, if it changes from step to step.
    """

    samples: Sequence[Sample]
    store: FrameStore
    drawing: Drawing
    bank: Bank
    round: int
    moving: Moving | None = None
    gate: Gate | None = None
    course: ThresholdCourse | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        drawn = [
            draw(generator, self.samples, self.store, self.drawing.crop)
            for generator in self.drawing.generators(step)
        ]
        blurry = torch.cat([self.store.cut(sample.blurry, crop) for sample, crop in drawn])
        reblur = self.moving.around(drawn) if self.moving else None
        target = self.targets(drawn, blurry, reblur, threshold=self.threshold_at(step))
        truths = [
            self.store.cut(sample.truth, crop) for sample, crop in drawn if sample.truth is not None
        ]
        truth = torch.cat(truths) if len(truths) == len(drawn) else None
        return Batch(blurry, target.image, target.weight, truth, reblur=reblur)

    def threshold_at(self, step: int) -> float | None:
        """Smallest confidence that may speak at a step; None for the bank's."""
        return None if self.course is None else self.course.at(step)

    def targets(
        self,
        drawn: Sequence[tuple[Sample, Crop]],
        blurry: Float[Tensor, "b 3 h w"],
        reblur: Reblur | None,
        *,
        threshold: float | None = None,
    ) -> PseudoSharp:
        """Targets of boxes of one size.

        Args:
            drawn: blurry frames, and a box of each.
            blurry: what the boxes show.
            reblur: how they came to be blurry; without it there is no gate.
            threshold: smallest confidence that may speak, if another than the bank's.
        """
        made = [
            self.bank.target(self.round, sample, crop, threshold=threshold)
            for sample, crop in drawn
        ]
        target = PseudoSharp(
            torch.cat([one.image for one in made]),
            torch.cat([one.weight for one in made]),
            torch.cat([one.support for one in made]),
        )
        if reblur is None or self.gate is None:
            return target
        return self.gate(target, blurry, reblur.motion, reblur.sure, reblur.exposure)


def draw(
    generator: torch.Generator, samples: Sequence[Sample], store: FrameStore, side: int
) -> tuple[Sample, Crop]:
    """A sample and a box in it, anywhere, any flip.

    Raises:
        UserError: the frame is smaller than the box, so that a batch could not be put together.
    """
    sample = samples[randint(generator, len(samples))]
    size = store.size(sample.blurry)
    if min(size) < side:
        raise UserError(
            f"{sample.blurry} is {size[1]}x{size[0]}, smaller than the crop of {side}",
            f"lower --crop to {min(size)} or less",
        )
    return sample, random_crop(generator, size, side)
