"""A gate for targets: blurred along the motion of its frame, a target must be the blurry frame.

Where it is not, it shows the wrong thing or shows it in the wrong place. Colours alone would not
tell: a sharp target ought to differ from the blurry frame.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Motion, Shutter, expose_along, stays_inside
from bluref.measure.gaussian import filter_planes, gaussian_window
from bluref.pseudo.target import PseudoSharp

# Threshold from which a reference may speak where a gate judges afterwards.
THRESHOLD = 0.5
# Moments of the exposure that are added up.
MOMENTS = 15
# Confidence of the motion below which nothing is known of it: a frame alone, or a cut.
LOST = 0.1
# Window over which differences are averaged: standard deviation and side, in pixels.
WINDOW, SIDE = 1.0, 7


def gated(
    target: PseudoSharp,
    blurry: Float[Tensor, "b 3 h w"],
    motion: Motion,
    sure: Float[Tensor, "b 1 h w"],
    exposure: float,
    *,
    half: float,
) -> PseudoSharp:
    """The target, trusted less where it does not explain the blurry frame.

    trust * 1 / (1 + d^2 / half^2), where d^2 is the mean over a small window of the squared
    difference of brightness between the re-blurred target and the blurry frame. Where things come
    in from beyond the box, or the motion is not known, there is nothing to say. Goes beyond the
    paper.

    Args:
        target: silent pixels of it are taken from the blurry frame.
        blurry: the frame that it is a sharp version of.
        motion: around that frame.
        sure: confidence of the motion, in [0, 1].
        exposure: in frame intervals.
        half: difference, of values in [0, 1], that halves the trust; above 0.
    """
    if half <= 0:
        raise ValueError(f"half must be above 0, got {half}")
    sharp = torch.where(target.mask, target.image, blurry)
    again = expose_along(sharp, motion, Shutter(exposure), moments=MOMENTS)
    difference = (again - blurry).mean(dim=1, keepdim=True).square()
    rim = SIDE // 2
    padded = F.pad(difference, (rim,) * 4, mode="replicate")
    local = filter_planes(padded, gaussian_window(SIDE, WINDOW, like=padded))
    agreement = 1 / (1 + local / half**2)
    known = stays_inside(motion, exposure) & (sure >= LOST)
    return replace(target, weight=target.weight * agreement.where(known, torch.ones(())))
