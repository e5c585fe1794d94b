"""Crops of frames: one box for a blurry frame and all its references, with flips."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bluref.frames.randomness import randint


@dataclass(frozen=True)
class Crop:
    """A box in pixels of the frame, and whether what it cuts is mirrored afterwards.

    Attributes:
        top: first row.
        left: first column.
        height: rows.
        width: columns.
        mirror: flip left and right after cutting.
        upend: flip top and bottom after cutting.
    """

    top: int
    left: int
    height: int
    width: int
    mirror: bool = False
    upend: bool = False

    def flip(self, cut: Tensor) -> Tensor:
        """Mirror the last two axes, (rows, columns), as this crop says."""
        axes = [axis for axis, wanted in ((-2, self.upend), (-1, self.mirror)) if wanted]
        return cut.flip(axes) if axes else cut


def random_crop(generator: torch.Generator, size: tuple[int, int], side: int) -> Crop:
    """A square box anywhere in a frame, each flip at odds of one half (paper Sec. 4.1).

    Args:
        generator: see `randomness.item_generator`.
        size: (height, width) of the frame.
        side: pixels; a frame that is smaller gives the largest box it has.
    """
    height, width = min(side, size[0]), min(side, size[1])
    return Crop(
        top=randint(generator, size[0] - height + 1),
        left=randint(generator, size[1] - width + 1),
        height=height,
        width=width,
        mirror=bool(randint(generator, 2)),
        upend=bool(randint(generator, 2)),
    )
