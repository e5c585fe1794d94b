"""Whether a picture is out of focus rather than moved, told from itself alone.

Motion takes detail along its direction and leaves it across. A lens out of focus, as enlarging
does, takes it in all directions alike.
"""

from jaxtyping import Float
from torch import Tensor

from bluref.restore.tiling.sharp_already import FEWEST, PATCH, TEXTURE, edges, ratio

SOFT = 2.2
"""Least ratio of coarse to fine edges, over directions, in half of the textured patches."""
ALIKE = 1.2
"""Largest quotient of the greatest and the least of these ratios, in half of them. No frame with
real motion blur (57 of `davis_blur`) is beyond both limits; see docs/experiments.md."""
_LEAST = 0.01


def is_out_of_focus(image: Float[Tensor, "3 h w"]) -> bool:
    """Whether half of the textured patches lack the finest detail in every direction alike.

    Texture is asked for at half the size, where defocus leaves some. Too little of it gives False.
    """
    if min(image.shape[-2:]) < PATCH:
        return False
    fine, coarse = edges(image)
    textured = coarse.mean(dim=0) > 4 * TEXTURE  # differences at half the size are twice as large
    if int(textured.sum()) < FEWEST:
        return False
    lost = ratio(fine, coarse)[:, textured]
    least, most = lost.amin(dim=0), lost.amax(dim=0)
    alike = most / least.clamp_min(_LEAST)
    return bool(least.median() > SOFT) and bool(alike.median() < ALIKE)
