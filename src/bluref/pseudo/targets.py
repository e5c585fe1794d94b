"""From cached matches and sharp frames to the pseudo-sharp target of a box."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
from bluref.pseudo.colour import evened
from bluref.pseudo.compact import CompactMatches, DenseMatches, expand
from bluref.pseudo.strategy import Strategy
from bluref.pseudo.target import PseudoSharp, Warped

# Bicubic resampling reads two pixels on either side of a sample.
REACH = 3


def target_in_box(
    matches: CompactMatches,
    references: tuple[Frame, ...],
    crop: Crop,
    *,
    store: FrameStore,
    strategy: Strategy,
    threshold: float,
) -> PseudoSharp:
    """Warp the references onto a box of the blurry frame and fuse them; flips applied.

    Reads of each reference only the rows and columns that the box's flow reaches. Equal to fusing
    the whole frame and cutting the box out.
    """
    dense = expand(matches, crop)
    image, confidence = _warp_into_box(references, dense, crop, store=store), dense.confidence
    if matches.gain is not None:
        image, kept = evened(image, matches.gain)
        confidence = confidence * kept
    warped = Warped(image[None], confidence[None], dense.inside[None])
    fused = strategy.fuse(warped, threshold=threshold)
    return PseudoSharp(crop.flip(fused.image), crop.flip(fused.weight), crop.flip(fused.support))


def whole_frame(size: tuple[int, int]) -> Crop:
    """The box that is the frame."""
    return Crop(0, 0, size[0], size[1])


def _warp_into_box(
    references: tuple[Frame, ...], dense: DenseMatches, crop: Crop, *, store: FrameStore
) -> Float[Tensor, "n 3 h w"]:
    region = _region(dense.reach, store.size(references[0]))
    cuts = torch.cat([store.cut(frame, region) for frame in references])
    shift = dense.flow.new_tensor([crop.left - region.left, crop.top - region.top])
    return warp(cuts, dense.flow + shift.view(1, 2, 1, 1)).clamp(0, 1)


def _region(reach: tuple[float, float, float, float], size: tuple[int, int]) -> Crop:
    """The part of a reference within reach: at least one pixel, never beyond the frame."""
    height, width = size
    left = min(max(math.floor(reach[0]) - REACH, 0), width - 1)
    top = min(max(math.floor(reach[1]) - REACH, 0), height - 1)
    right = max(min(math.ceil(reach[2]) + REACH, width), left + 1)
    bottom = max(min(math.ceil(reach[3]) + REACH, height), top + 1)
    return Crop(top, left, bottom - top, right - left)
