"""Local pooling: what a network sums over the image, taken around each pixel instead.

A network trained on crops learns means over a crop; run on a whole photograph it meets means of
another kind. Chu, Chen, Chen, Lu: Improving Image Restoration by Revisiting Global Information
Aggregation (TLC), ECCV 2022, replaces each global mean by a sliding one as wide as 1.5 training
crops, and attention over the image by attention in windows of that size (`restore.attention`).
The sliding mean here is exact: one window per pixel, none skipped.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_STRETCH = 128  # results per matrix product: fewer waste its rows, more waste its zeros


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
        """What takes the place of the sums over the whole map; see `restore.survey`."""
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


def sliding_mean(x: Float[Tensor, "b c h w"], window: int) -> Float[Tensor, "b c h w"]:
    """Mean over the window around each pixel; near the border, that of the nearest whole window.

    Args:
        x: feature map of any floating type; fastest in channels_last, which is kept.
        window: side of the square, px; cut to the map's height and width where it is larger.
            An even window reaches one pixel farther to the right and down.
    """
    b, c, h, w = x.shape
    rows, columns = min(window, h), min(window, w)
    pixels = x.permute(0, 2, 3, 1)  # b h w c
    sums = _window_sums(pixels.reshape(b, h, w * c), rows)  # b h-rows+1 w*c
    sums = _window_sums(sums.reshape(b, h - rows + 1, w, c), columns)  # b h-rows+1 w-columns+1 c
    mean = (sums / (rows * columns)).permute(0, 3, 1, 2)
    top, left = (rows - 1) // 2, (columns - 1) // 2
    return F.pad(mean, (left, columns - 1 - left, top, rows - 1 - top), mode="replicate")


def _window_sums(x: Float[Tensor, "*b n m"], window: int) -> Float[Tensor, "*b k m"]:
    """Sums of all `window` neighbours along the last axis but one, k = n - window + 1.

    Each stretch of results is a product with the same 0-1 band matrix. Nothing is subtracted, as
    in running sums, so nothing cancels; and on a CPU it is 2 to 8 times as fast as those.
    """
    count = x.shape[-2] - window + 1
    if count == 1:
        return x.sum(dim=-2, keepdim=True)
    first = torch.arange(min(_STRETCH, count), device=x.device)[:, None]
    at = torch.arange(len(first) + window - 1, device=x.device)
    band = ((at >= first) & (at < first + window)).to(x.dtype)
    stretches = []
    for start in range(0, count, _STRETCH):
        size = min(_STRETCH, count - start)
        reach = size + window - 1
        stretches.append(band[:size, :reach] @ x[..., start : start + reach, :])
    return torch.cat(stretches, dim=-2)
