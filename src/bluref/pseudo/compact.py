"""Matches in a compact form: a quarter of the resolution, half precision.

A match of a 854x480 frame is 7.4 MB as computed and 0.13 MB as kept. Flow is smooth between motion
boundaries, and the error that remains is measured in `docs/experiments.md`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16, UInt8
from torch import Tensor

from bluref.degrade.warp import inside, pixel_grid, warp
from bluref.frames.crops import Crop
from bluref.match.protocol import Match

# Side in pixels of the cell that one kept value stands for.
CELL = 4


@dataclass(frozen=True)
class CompactMatches:
    """Matches of one target with its n references, as the bank keeps them.

    Attributes:
        flow: pixels of the target at full resolution, x first; the mean over each cell.
        confidence: 0..255 for [0, 1]; the mean over each cell, 0 outside the reference.
        size: (height, width) of the target.
    """

    flow: Float16[Tensor, "n 2 q r"]
    confidence: UInt8[Tensor, "n 1 q r"]
    size: tuple[int, int]


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
        flow: from the box's own pixels to the reference's frame: at box pixel p the reference is
            seen at p + flow(p) + (left, top) of the box.
        confidence: in [0, 1].
        inside: 1 where the flow stays inside a reference of the target's size.
    """

    flow: Float[Tensor, "n 2 h w"]
    confidence: Float[Tensor, "n 1 h w"]
    inside: Tensor


def expand(matches: CompactMatches, crop: Crop) -> DenseMatches:
    """The matches inside a box, bilinearly interpolated between cell centres; flips not applied.

    Equal to expanding the whole frame and cutting the box out.
    """
    both = torch.cat((matches.flow.float(), matches.confidence.float() / 255), dim=1)
    grid = pixel_grid(crop.height, crop.width, both)
    at = grid + both.new_tensor([crop.left, crop.top]).view(1, 2, 1, 1)
    # Centre of cell k lies at pixel CELL * k + (CELL - 1) / 2.
    in_cells = (at - (CELL - 1) / 2) / CELL
    n = both.shape[0]
    dense = warp(both, (in_cells - grid).expand(n, -1, -1, -1), mode="bilinear")
    flow, confidence = dense[:, :2], dense[:, 2:]
    visible = inside(at + flow - grid, matches.size)
    return DenseMatches(flow, confidence * visible, visible)
