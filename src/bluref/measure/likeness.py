"""Whether two pictures are the same one, though stored anew, resized, brightened or blurred.

A perceptual hash: the signs of the low frequencies of a small grey copy. Blur and compression
hardly touch those, and two pictures of different things agree in half of them.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor

SIDE, FREQUENCIES = 32, 16
"""Side of the small copy in pixels, and frequencies that are looked at along each side."""
BITS = FREQUENCIES**2 - 1
"""Length of the hash: the mean brightness does not count."""
BLANK = 0.01
"""Standard deviation of the small copy, in [0, 1], below which a picture shows nothing."""


@dataclass(frozen=True)
class Impression:
    """What is remembered of a picture to know it again.

    Attributes:
        small: a grey copy of `SIDE` by `SIDE` pixels, in [0, 1].
        signs: the hash.
    """

    small: Float32[np.ndarray, "side side"]
    signs: Bool[np.ndarray, "bits"]

    @property
    def brightness(self) -> float:
        """Mean over the picture, in [0, 1]."""
        return float(self.small.mean())

    @property
    def blank(self) -> bool:
        """Whether it shows nothing: black, white or a plain wall."""
        return float(self.small.std()) < BLANK


def impression(image: Float[Tensor, "1 3 h w"]) -> Impression:
    """The small copy of a picture and its hash."""
    small = F.adaptive_avg_pool2d(image, SIDE).mean(dim=1)[0].numpy()
    basis = _cosines()
    low = (basis @ small @ basis.T).flatten()[1:]
    return Impression(small, low > np.median(low))


def distances(
    these: Bool[np.ndarray, "n bits"], those: Bool[np.ndarray, "m bits"]
) -> Float32[np.ndarray, "n m"]:
    """In how many of `BITS` bits each of these differs from each of those."""
    ours, theirs = (2 * signs.astype(np.float32) - 1 for signs in (these, those))
    apart: np.ndarray = (BITS - ours @ theirs.T) / 2
    return apart


def differences(
    these: Float32[np.ndarray, "n side side"], those: Float32[np.ndarray, "m side side"]
) -> Float64[np.ndarray, "n m"]:
    """Root mean square between small copies, in [0, 1]: tells a moment from the next one."""
    ours, theirs = (small.reshape(len(small), -1).astype(np.float64) for small in (these, those))
    squares = [(small**2).sum(axis=1) for small in (ours, theirs)]
    apart = squares[0][:, None] + squares[1][None] - 2 * ours @ theirs.T
    means: np.ndarray = np.sqrt(apart.clip(min=0) / SIDE**2)
    return means


@cache
def _cosines() -> Float32[np.ndarray, "k side"]:
    """The first rows of the discrete cosine transform (type II)."""
    k, i = torch.arange(FREQUENCIES)[:, None], torch.arange(SIDE)[None]
    return torch.cos(math.pi * k * (2 * i + 1) / (2 * SIDE)).numpy().astype(np.float32)
