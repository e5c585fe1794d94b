"""Brightness and white balance of references, evened out: cameras change both as they go.

A target that is built of a brighter frame would teach the network to brighten. Exposure and white
balance multiply linear light, one factor a channel, and so, by a power law, encoded values.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.light import mean_light
from bluref.match.protocol import Match

# Pixels over which both are averaged before they are compared: more than blur smears.
COARSE = 16
# Encoded values between which a mean says something about the exposure.
DARK, BRIGHT = 0.04, 0.96
# Mean confidence from which a place counts, and how many places must.
SURE, FEWEST = 0.3, 12
# Logarithms of factors: what blur alone may bring about, and more than cameras change.
BY_BLUR, MOST = 0.02, 1.0
# From here on a channel is clipped, and darkening it gives grey for white.
CLIPPED = 0.99


def gains(
    warped: Float[Tensor, "n 3 h w"],
    matches: Sequence[Match],
    blurry: Float[Tensor, "1 3 h w"],
) -> Float[Tensor, "n 3"]:
    """Factors by which encoded references become as bright and as warm as the blurry frame.

    Per reference and channel the median, weighed by confidence, of the ratio of local means where
    the reference is matched. 1 where nothing is known, where the change could be the blur's, or
    where it is beyond belief.

    Args:
        warped: sharp frames along the matches.
        matches: of the blurry frame with each.
        blurry: the frame itself, not what a network made of it: networks drift.
    """
    pairs = zip(warped, matches, strict=True)
    return torch.stack([_gain(image[None], match, blurry) for image, match in pairs])


def evened(
    warped: Float[Tensor, "n 3 h w"], gain: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, "n 1 h w"]]:
    """Warped references times their gains, and 1 where that is right: 0 where light was clipped.

    Args:
        warped: in [0, 1].
        gain: from `gains`.
    """
    factor = gain[:, :, None, None]
    lost = ((warped >= CLIPPED) & (factor < 1)).any(dim=1, keepdim=True)
    return (warped * factor).clamp(0, 1), (~lost).to(warped.dtype)


def _gain(
    warped: Float[Tensor, "1 3 h w"], match: Match, blurry: Float[Tensor, "1 3 h w"]
) -> Float[Tensor, "3"]:
    trust = match.confidence * match.inside
    # Of light, since blur keeps its mean; that of encoded values it raises.
    theirs, ours = (mean_light(image, trust, COARSE) for image in (warped, blurry))
    mass = F.avg_pool2d(trust, COARSE, ceil_mode=True)
    known = (mass >= SURE) & _exposed(theirs) & _exposed(ours)
    weight = mass * known
    if known.sum() < FEWEST:
        return warped.new_ones(3)
    ratio = (ours.clamp(min=DARK) / theirs.clamp(min=DARK)).log()
    change = torch.stack([_median(ratio[0, c], weight[0, 0]) for c in range(3)])
    told = (change.abs().amax() > BY_BLUR) & (change.abs().amax() <= MOST)
    return torch.where(told, change, torch.zeros_like(change)).exp()


def _exposed(mean: Float[Tensor, "1 3 q r"]) -> Bool[Tensor, "1 1 q r"]:
    return ((mean >= DARK) & (mean <= BRIGHT)).all(dim=1, keepdim=True)


def _median(values: Float[Tensor, "q r"], weights: Float[Tensor, "q r"]) -> Float[Tensor, ""]:
    """The value below which half of the weight lies."""
    ordered, order = values.flatten().sort()
    total = weights.flatten()[order].cumsum(dim=0)
    return ordered[int((total < total[-1] / 2).sum())]
