"""What running a network costs in memory, measured and not guessed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from bluref.restore.tiling.memory import Peak, give_back

# Sides of the images that are tried, and what a larger image has cost at most per pixel beside
# them: allocators round up and keep gaps, by chance more or fewer. See docs/experiments.md.
_TRIALS = ((128, 2.0), (256, 1.3), (384, 1.15))


@dataclass
class Footprint:
    """Bytes that a call takes beyond the image given and the one returned.

    per_pixel: at each side that has been tried. The largest counts, but that of the smallest side
        only while there is no other: what does not grow with the image, such as weights in another
        precision, weighs most there.
    """

    per_pixel: dict[int, float] = field(default_factory=dict)

    def bytes(self, pixels: int) -> int:
        """For an image of so many pixels, from what has been tried so far."""
        slack = dict(_TRIALS)[max(self.per_pixel)]
        first, *later = (cost for _, cost in sorted(self.per_pixel.items()))
        return int(max(later or [first]) * slack * pixels)


_KNOWN: "WeakKeyDictionary[object, Footprint]" = WeakKeyDictionary()


def footprint(
    run: Callable[[Tensor], Tensor],
    pixels: int,
    room: int,
    *,
    forget: Callable[[], None] = lambda: None,
) -> Footprint:
    """Measure what `run` costs, once for each `run`, with as few and small trials as will do.

    Trials end when a picture of `pixels` is known to fit into `room`, or where the next one might
    itself take more than that.

    Args:
        run: takes an image `1 3 h w` and returns one; the first call pays what comes only once.
        pixels: of the largest image that is wanted.
        room: bytes.
        forget: drops what `run` keeps for sizes that it has met, so that each trial pays for it and
            none of it is left.
    """
    known = _KNOWN.setdefault(run, Footprint())
    for side, _ in _TRIALS:
        if known.per_pixel and (known.bytes(pixels) <= room or known.bytes(side**2) > room):
            break
        if side not in known.per_pixel:
            known.per_pixel[side] = _trial(run, side, forget) / side**2
            forget()
    return known


def _trial(run: Callable[[Tensor], Tensor], side: int, forget: Callable[[], None]) -> int:
    """Bytes that a call takes at its peak."""
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    if side == _TRIALS[0][0]:
        run(image)  # kernels and copies of the weights are made by the first call
    forget()
    give_back()
    peak = Peak()
    run(image)
    return peak.grown()
