"""Matches in a compact form: a quarter of the resolution, half precision.

A match of a 854x480 frame is 5.3 MB as computed and 0.13 MB as kept. Flow is smooth between motion
boundaries, and the error that remains is measured in `docs/experiments.md`. Half precision keeps an
eighth of a pixel of flows below 256 px, and half a pixel of those below 1024.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float16, UInt8
from torch import Tensor

from bluref.degrade.warp import inside, pixel_grid
from bluref.frames.crops import Crop
from bluref.match.protocol import Match

# Side in pixels of the cell that one kept value stands for.
CELL = 4
# Further in pixels than any position in a frame.
BEYOND = 1e6


@dataclass(frozen=True)
class CompactMatches:
    """Matches of one target with its n references, as the bank keeps them.

    Attributes:
        flow: pixels of the target at full resolution, x first; the mean over each cell.
        confidence: 0..255 for [0, 1]; the mean over each cell, 0 outside the reference.
        size: (height, width) of the target.
        gain: factors on each reference's colours, where they were evened out (`pseudo.colour`).
    """

    flow: Float16[Tensor, "n 2 q r"]
    confidence: UInt8[Tensor, "n 1 q r"]
    size: tuple[int, int]
    gain: Float[Tensor, "n 3"] | None = None


def compact(matches: list[Match]) -> CompactMatches:
    """Keep what training needs of the matches of one target.

    Within a cell the flow is averaged with the confidence as weight, so that a cell across a motion
    boundary takes the side that is believed.
    """
    flow = torch.cat([m.flow for m in matches])
    confidence = torch.cat([m.confidence * m.inside for m in matches])
    size = (flow.shape[-2], flow.shape[-1])
    pad = (0, -size[1] % CELL, 0, -size[0] % CELL)
    flow, confidence = (F.pad(x, pad, mode="replicate") for x in (flow, confidence))
    weight = confidence + 1e-3
    mean_flow = F.avg_pool2d(flow * weight, CELL) / F.avg_pool2d(weight, CELL)
    mean_confidence = F.avg_pool2d(confidence, CELL)
    return CompactMatches(
        flow=mean_flow.to(torch.float16),
        confidence=(mean_confidence * 255).round().to(torch.uint8),
        size=size,
    )


@dataclass(frozen=True)
class DenseMatches:
    """Matches at full resolution inside a box of the target.

    Attributes:
        flow: pixels of the target, x first, as in a `Match` of the whole frame.
        confidence: in [0, 1], 0 outside the reference.
        inside: False where the flow leaves a reference of the target's size.
        reach: (left, top, right, bottom) in pixels of the frame: between what positions the box's
            trusted pixels sample their references; the box's own if nothing is trusted.
    """

    flow: Float[Tensor, "n 2 h w"]
    confidence: Float[Tensor, "n 1 h w"]
    inside: Bool[Tensor, "n 1 h w"]
    reach: tuple[float, float, float, float]


def expand(matches: CompactMatches, crop: Crop) -> DenseMatches:
    """The matches inside a box, bilinearly interpolated between cell centres; flips not applied.

    Equal to expanding the whole frame and cutting the box out.
    """
    rows, above = _cells(crop.top, crop.height, matches.flow.shape[-2])
    columns, before = _cells(crop.left, crop.width, matches.flow.shape[-1])
    flow = matches.flow[..., rows, columns].float()
    confidence = matches.confidence[..., rows, columns].float() / 255
    cells = torch.cat((flow, confidence), dim=1)
    dense = F.interpolate(cells, scale_factor=CELL, mode="bilinear", align_corners=False)
    dense = dense[..., above : above + crop.height, before : before + crop.width]
    flow, confidence = dense[:, :2], dense[:, 2:]
    corner = flow.new_tensor([crop.left, crop.top]).view(1, 2, 1, 1)
    visible = inside(flow + corner, matches.size)
    confidence = confidence * visible
    return DenseMatches(flow, confidence, visible, _reach(flow, confidence, crop))


def _cells(start: int, length: int, available: int) -> tuple[slice, int]:
    """The cells that pixels [start, start + length) are interpolated from.

    Returns:
        the cells, and how many pixels of their span lie before `start`. One cell more on each side
        where there is one, since interpolation repeats the edge of what it is given.
    """
    first = max(start // CELL - 1, 0)
    last = min((start + length - 1) // CELL + 2, available)
    return slice(first, last), start - first * CELL


def _reach(
    flow: Float[Tensor, "n 2 h w"], confidence: Float[Tensor, "n 1 h w"], crop: Crop
) -> tuple[float, float, float, float]:
    """How far the samples of the box's trusted pixels go.

    Asked pixel by pixel: beside a cell that is not trusted, trusted pixels mix in its flow, which
    may be anything.
    """
    at = pixel_grid(crop.height, crop.width, flow) + flow
    aside = (confidence <= 0) * BEYOND
    low, high = (at + aside).amin(dim=(0, 2, 3)).tolist(), (at - aside).amax(dim=(0, 2, 3)).tolist()
    if low[0] > high[0]:
        low, high = [0.0, 0.0], [crop.width - 1.0, crop.height - 1.0]
    return crop.left + low[0], crop.top + low[1], crop.left + high[0], crop.top + high[1]
