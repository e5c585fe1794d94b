"""The Gaussian window that structural similarity and drift are measured through."""

from collections.abc import Sequence

import torch
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
    """Filter rows and columns of each channel where the window fits: H = h - k + 1, same for W.

    As sums of shifted pictures: several times as fast on a CPU as a convolution of one channel.
    """
    weights = window.tolist()
    return _filter_along(_filter_along(x, weights, dim=-1), weights, dim=-2)


def _filter_along(x: Tensor, weights: Sequence[float], *, dim: int) -> Tensor:
    length = x.shape[dim] - len(weights) + 1
    total = weights[0] * x.narrow(dim, 0, length)
    for shift, weight in enumerate(weights[1:], start=1):
        total.add_(x.narrow(dim, shift, length), alpha=weight)
    return total
