"""From sRGB-encoded values to linear light and back; linear light exists only in this room.

Light adds up linearly, encoded values do not: a blurry exposure is a mean in linear light. The
curve is a plain power of 2.2, which the makers of GoPro-like sets use, not the piecewise sRGB one.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

GAMMA = 2.2


def to_linear(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Encoded values in [0, 1] as linear light in [0, 1]; values outside are clamped first."""
    return image.clamp(0, 1).pow(GAMMA)


def to_srgb(light: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Linear light in [0, 1] as encoded values in [0, 1]; values outside are clamped first."""
    return light.clamp(0, 1).pow(1 / GAMMA)


def mean_light(
    image: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"], side: int
) -> Float[Tensor, "b 3 q r"]:
    """The encoded picture of the mean light over squares of pixels, as a coarse sensor has it.

    Args:
        image: sRGB-encoded, in [0, 1].
        weight: of each pixel, 0 or more; a square without any comes out black.
        side: of the squares; those at the right and bottom hold what is left.
    """
    light, mass = (
        F.avg_pool2d(x, side, ceil_mode=True) for x in (to_linear(image) * weight, weight)
    )
    return to_srgb(light / mass.clamp(min=1e-6))
