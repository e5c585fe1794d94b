"""Where in a picture an output loses most against its input."""

from dataclasses import dataclass, replace

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.measure.psnr import psnr

SIDE = 96
"""Of a window in pixels, or less where the picture is smaller."""

STEP = 8
"""Pixels from one window to the next."""


@dataclass(frozen=True)
class Window:
    """A square part of a picture.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
        before: PSNR of the input there, dB.
        after: PSNR of the output there, dB.
    """

    top: int
    left: int
    height: int
    width: int
    before: float
    after: float

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
    rise = ((output - truth).square() - (blurry - truth).square()).mean(dim=1, keepdim=True)
    height, width = (min(SIDE, side) for side in rise.shape[-2:])
    means = F.avg_pool2d(rise.double(), (height, width), stride=STEP)
    row, column = divmod(int(means.argmax()), means.shape[-1])
    place = Window(row * STEP, column * STEP, height, width, before=0.0, after=0.0)
    sharp = place.cut(truth)
    before, after = (min(psnr(place.cut(image), sharp).item(), 99.0) for image in (blurry, output))
    return replace(place, before=before, after=after)
