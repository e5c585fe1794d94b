"""The one image type, and its way from and to 8-bit arrays.

An image is RGB float32 in [0, 1], sRGB-encoded, shaped `b 3 h w`. Files and video frames are
8-bit arrays shaped `h w 3`; these functions are the only border between the two.
"""

import numpy as np
import torch
from jaxtyping import Float, UInt, UInt8
from torch import Tensor


def to_uint8(image: Float[Tensor, "*b 3 h w"]) -> UInt8[Tensor, "*b 3 h w"]:
    """Clamp to [0, 1], scale to [0, 255] and round to the nearest integer, halves to even."""
    return to_depth(image, 8)


def to_depth(values: Float[Tensor, "*shape"], bits: int) -> UInt[Tensor, "*shape"]:
    """As `to_uint8` does, any values to 8 or 16 bits; 16 scale to [0, 65535], `torch.uint16`."""
    whole: Tensor = values.detach().clamp(0, 1).mul_(2**bits - 1).round_()
    return whole.to(torch.uint8 if bits == 8 else torch.uint16)


def from_uint8(pixels: UInt8[Tensor, "*b 3 h w"]) -> Float[Tensor, "*b 3 h w"]:
    """Scale 8-bit values to [0, 1]; `to_uint8` returns exactly the values given here."""
    return pixels.to(torch.float32) / 255


def from_array(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "1 3 h w"]:
    """An 8-bit RGB array as an image."""
    return from_uint8(torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None])


def to_array(image: Float[Tensor, "1 3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """One image as an 8-bit RGB array."""
    return np.ascontiguousarray(to_uint8(image)[0].permute(1, 2, 0).cpu().numpy())
