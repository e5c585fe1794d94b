"""What moves in the footage and how long the shutter was open, found before training begins."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from bluref.degrade.motion import Motion
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import Sample
from bluref.media.whole import write_text_whole
from bluref.pseudo.bank import Bank
from bluref.pseudo.exposure import ExposureFit, fit_exposure
from bluref.pseudo.gate import LOST
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.pseudo.targets import whole_frame
from bluref.train.data import TrainingData
from bluref.train.observe import Observer
from bluref.train.processes import Processes
from bluref.train.reblur import Reblur, joined
from bluref.train.recipe import Recipe

# Frame intervals, where the footage does not tell: cameras can hardly leave it open for longer.
USUAL = 1.0
FIT = "exposure.json"
# For lengths of blur: frames that are looked at, of each every n-th pixel of known motion, and
# how finely lengths are told.
LOOKED_AT = 24
THINNED = 97
STILL = 0.5  # pixels
QUANTILES = 21


@dataclass(frozen=True)
class Moving:
    """Motion of the footage.

    Attributes:
        motion: around every frame that has neighbours in time.
        exposure: of the blurry frames, in frame intervals.
    """

    motion: FootageMotion
    exposure: float

    def around(self, drawn: Sequence[tuple[Sample, Crop]]) -> Reblur:
        """How boxes of blurry frames came to be blurry; of a frame alone nothing is sure."""
        return joined([self._around(sample.blurry, crop) for sample, crop in drawn])

    def lengths(self, frames: Sequence[Frame]) -> tuple[float, ...] | None:
        """How far blur smears what frames show: quantiles in pixels, the extremes among them.

        What stands still does not count: a kernel blurs all of a crop alike, and pairs without blur
        teach nothing.

        Args:
            frames: blurry ones; `LOOKED_AT` of them at most are looked at, evenly spread.

        Returns:
            None where no motion is known, or nothing moves.
        """
        known = [s for s in map(self.motion.sample, frames) if s is not None]
        count = min(len(known), LOOKED_AT)
        seen = []
        for sample in (known[len(known) * n // count] for n in range(count)):
            motion, sure = self.motion.around(sample, whole_frame(self.motion.size(sample)))
            blur = motion.blur(self.exposure)
            seen.append(blur[(sure >= LOST) & (blur >= STILL)][::THINNED])
        pixels = torch.cat(seen) if seen else torch.empty(0)
        if not len(pixels):
            return None
        levels = torch.linspace(0, 1, QUANTILES)
        return tuple(pixels.float().quantile(levels).tolist())

    def digest(self, frame: Frame) -> str | None:
        """Of what is known of a frame's motion; None if nothing is."""
        sample = self.motion.sample(frame)
        return None if sample is None else self.motion.bank.digest(0, sample)

    def _around(self, frame: Frame, crop: Crop) -> Reblur:
        sample = self.motion.sample(frame)
        if sample is not None:
            return Reblur(*self.motion.around(sample, crop), self.exposure)
        still = torch.zeros(1, 2, crop.height, crop.width)
        return Reblur(Motion(still, still), still[:, :1], self.exposure)


def motion_of(
    frames: Sequence[Frame], run: Path, bank: Bank, *, beside: Sequence[Frame] = ()
) -> FootageMotion:
    """The motion around frames, matched already or still to be.

    Args:
        frames: of a run, whatever their role; those of them without neighbours are left out.
        beside: more frames that may be neighbours.
        run: the run folder; `motion` in it holds the matches.
        bank: of the run's targets.
    """
    plain = strategy_named("average")  # each neighbour is matched by itself
    matches = bank.beside(run / "motion", strategy=plain, threshold=0.0, even=False)
    return FootageMotion(with_neighbours(frames, (*frames, *beside)), matches)


def find_moving(
    run: Path,
    recipe: Recipe,
    found: TrainingData,
    bank: Bank,
    observer: Observer,
    processes: Processes,
) -> Moving | None:
    """Match every frame with its neighbours, and fit the exposure unless the recipe gives it.

    What is on disk already is kept: interrupted, it goes on where it was. Several processes share
    the frames; the first of them fits the exposure.

    Args:
        run: the run folder; `motion` in it holds the matches, `exposure.json` what was found.
        recipe: of the run.
        found: blurry and sharp frames.
        bank: of the run's targets.
        observer: watches.
        processes: who else trains.

    Returns:
        None where frames have no neighbours: single photographs do not show how things move.

    Raises:
        UserError: frames cannot be read, or the disk is full.
    """
    motion = motion_of(found.learnt, run, bank, beside=found.beside)
    if not motion.samples:
        observer.on_message(
            "no frame has a neighbour in time: sharp frames are blurred by random kernels,"
            " and nothing is blurred again (--gate, --reblur)"
        )
        return None
    try:
        motion.find(first=processes.rank, every=processes.count, tell=observer.on_motion)
    except Exception:
        processes.any(True)  # or the others would wait for ever
        raise
    if processes.any(False):
        raise UserError("another process failed to follow the motion", "see what it said")
    with processes.first_goes_first():
        exposure = recipe.exposure or _exposure(run, found, bank, motion, observer)
    return Moving(motion, exposure)


def _exposure(
    run: Path, found: TrainingData, bank: Bank, motion: FootageMotion, observer: Observer
) -> float:
    """What was found when the run began, or is found now."""
    path = run / FIT
    with suppress(OSError, ValueError, TypeError):
        return ExposureFit(**json.loads(path.read_text("utf-8"))).exposure or USUAL
    targets = bank.beside(run / "motion" / "targets")
    fit = fit_exposure(found.samples, targets, motion, tell=observer.on_exposure)
    write_text_whole(path, json.dumps(asdict(fit)) + "\n")
    if fit.exposure is None:
        observer.on_message(
            f"how long the shutter was open cannot be told; taken for {USUAL:g} frame intervals"
            " (--exposure sets it)"
        )
        return USUAL
    observer.on_message(
        f"the shutter was open for {fit.exposure:.2f} frame intervals"
        f" (found on {len(fit.answers)} frames)"
    )
    return fit.exposure
