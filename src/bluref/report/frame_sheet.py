"""The sharpest and the most blurred frames of a clip on one sheet, to be looked at."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.frames.frame_table import FrameRow
from bluref.media.picture import read_picture
from bluref.media.video import seek_video
from bluref.report.before_after import caption_bar
from bluref.report.flow_picture import beside

EACH = 6
"""Frames of either role on a sheet."""
_WIDTH = 300  # pixels of a picture on the sheet

Picks = dict[str, list[FrameRow]]


def pick(rows: Sequence[FrameRow], count: int = EACH) -> Picks:
    """The clearest cases of both roles, spread over the clip: one of each stretch of it.

    Args:
        rows: of one clip, in order.
        count: of either role, at most.

    Returns:
        `sharp` and `blurry`, each in order of the clip.
    """
    picks: Picks = {}
    for role, sign in (("sharp", 1), ("blurry", -1)):
        mine = [row for row in rows if row.role == role]
        stretches = [
            mine[len(mine) * k // count : len(mine) * (k + 1) // count] for k in range(count)
        ]
        picks[role] = [
            min(stretch, key=lambda row: sign * (row.below or 0.0))
            for stretch in stretches
            if stretch
        ]
    return picks


def frame_sheet(
    picks: Picks, image_of: Callable[[FrameRow], Float[Tensor, "1 3 h w"]]
) -> Float[Tensor, "1 3 H W"] | None:
    """Two rows, sharp above blurry, each frame with its number and how far it is below the best.

    Beside every frame, small, lies a piece of its middle in full size: blur that matters is often
    not seen in a small picture.

    Returns:
        the sheet; None if there is no frame of either role.
    """
    rows = []
    for role, frames in picks.items():
        cells = [_cell(f"{role} {row.index}", row, image_of(row)) for row in frames]
        if cells:
            rows.append(cells)
    if not rows:
        return None
    height = max(cell.shape[-2] for row in rows for cell in row)
    strips = [beside([_as_tall(cell, height) for cell in row], gap=6) for row in rows]
    width = max(strip.shape[-1] for strip in strips)
    return torch.cat(
        [F.pad(strip, (0, width - strip.shape[-1], 0, 0), value=1.0) for strip in strips], dim=-2
    )


def read_frames(picks: Picks) -> dict[tuple[str, int], Tensor]:
    """The pictures of frames by (clip, index).

    Raises:
        UserError: a file cannot be read.
    """
    chosen = [row for rows in picks.values() for row in rows]
    images = {
        (row.clip, row.index): read_picture(row.file) for row in chosen if row.position is None
    }
    wanted: dict[Path, dict[int, FrameRow]] = {}
    for row in chosen:
        if row.position is not None:
            wanted.setdefault(row.file, {})[row.position] = row
    for path, frames in wanted.items():
        # Without times, as of a table that a person wrote, the film is read from its start.
        times = {n: math.nan if row.time is None else row.time for n, row in frames.items()}
        for frame in seek_video(path, times):
            row = frames[frame.index]
            images[row.clip, row.index] = frame.image
    return images


def _cell(name: str, row: FrameRow, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 H W"]:
    h, w = image.shape[-2:]
    small = F.interpolate(
        image, (max(1, round(h * _WIDTH / w)), _WIDTH), mode="bilinear", antialias=True
    )
    side_h, side_w = min(h, _WIDTH * 2 // 3), min(w, _WIDTH)
    top, left = (h - side_h) // 2, (w - side_w) // 2
    middle = image[..., top : top + side_h, left : left + side_w]
    middle = F.pad(middle, (0, _WIDTH - side_w, 0, 0), value=1.0)
    below = "" if row.below is None else f"  ({row.below:.2f} below the best)"
    return torch.cat((caption_bar(name + below, _WIDTH), small, middle), dim=-2)


def _as_tall(cell: Float[Tensor, "1 3 h w"], height: int) -> Float[Tensor, "1 3 H w"]:
    return F.pad(cell, (0, 0, 0, height - cell.shape[-2]), value=1.0)
