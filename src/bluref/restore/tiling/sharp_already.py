"""Whether a picture is sharp as it is, told from itself alone.

How strong its edges are tells texture from plain walls, not focus. How much weaker they are at the
finest scale than at the next does: motion blur takes the finest detail along its direction from
every texture. A moving thing before a sharp background must not be missed, so the blurriest patches
count, not the mean.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PATCH = 96
"""Side of a patch, px."""
SHARP = 1.75
"""Ratio that nine of ten textured patches stay below in a picture that counts as sharp; white noise
has 1/4, what is smooth 4. None of 181 frames with real motion blur comes below 1.85; see
docs/experiments.md."""
TEXTURE = 2e-5
"""Mean square of the differences of brightness in a patch that says anything."""
FEWEST = 6
"""Textured patches that allow a verdict."""
_FLOOR = 6e-6  # what rounding to 8 bits adds to a mean square


def is_sharp_already(image: Float[Tensor, "3 h w"]) -> bool:
    """Whether nine of ten textured patches are sharp in every direction.

    For each patch and four directions, the energy of central differences after averaging 2x2 pixels
    is divided by that before; the largest of the four is the patch's blur. What noise adds to both
    is taken away first, or noise would pass for fine detail. Too few textured patches give False.
    """
    if min(image.shape[-2:]) < PATCH:
        return False
    fine, coarse = edges(image)
    textured = fine.mean(dim=0) > TEXTURE
    if int(textured.sum()) < FEWEST:
        return False
    blur = ratio(fine, coarse).amax(dim=0)[textured]
    return bool(torch.quantile(blur, 0.9) < SHARP)


def edges(
    image: Float[Tensor, "3 h w"],
) -> tuple[Float[Tensor, "4 m n"], Float[Tensor, "4 m n"]]:
    """Energy of edges in four directions, patch by patch: as they are, and seen at half the size.

    What noise adds is taken away.

    Args:
        image: RGB in [0, 1], neither side below PATCH.
    """
    grey = image.mean(dim=0)[None, None]
    fine, coarse = _energies(grey, PATCH), _energies(F.avg_pool2d(grey, 2), PATCH // 2)
    sigma = noise(image)
    h, w = (min(a, b) for a, b in zip(fine.shape[-2:], coarse.shape[-2:], strict=True))
    return fine[..., :h, :w] - 2 * sigma**2, coarse[..., :h, :w] - sigma**2 / 2


def ratio(fine: Float[Tensor, "4 m n"], coarse: Float[Tensor, "4 m n"]) -> Float[Tensor, "4 m n"]:
    """How much of the finest detail is gone by direction: 1 or less where none, 4 where all."""
    return coarse / fine.clamp_min(_FLOOR)


def noise(image: Float[Tensor, "3 h w"]) -> float:
    """Standard deviation of the noise of the grey image, in [0, 1]; fine texture adds to it.

    The median absolute second difference over 2x2 pixels, over that of the standard normal
    distribution (Donoho and Johnstone, 1994).
    """
    h, w = (side // 2 * 2 for side in image.shape[-2:])
    grey = image.mean(dim=0)[:h, :w]
    if grey.numel() == 0:
        return 0.0
    across = grey[::2] - grey[1::2]
    detail = (across[:, ::2] - across[:, 1::2]) / 2
    return float(detail.abs().median()) / 0.6745


def _energies(grey: Float[Tensor, "1 1 h w"], patch: int) -> Float[Tensor, "4 m n"]:
    """Mean square of the differences along x, y and both diagonals, patch by patch."""
    x = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    y = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    down = grey[..., 2:, 2:] - grey[..., :-2, :-2]
    up = grey[..., 2:, :-2] - grey[..., :-2, 2:]
    squares = torch.cat([x.square(), y.square(), down.square() / 2, up.square() / 2])
    return F.avg_pool2d(F.pad(squares, (1, 1, 1, 1)), patch)[:, 0]
