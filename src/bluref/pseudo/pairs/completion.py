"""A whole sharp picture out of a target that is silent in places, and how good it should be.

A trainer that knows nothing of trust takes every pixel for true: the silent ones of a target would
teach it black. They are filled with what the network made of the blurry frame.
"""

import math
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.pseudo.target import PseudoSharp

FULL = 0.5
"""Trust from which on a pixel is the target's alone.

On `davis_blur`, best in mean squared error would be a share of the references that rises from 0.2
at a trust of 0.15 to 0.8 at 0.45 and stays below 0.9; a straight rise to 1 is within 0.1 dB of it,
and what is trusted stays what the references show, free of the network's own mistakes.
"""
# Window over which the strength of detail is averaged, in pixels.
DETAIL = 9
# dB of a doubt of 1: fitted on pairs of three kinds alike (`bench/expected_error.py`), references
# next to the frame, the same in scenes that no network saw, and references ten frames away.
OFFSET = 15.3


@dataclass(frozen=True)
class Completed:
    """A sharp picture without holes.

    Attributes:
        image: RGB in [0, 1].
        share: of each pixel, how much of it the references gave; the network gave the rest.
        expected_psnr: dB that it should have against the truth.
    """

    image: Float[Tensor, "1 3 h w"]
    share: Float[Tensor, "1 1 h w"]
    expected_psnr: float


def completed(target: PseudoSharp, deblurred: Float[Tensor, "1 3 h w"]) -> Completed:
    """The target, filled with the deblurred frame by as much as trust falls short of `FULL`.

    Args:
        target: of a whole frame.
        deblurred: what the network made of that frame.
    """
    share = (target.weight / FULL).clamp(0, 1) * target.mask
    image = (share * target.image + (1 - share) * deblurred).clamp(0, 1)
    return Completed(image, share, expected_psnr(image, target.weight))


def expected_psnr(image: Float[Tensor, "1 3 h w"], trust: Float[Tensor, "1 1 h w"]) -> float:
    """PSNR in dB that a completed picture should have against the truth, which nobody has.

    An error needs doubt, and something to be wrong about: doubt is the mean over pixels of
    (1 - trust)^2 times the root of the strength of detail, the root mean square gradient of
    brightness around the pixel. The mean squared error is taken to be in proportion to it.

    It ranks the pairs of one run well. Its level is right within some 1.5 dB in the mean of a run:
    how sure a matcher is for how large an error depends on how far the references are.

    Args:
        image: the picture.
        trust: in it, in [0, 1].
    """
    grey = F.pad(image.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    energy = F.avg_pool2d(
        across.square() + down.square(), DETAIL, 1, DETAIL // 2, count_include_pad=False
    )
    doubt = ((1 - trust).square() * energy.pow(0.25)).mean().item()
    return OFFSET - 10 * math.log10(max(doubt, 1e-6))
