"""The frames held back, made ready to judge by: references, motion and targets, once per run.

Their targets are made in one way, whatever the run was told: a network that learns the faults of
its targets would else be praised for them. Measured with plain averages and no gate, judged by the
same: the agreement rose while the true PSNR fell.
"""

from collections.abc import Sequence
from pathlib import Path

from bluref.frames.crops import Crop
from bluref.frames.neighbours import with_neighbours
from bluref.frames.randomness import item_generator, randint
from bluref.frames.references import Sample
from bluref.pseudo.bank import Bank, BlurryItself
from bluref.pseudo.coverage import most_covering
from bluref.pseudo.exposure import fit_exposure
from bluref.pseudo.gate import THRESHOLD
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.train.banks import gate_of, sharper_of
from bluref.train.batches import Drawing, PseudoBatches
from bluref.train.data import TrainingData
from bluref.train.moving import USUAL, Moving
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.validation import Held

FOLDER = "validation"
# Frames that are looked at, spread over all that are held back, and the side of a box of each in
# pixels: a look then costs as much as four steps.
LOOKED_AT, SIDE = 24, 192
# What their targets are made by: references alone, for a frame would agree with itself.
JUDGE = Recipe(keep_sharp=False)
WITHOUT = "no checkpoint is chosen, the last one is the result"


def judging_bank(bank: Bank, run: Path) -> Bank:
    """Of the targets of frames held back, beside the bank of a run's own."""
    strategy = strategy_named(JUDGE.strategy)
    return bank.beside(
        run / FOLDER / "bank",
        strategy=strategy,
        threshold=min(strategy.threshold_for(bank.matcher), THRESHOLD),
        even=JUDGE.even,
        sharper=sharper_of(JUDGE),
    )


def hold_ready(
    run: Path,
    recipe: Recipe,
    found: TrainingData,
    bank: Bank,
    moving: Moving | None,
    observer: Observer,
) -> list[Held]:
    """Boxes of frames held back with their targets; what is on disk already is kept.

    None where nothing is held back, or where nothing could be said of it.

    Args:
        run: the run folder; `validation` in it holds the matches.
        recipe: of the run.
        found: with the samples held back.
        bank: of the run's targets: its matcher and frames serve here as well.
        moving: how the training frames moved, if it is known; what is held back was exposed for as
            long.
        observer: watches.

    Raises:
        UserError: frames cannot be read, or the disk is full.
    """
    if not found.held:
        if recipe.hold_out is None and not any(sample.truth for sample in found.samples):
            apart = f" and references {recipe.delta} frames from them" if recipe.delta > 1 else ""
            observer.on_message(f"no clip is long enough to hold frames back{apart}: {WITHOUT}")
        return []
    bank = judging_bank(bank, run)
    samples = most_covering(
        _spread(found.held), recipe.refs, matcher=bank.matcher, store=bank.store
    )
    bank.refresh(0, samples, BlurryItself(), tell=observer.on_hold_out)
    exposure = recipe.exposure if moving is None else moving.exposure
    own = _moving(run, samples, found, bank, exposure)
    batches = PseudoBatches(
        samples,
        bank.store,
        Drawing(recipe.seed, len(samples), SIDE),
        bank,
        round=0,
        moving=own,
        gate=gate_of(JUDGE),
    )
    held = [_held(sample, batches) for sample in samples]
    if not any(one.tells(recipe.min_coverage) for one in held):
        observer.on_message(f"references show nothing of the frames held back: {WITHOUT}")
        return []
    return held


def _held(sample: Sample, batches: PseudoBatches) -> Held:
    crop = _box(sample, batches)
    blurry = batches.store.cut(sample.blurry, crop)
    reblur = batches.moving.around([(sample, crop)]) if batches.moving else None
    target = batches.targets([(sample, crop)], blurry, reblur)
    return Held(sample.blurry, crop, blurry, target, reblur)


def _box(sample: Sample, batches: PseudoBatches) -> Crop:
    """A box anywhere in the frame: what it shows at its middle is often what moves least."""
    size = batches.store.size(sample.blurry)
    generator = item_generator(batches.drawing.seed, "validation", sample.blurry.key)
    height, width = (min(SIDE, side) for side in size)
    top, left = randint(generator, size[0] - height + 1), randint(generator, size[1] - width + 1)
    return Crop(top, left, height, width)


def _moving(
    run: Path, samples: Sequence[Sample], found: TrainingData, bank: Bank, exposure: float | None
) -> Moving | None:
    """How the frames held back moved; None where they have no neighbours.

    Args:
        run: the run folder.
        samples: held back.
        found: with the frames around them.
        bank: of their targets.
        exposure: in frame intervals; found by those targets if it is not known.
    """
    plain = strategy_named("average")  # each neighbour is matched by itself
    matches = bank.beside(run / FOLDER / "motion", strategy=plain, threshold=0.0, even=False)
    beside = with_neighbours([sample.blurry for sample in samples], found.around)
    if not beside:
        return None
    motion = FootageMotion(beside, matches)
    motion.find()
    if exposure is None:
        targets = bank.beside(run / FOLDER / "exposure")
        exposure = fit_exposure(samples, targets, motion).exposure or USUAL
    return Moving(motion, exposure)


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """At most so many, evenly spread."""
    count = min(LOOKED_AT, len(samples))
    return [samples[place * len(samples) // count] for place in range(count)]
