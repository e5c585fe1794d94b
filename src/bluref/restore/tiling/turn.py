"""Pictures turned upright, and back to how their file holds them."""

from jaxtyping import Float
from torch import Tensor

ORIENTATIONS = range(1, 9)
"""As EXIF counts them (CIPA DC-008, tag 274); 1 is upright."""


def flips(orientation: int) -> tuple[bool, bool]:
    """Whether rows and columns of the stored picture run backwards.

    Raises:
        ValueError: none of ORIENTATIONS.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation must lie in 1 to 8, got {orientation}")
    return orientation in (3, 4, 6, 7), orientation in (2, 3, 7, 8)


def turn_upright(stored: Float[Tensor, "*b h w"], orientation: int) -> Float[Tensor, "*b H W"]:
    """As it is meant to be seen: flipped where it runs backwards, then transposed from 5 on."""
    flipped = _flip(stored, orientation)
    return flipped.mT if orientation > 4 else flipped


def turn_back(upright: Float[Tensor, "*b h w"], orientation: int) -> Float[Tensor, "*b H W"]:
    """The inverse of `turn_upright`."""
    return _flip(upright.mT if orientation > 4 else upright, orientation)


def _flip(stored: Tensor, orientation: int) -> Tensor:
    axes = [axis for axis, backwards in zip((-2, -1), flips(orientation), strict=True) if backwards]
    return stored.flip(axes) if axes else stored
