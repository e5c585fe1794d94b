"""From cached matches and sharp frames to the pseudo-sharp target of a box."""

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
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
    images = [
        _warp_into_box(frame, dense, n, crop, store=store) for n, frame in enumerate(references)
    ]
    warped = Warped(
        image=torch.cat(images)[None],
        confidence=dense.confidence[None],
        inside=dense.inside[None],
    )
    fused = strategy.fuse(warped, threshold=threshold)
    return PseudoSharp(crop.flip(fused.image), crop.flip(fused.weight), crop.flip(fused.support))


def whole_frame(size: tuple[int, int]) -> Crop:
    """The box that is the frame."""
    return Crop(0, 0, size[0], size[1])


def _warp_into_box(
    frame: Frame, dense: DenseMatches, n: int, crop: Crop, *, store: FrameStore
) -> Float[Tensor, "1 3 h w"]:
    flow = dense.flow[n : n + 1]
    region = _reached(flow, dense.confidence[n] > 0, crop, store.size(frame))
    if region is None:
        return flow.new_zeros(1, 3, crop.height, crop.width)
    shift = flow.new_tensor([crop.left - region.left, crop.top - region.top]).view(1, 2, 1, 1)
    return warp(store.cut(frame, region), flow + shift).clamp(0, 1)


def _reached(
    flow: Float[Tensor, "1 2 h w"], trusted: Tensor, crop: Crop, size: tuple[int, int]
) -> Crop | None:
    """The part of the reference that trusted pixels of the box sample; None if there are none."""
    if not bool(trusted.any()):
        return None
    height, width = size
    rows = torch.arange(crop.height, dtype=flow.dtype)[:, None] + crop.top + flow[0, 1]
    columns = torch.arange(crop.width, dtype=flow.dtype) + crop.left + flow[0, 0]
    rows, columns = rows[trusted[0]], columns[trusted[0]]
    top = min(max(int(rows.min()) - REACH, 0), height - 1)
    left = min(max(int(columns.min()) - REACH, 0), width - 1)
    bottom = max(min(int(rows.max()) + REACH + 2, height), top + 1)
    right = max(min(int(columns.max()) + REACH + 2, width), left + 1)
    return Crop(top, left, bottom - top, right - left)
