"""Peak signal-to-noise ratio."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.media.pixels import from_uint8, to_uint8

PROTOCOL = "PSNR in dB, RGB, range [0, 1], whole image, mean of per-image values"


def psnr(
    image: Float[Tensor, "b 3 h w"],
    truth: Float[Tensor, "b 3 h w"],
    *,
    mask: Bool[Tensor, "b 1 h w"] | None = None,
) -> Float[Tensor, " b"]:
    """-10 log10 of the mean squared error over all pixels and channels, in dB per image.

    Published tables round both images to 8 bits before; do so with `on_8_bit`. Equal images give
    infinity, an image whose mask is empty gives NaN.

    Args:
        image: what is judged, [0, 1].
        truth: what it should be, [0, 1].
        mask: the pixels that count; all where None.
    """
    error = (image - truth).square()
    if mask is None:
        mean = error.mean(dim=(1, 2, 3))
    else:
        mean = (error * mask).sum(dim=(1, 2, 3)) / (error.shape[1] * mask.sum(dim=(1, 2, 3)))
    return -10 * torch.log10(mean)


def on_8_bit(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """The image as an 8-bit file would hold it: clamped to [0, 1] and rounded."""
    return from_uint8(to_uint8(image))
