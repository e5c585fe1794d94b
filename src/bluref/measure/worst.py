"""Where in a picture an output loses most against its input."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.measure.psnr import psnr

SIDE = 96
"""Of a window in pixels, or less where the picture is smaller."""

STEP = 8
"""Pixels from one window to the next; the last ones end where the picture does."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, square where the picture is large enough.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
        before: PSNR of the input there, dB, 99 at most.
        after: PSNR of the output there, dB, 99 at most.
    """

    top: int
    left: int
    height: int
    width: int
    before: float
    after: float

    @property
    def lost(self) -> float:
        """Mean squared error that the output adds; below 0 where it takes some away."""
        return float(10 ** (-self.after / 10) - 10 ** (-self.before / 10))

    def cut(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 a b"]:
        """What it shows of an image."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]


def worst_window(
    output: Float[Tensor, "1 3 h w"],
    blurry: Float[Tensor, "1 3 h w"],
    truth: Float[Tensor, "1 3 h w"],
) -> Window:
    """The window whose squared error rises most from input to output, or falls least.

    Args:
        output: what is judged, [0, 1].
        blurry: what it was made from.
        truth: what both should be.
    """
    rise = ((output - truth).square() - (blurry - truth).square()).mean(dim=(0, 1))
    (height, tops), (width, lefts) = map(_windows, rise.shape)
    # Sums up to each corner, so that a window is the sum and difference of four of them.
    sums = F.pad(rise.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    rows = sums[tops + height] - sums[tops]
    inside = rows[:, lefts + width] - rows[:, lefts]
    row, column = divmod(int(inside.argmax()), len(lefts))
    place = Window(int(tops[row]), int(lefts[column]), height, width, before=0.0, after=0.0)
    sharp = place.cut(truth)
    before, after = (min(psnr(place.cut(image), sharp).item(), 99.0) for image in (blurry, output))
    return replace(place, before=before, after=after)


def _windows(side: int) -> tuple[int, Tensor]:
    """Length of a window along a side of a picture, and where windows begin."""
    length = min(SIDE, side)
    last = side - length
    return length, torch.tensor([*range(0, last, STEP), last])
