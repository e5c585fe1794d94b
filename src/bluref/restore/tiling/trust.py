"""Where to believe the result, told from what the network did and at no cost.

The farther a network moves a patch from what it was shown, the more it had to guess. Of what can
be known at test time this tells the error about as well as the disagreement between predictions of
the flipped picture, which costs three times the work, and better than local against global pooling;
`bench/trust_scores.py` prints the comparison.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PATCH = 9
"""Side of the patch around each pixel over which the change is averaged, px."""
HALF, STEEPNESS = 0.0376, 1.25
"""Fitted to frames with known truth: trust is 1/2 where a patch was changed by HALF on average."""


def trust(tile: Float[Tensor, "3 h w"], result: Float[Tensor, "3 h w"]) -> Float[Tensor, "1 h w"]:
    """The chance that the result is within 10 levels of 255 of the truth, patch by patch.

    1 / (1 + (m / HALF)^STEEPNESS) with m the mean absolute change over colours and the patch; 0
    where the result is not finite.

    Args:
        tile: what the network was shown, [0, 1].
        result: what it made of it.
    """
    change = (result - tile).abs().mean(dim=0, keepdim=True)[None]
    half = PATCH // 2
    patch = F.avg_pool2d(change, PATCH, stride=1, padding=half, count_include_pad=False)[0]
    believed: Tensor = 1 / (1 + (patch / HALF) ** STEEPNESS)
    return torch.nan_to_num(believed, nan=0.0)
