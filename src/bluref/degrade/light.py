"""From sRGB-encoded values to linear light and back; linear light exists only in this room.

Light adds up linearly, encoded values do not: a blurry exposure is a mean in linear light. The
curve is a plain power of 2.2, which the makers of GoPro-like sets use, not the piecewise sRGB one.
"""

from jaxtyping import Float
from torch import Tensor

GAMMA = 2.2


def to_linear(image: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Encoded values in [0, 1] as linear light in [0, 1]; values outside are clamped first."""
    return image.clamp(0, 1).pow(GAMMA)


def to_srgb(light: Float[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Linear light in [0, 1] as encoded values in [0, 1]; values outside are clamped first."""
    return light.clamp(0, 1).pow(1 / GAMMA)
