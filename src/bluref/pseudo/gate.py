"""What the motion of a frame says of its target.

Blurred along that motion, a target must be the blurry frame. Where it is not, it shows the wrong
thing or shows it in the wrong place. Colours alone would not tell: a sharp target ought to differ
from the blurry frame. And where motion hardly blurs the frame, nothing shows it better than itself.
"""

from dataclasses import dataclass, replace

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
# Pixels of blur up to which a warped reference is no sharper than the frame, and from which it is:
# measured against truth, the best share of the reference is 0 up to 1.5 pixels and .9 from 4.
BLURRED = (1.0, 4.0)


@dataclass(frozen=True)
class Gate:
    """How targets are judged by the motion of their frames.

    Attributes:
        half: difference, of values in [0, 1], that halves the trust; above 0.
        keep_sharp: whether a frame is its own target where it is hardly blurred.
    """

    half: float
    keep_sharp: bool = False

    def __call__(
        self,
        target: PseudoSharp,
        blurry: Float[Tensor, "b 3 h w"],
        motion: Motion,
        sure: Float[Tensor, "b 1 h w"],
        exposure: float,
    ) -> PseudoSharp:
        """The target, trusted as far as it explains the frame; arguments as of `gated`."""
        judged = gated(target, blurry, motion, sure, exposure, half=self.half)
        if not self.keep_sharp:
            return judged
        return kept_where_sharp(judged, blurry, motion.blur(exposure), sure)


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


def kept_where_sharp(
    target: PseudoSharp,
    blurry: Float[Tensor, "b 3 h w"],
    blur: Float[Tensor, "b 1 h w"],
    sure: Float[Tensor, "b 1 h w"],
) -> PseudoSharp:
    """The target with the frame's own pixels where motion blurs them by hardly one.

    Resampling has cost a warped reference some sharpness, and a flow is never exact: a frame that
    stood still is its own best target. frame + share * (target - frame), where the share rises
    with the blur from 0 to 1. Trust and support stay. Goes beyond the paper.

    Args:
        target: silent pixels of it stay so.
        blurry: the frame that it is a sharp version of.
        blur: its length in pixels (`degrade.motion.Motion.blur`).
        sure: confidence of the motion, in [0, 1]; where it is lost, the target stays.
    """
    share = share_of_references(blur, sure)
    own = blurry + share * (target.image - blurry)
    return replace(target, image=own * target.mask)


def share_of_references(
    blur: Float[Tensor, "b 1 h w"], sure: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """From 0, where motion hardly blurs, to 1, where it does or is not known."""
    low, high = BLURRED
    share = ((blur - low) / (high - low)).clamp(0, 1)
    return share.where(sure >= LOST, torch.ones(()))
