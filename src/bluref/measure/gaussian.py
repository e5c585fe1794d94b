"""The Gaussian window that structural similarity and drift are measured through."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def gaussian_window(size: int, sigma: float, like: Tensor) -> Float[Tensor, " {size}"]:
    """Samples of exp(-x^2 / 2 sigma^2) at pixel distances from the middle, summing to 1.

    Args:
        size: number of samples; odd.
        sigma: standard deviation, px.
        like: device and dtype of the result.
    """
    x = torch.arange(size, device=like.device, dtype=torch.float64) - size // 2
    window = torch.exp(-x.square() / (2 * sigma**2))
    return (window / window.sum()).to(like.dtype)


def filter_planes(
    x: Float[Tensor, "b c h w"], window: Float[Tensor, " k"]
) -> Float[Tensor, "b c H W"]:
    """Filter rows and columns of each channel where the window fits: H = h - k + 1, same for W."""
    b, c, h, w = x.shape
    planes = x.reshape(b * c, 1, h, w)
    planes = F.conv2d(F.conv2d(planes, window[None, None, None, :]), window[None, None, :, None])
    return planes.reshape(b, c, *planes.shape[-2:])
