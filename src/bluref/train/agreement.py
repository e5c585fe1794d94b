"""Figures of a deblurred picture without its truth. None of them is a PSNR, and none is called so.

The agreement compares with a pseudo-sharp target. The other two need no reference: blurred again
along its motion, the picture must be the blurry frame; and it must hold detail that is no noise.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Shutter, expose_along, stays_inside
from bluref.train.reblur import SURE, Reblur

# Decibels that nothing exceeds: pictures that are equal.
MOST = 99.0
# Moments of the exposure that are added up.
MOMENTS = 15
# Side in pixels of the cells whose energies are compared, and the share of them that is calmest.
CELL, CALM = 16, 0.1


def agreement(
    image: Float[Tensor, "b 3 h w"],
    target: Float[Tensor, "b 3 h w"],
    weight: Float[Tensor, "b 1 h w"],
) -> Float[Tensor, " b"]:
    """-10 log10 of the mean squared difference, each pixel weighed by the trust in the target.

    In dB, at most 99; NaN where the target is trusted nowhere. It stays below what a PSNR against
    the truth would be, since the target is wrong as well: only differences mean something.

    Args:
        image: what is judged, in [0, 1].
        target: pseudo-sharp.
        weight: trust in it, in [0, 1].
    """
    return _decibels((image - target).square(), weight)


def reblurred(
    image: Float[Tensor, "b 3 h w"], blurry: Float[Tensor, "b 3 h w"], reblur: Reblur
) -> Float[Tensor, " b"]:
    """The same of the picture, blurred again along its motion, and the blurry frame.

    In dB, at most 99; NaN where nothing is known of the motion. It cannot tell whether detail that
    the blur has taken away is right.

    Args:
        image: what is judged, in [0, 1].
        blurry: the frame that it was made of.
        reblur: how that came to be blurry.
    """
    again = expose_along(image, reblur.motion, Shutter(reblur.exposure), moments=MOMENTS)
    valid = (reblur.sure >= SURE) & stays_inside(reblur.motion, reblur.exposure)
    return _decibels((again - blurry).square(), valid.to(image.dtype))


def detail(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Energy of the finest gradients, beyond what the calmest cells of the picture hold, in dB.

    Noise is everywhere, so that the calmest tenth of all cells tells how much of the energy is
    noise. Blur lowers the rest. Ringing and invented edges raise it: more is not better by itself.

    Args:
        image: in [0, 1]; a side below `CELL` is one cell.
    """
    grey = image.mean(dim=1, keepdim=True)
    across = grey.diff(dim=-1)[..., 1:, :].square()
    energy = across + grey.diff(dim=-2)[..., 1:].square()
    cell = (min(CELL, energy.shape[-2]), min(CELL, energy.shape[-1]))
    cells = F.avg_pool2d(energy, cell).flatten(1)
    beyond = (cells - cells.quantile(CALM, dim=1, keepdim=True)).clamp(min=0)
    return 10 * (beyond.mean(dim=1) + 10 ** (-MOST / 10)).log10()


def _decibels(
    error: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Float[Tensor, " b"]:
    total = (error * weight).sum(dim=(1, 2, 3))
    mean = total / (error.shape[1] * weight.sum(dim=(1, 2, 3)))
    return (-10 * mean.log10()).clamp(max=MOST)
