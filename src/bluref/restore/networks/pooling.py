"""Local pooling: what a network sums over the image, taken around each pixel instead.

A network trained on crops learns means over a crop; run on a whole photograph it meets means of
another kind. Chu, Chen, Chen, Lu: Improving Image Restoration by Revisiting Global Information
Aggregation (TLC), ECCV 2022, replaces each global mean by a sliding one as wide as 1.5 training
crops, and attention over the image by attention in windows of that size (`networks.attention`).
The sliding mean here is exact: one window per pixel, none skipped.
"""

from math import prod
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Side: TypeAlias = int | Int[Tensor, ""]

_LONGEST = 16  # numbers that a stage adds: fewer make more passes, more make longer ones


class Windowed(nn.Module):
    """Something that sums over the whole map, or over windows once `local_pooling` set their size.

    Args:
        stride: pixels of the image per pixel of the feature map, at this place in the network.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.window: int | None = None
        """Side of the square window in pixels of the feature map; None for the whole map."""
        self.given: Tensor | None = None
        """What takes the place of the sums over the whole map; see `restore.tiling.survey`."""
        self.heard: list[Tensor] | None = None
        """Where the sums over the maps that pass are noted, while there is such a list."""

    @property
    def surveyed(self) -> bool:
        """Whether sums over the whole map are noted or given."""
        return self.window is None and not (self.given is None and self.heard is None)

    def summed(self, own: Tensor) -> Tensor:
        """The sums to use: those of this map, which are noted where asked for, or those given."""
        if self.heard is not None:
            self.heard.append(own)
        return own if self.given is None else self.given.to(own)

    def window_on(self, x: Float[Tensor, "b c h w"]) -> int | None:
        """The window, or None where it would hold all of this map."""
        too_large = self.window is None or self.window >= max(x.shape[-2:])
        return None if too_large else self.window


class ContextMean(Windowed):
    """The mean of each channel over the whole map, or around each pixel once a window is set."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c H W"]:
        """Means, `b c 1 1` where the window covers the map and `b c h w` otherwise."""
        window = self.window_on(x)
        if window is not None:
            return sliding_mean(x, window)
        return self.summed(x.mean(dim=(-2, -1), keepdim=True))


def local_pooling(model: nn.Module, training_size: int | None) -> None:
    """Set or clear local pooling on every `Windowed` module of a network; costs nothing to switch.

    The window is floor(1.5 * training_size / stride) pixels of the feature map, as published.

    Args:
        model: any network; one without such modules is left as it is.
        training_size: side of the training crops, px; None takes means over the whole map again.

    Raises:
        ValueError: `training_size` below 1.
    """
    if training_size is not None and training_size < 1:
        raise ValueError(f"training_size must be at least 1 px, got {training_size}")
    wide = None if training_size is None else 3 * training_size // 2
    for module in model.modules():
        if isinstance(module, Windowed):
            module.window = None if wide is None else max(1, wide // module.stride)


def sliding_mean(
    x: Float[Tensor, "b c h w"], window: int, *, any_size: bool = False
) -> Float[Tensor, "b c h w"]:
    """Mean over the window around each pixel; near the border, that of the nearest whole window.

    Summed in stages, first along columns and then along rows: the sum of 192 neighbours is that of
    16 sums of 12 neighbours each. Every stage is a depthwise convolution with equal weights, spread
    as wide as the stages before reach together. Nothing is subtracted, as in running sums, so
    nothing cancels.

    Args:
        x: feature map of any floating type; fastest in channels_last, which is kept.
        window: side of the square, px; cut to the map's height and width where it is larger.
            An even window reaches one pixel farther to the right and down.
        any_size: make a graph that can be compiled without knowing the size of the map; slower.
    """
    h, w = x.shape[-2:]
    rows, columns = least(window, h), least(window, w)
    if any_size or window > min(h, w):
        x = F.pad(x, (0, window - columns, 0, window - rows))
    for axis in (-2, -1):
        x = _sums(x, window, axis, any_size=any_size)
    x = x.narrow(-2, 0, h - rows + 1).narrow(-1, 0, w - columns + 1)
    mean = x / (rows * columns * prod(map(_shrink, stages(window))) ** 2)
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return F.pad(mean, (left, columns - 1 - left, top, rows - 1 - top), mode="replicate")


def _sums(
    x: Float[Tensor, "b c h w"], window: int, axis: int, *, any_size: bool
) -> Float[Tensor, "b c H W"]:
    """Sums of all `window` neighbours along an axis, shrunk in every stage by `_shrink`."""
    channels, spread = int(x.shape[1]), 1
    if any_size:
        # OpenVINO plans convolutions for some size of its own, which none of them may exceed; and
        # zeros would become a part of them, for which they have no fast code.
        x = F.pad(x, (0, window - 1, 0, 0) if axis == -1 else (0, 0, 0, window - 1), "replicate")
    for kernel in stages(window):
        along = (kernel, 1) if axis == -2 else (1, kernel)
        spreads = (spread, 1) if axis == -2 else (1, spread)
        weights = x.new_full((channels, 1, *along), _shrink(kernel))
        x = F.conv2d(x, weights, dilation=spreads, groups=channels)
        spread *= kernel
    return x


def _shrink(kernel: int) -> float:
    """A power of 2 below 1 / kernel: exact in every format, and keeps half precision in range."""
    return float(2.0 ** (1 - kernel.bit_length()))


def stages(window: int) -> list[int]:
    """Lengths of few short sums that make one of `window` numbers: factors of at most 16.

    A prime factor above that stays whole.
    """
    found: list[int] = []
    for prime in sorted(_primes(window), reverse=True):
        at = next((i for i, factor in enumerate(found) if factor * prime <= _LONGEST), None)
        if at is None:
            found.append(prime)
        else:
            found[at] *= prime
    return found


def _primes(number: int) -> list[int]:
    """Its prime factors, each as often as it divides."""
    found, factor = [], 2
    while number > 1:
        while number % factor == 0:
            found.append(factor)
            number //= factor
        factor += 1
    return found


def least(a: Side, b: Side) -> Any:  # noqa: ANN401 - an integer, or what stands for one
    """The smaller number; while a network is exported, sizes are tensors."""
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return torch.minimum(torch.as_tensor(a), torch.as_tensor(b))
    return min(a, b)
