"""How long the shutter was open: told by blurring pseudo-sharp targets until they look blurry.

A target shows what the blurry frame would have been, the neighbours show how everything moved. The
exposure is the length of that motion which makes the one of the other. No truth is involved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.pseudo.bank import Bank, BlurryItself
from bluref.pseudo.motion import FootageMotion

# Exposures that are tried, in frame intervals, evenly spaced.
TRIED = tuple(k / 4 for k in range(9))
FRAMES = 24  # that are asked, at most
REFERENCES = 2  # of each, the nearest in time: more find the same (docs/experiments.md)
FEWEST = 3  # that must have an answer
SIDE = 384  # of the box of each, in pixels, at most
BORDER = 24  # pixels at its edges that do not count: what moves in is not known
SURE = 0.5  # least confidence of the motion
REACH = 4  # pixels around whatever is not trusted that do not count either
LEAST = 0.01  # share of a box that must count
TELLING = 0.8  # of the error without blur, what the best exposure must leave at most


@dataclass(frozen=True)
class ExposureFit:
    """What was found.

    Attributes:
        exposure: in frame intervals; None if too few frames had an answer.
        answers: the exposure of each frame that had one.
    """

    exposure: float | None
    answers: Sequence[float]


def fit_exposure(
    samples: Sequence[Sample],
    targets: Bank,
    motion: FootageMotion,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> ExposureFit:
    """The median over some blurry frames of the exposure that explains them best.

    Args:
        samples: blurry frames with their references; some, spread over all, are asked.
        targets: a bank of its own, that nothing else is asked of: its round 0 is made of the blurry
            frames themselves, with few of their references.
        motion: around the blurry frames; must have been found.
        tell: called with (done, all).

    Raises:
        UserError: frames differ in size or cannot be read.
    """
    known = [sample for sample in samples if motion.sample(sample.blurry)]
    asked = [_briefly(s) for s in known[:: -(-len(known) // FRAMES)]] if known else []
    targets.refresh(0, asked, BlurryItself(), tell=lambda done, total: tell(done, 2 * total))
    answers = []
    for done, sample in enumerate(asked, start=len(asked) + 1):
        best = _explained(sample, targets, motion)
        answers += [] if best is None else [best]
        tell(done, 2 * len(asked))
    exposure = median(answers) if len(answers) >= FEWEST else None
    return ExposureFit(exposure, tuple(answers))


def _briefly(sample: Sample) -> Sample:
    """With the nearest few of its references; with all, where they are of other clips."""
    blurry = sample.blurry
    near = [frame for frame in sample.references if frame.clip == blurry.clip]
    near.sort(key=lambda frame: abs(frame.index - blurry.index))
    few = tuple(near[:REFERENCES]) if len(near) >= REFERENCES else sample.references
    return replace(sample, references=few)


def _explained(sample: Sample, targets: Bank, motion: FootageMotion) -> float | None:
    """The exposure that explains the middle of a blurry frame."""
    moving = motion.sample(sample.blurry)
    if moving is None:
        return None
    store = targets.store
    box = _middle(store.size(sample.blurry))
    target = targets.target(0, sample, box)
    around, sure = motion.around(moving, box)
    blurry = store.cut(sample.blurry, box)
    sharp = torch.where(target.mask, target.image, blurry)
    return exposure_between(sharp, blurry, around, _inner(target.mask & (sure >= SURE)))


def exposure_between(
    sharp: Float[Tensor, "1 3 h w"],
    blurry: Float[Tensor, "1 3 h w"],
    motion: Motion,
    valid: Bool[Tensor, "1 1 h w"],
) -> float | None:
    """The exposure that makes one picture of the other; None where none of `TRIED` explains it.

    Least squares over `TRIED`, and a parabola through the best and those beside it.

    Args:
        sharp: the frame as it might be.
        blurry: as it is.
        motion: around it.
        valid: which pixels count.
    """
    if valid.float().mean() < LEAST:
        return None
    weight = valid.float()
    errors = [
        float(((expose_along(sharp, motion, Shutter(e)) - blurry).square() * weight).sum())
        for e in TRIED
    ]
    best = min(range(len(errors)), key=errors.__getitem__)
    if best in (0, len(TRIED) - 1) or errors[best] > TELLING * errors[0]:
        return None
    left, here, right = errors[best - 1 : best + 2]
    bend = left - 2 * here + right
    aside = (left - right) / (2 * bend) if bend > 0 else 0.0
    return TRIED[best] + aside * (TRIED[1] - TRIED[0])


def _middle(size: tuple[int, int]) -> Crop:
    height, width = (min(side, SIDE) for side in size)
    return Crop((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def _inner(mask: Bool[Tensor, "1 1 h w"]) -> Bool[Tensor, "1 1 h w"]:
    """Without what lies near an edge of the box or near a pixel that is not in the mask."""
    outside = torch.ones_like(mask, dtype=torch.float32)
    inner = (..., slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    outside[inner] = 1 - mask[inner].float()
    return F.max_pool2d(outside, 2 * REACH + 1, 1, REACH) == 0
