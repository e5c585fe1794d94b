"""Pictures as the classical methods of OpenCV take them."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from bluref.media.pixels import to_uint8

GreyImages = tuple[UInt8[np.ndarray, "_ _"], ...]


def grey_images(image: Float[Tensor, "b 3 h w"]) -> GreyImages:
    """8-bit luminance, one array per image; RGB in [0, 1] goes in."""
    arrays = to_uint8(image).permute(0, 2, 3, 1).cpu().numpy()
    return tuple(cv2.cvtColor(np.ascontiguousarray(a), cv2.COLOR_RGB2GRAY) for a in arrays)
