"""Transposed attention: channels look at channels, and every pixel has a say in how."""

from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.restore.networks.pooling import Windowed


class TransposedAttention(Windowed):
    """Multi-Dconv head transposed attention (MDTA): Restormer, CVPR 2022, Eq. 1.

    out = W (A V), A = softmax(t * Q K^T) per head, where Q, K, V (each c x pixels) are 1x1 and then
    depthwise 3x3 convolutions of x, the rows of Q and K have length 1, and t is learned per head.
    The cost is linear in the number of pixels.

    A depends on all pixels of the map. With a window set, the map is covered by windows of that
    side, all inside of it and of the same size (cut to the map's height and width), evenly spaced
    so that neighbours share half or more of their side. A V is computed in each window alone, and a
    pixel takes the mean over the windows that hold it.

    Args:
        channels: of input and output.
        heads: groups of channels that look at themselves; divides `channels`.
        stride: pixels of the image per pixel of the feature map; scales the windows.
        bias: of the convolutions.
    """

    def __init__(self, channels: int, heads: int, *, stride: int, bias: bool = False) -> None:
        super().__init__(stride)
        wide = 3 * channels
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, wide, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=bias)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over the map or within windows."""
        qkv = self.qkv_dwconv(self.qkv(x))  # b 3c h w
        window = self.window_on(x)
        seen = self._attend(qkv) if window is None else self._attend_in_windows(qkv, window)
        out: Tensor = self.project_out(seen)
        return out

    def _attend(self, qkv: Float[Tensor, "b c3 h w"]) -> Float[Tensor, "b c h w"]:
        b, _, h, w = qkv.shape
        q, k, v = qkv.reshape(b, 3, len(self.temperature), -1, h * w).unbind(1)  # b heads c hw
        # To scale the small matrix is to make the rows of q and k unit vectors, without a pass
        # over the maps.
        products, q_lengths, k_lengths = q @ k.mT, _lengths(q), _lengths(k)
        if self.surveyed:
            sums = torch.cat([products, q_lengths[..., None] ** 2, k_lengths[..., None] ** 2], -1)
            sums = self.summed(sums / (h * w))  # b heads c c+2; sums over tiles can be added
            products, q_lengths, k_lengths = (
                sums[..., :-2],
                sums[..., -2] ** 0.5,
                sums[..., -1] ** 0.5,
            )
        lengths = q_lengths[..., :, None] * k_lengths[..., None, :]
        scores = self.temperature * products / lengths  # b heads c c
        seen: Tensor = scores.softmax(dim=-1) @ v
        return seen.reshape(b, -1, h, w)

    def _attend_in_windows(
        self, qkv: Float[Tensor, "b c3 h w"], window: int
    ) -> Float[Tensor, "b c h w"]:
        b, wide, h, w = qkv.shape
        rows, columns = min(window, h), min(window, w)
        total = qkv.new_zeros(b, wide // 3, h, w)
        count = qkv.new_zeros(h, w)
        for top in window_starts(h, rows):
            for left in window_starts(w, columns):
                part = (..., slice(top, top + rows), slice(left, left + columns))
                total[part] += self._attend(qkv[part])
                count[part] += 1
        return total / count


def window_starts(length: int, window: int) -> list[int]:
    """First pixels of windows that cover an axis evenly, at most half a window apart.

    Args:
        length: of the axis, px.
        window: length of each window in [1, `length`], px.
    """
    room = length - window
    gaps = ceil(room / max(1, window // 2))
    return [0, *(i * room // gaps for i in range(1, gaps + 1))]


def _lengths(x: Float[Tensor, "*b n"]) -> Float[Tensor, "*b"]:
    """Of the vectors along the last axis; never 0, so that it can be divided by."""
    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1)
    return lengths.clamp_min(1e-12)
