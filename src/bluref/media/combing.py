"""Whether a frame is woven of two fields, though nothing in the file says so.

The lines of such a frame show two moments in turn. Where something moves, a line is then more like
the one after the next than like the next, which no picture of one moment is over any area.
"""

import av
import numpy as np
from jaxtyping import Bool, UInt8

CELL = 16, 64
"""Lines and pixels of a cell."""
TORN = 2.0
"""How many times as much a line of a torn cell differs from the next as from the one after it."""
ROUGH = 20.0
"""Squared grey levels of 255 by which it must differ beyond that: noise differs alike from both."""
SHARE, FEWEST = 0.02, 4
"""Share and number of torn cells beyond and from which a frame is woven: nearly half of them are
where it is. Of one moment none was seen in large frames, now and then one in small ones."""


def is_combed(frame: av.VideoFrame) -> bool:
    """Whether lines show two moments in turn. Of what stands still nothing can be told: False."""
    if frame.height <= CELL[0] + 1:
        return False
    torn = torn_cells(_luma(frame))
    return bool(torn.mean() > SHARE and torn.sum() >= FEWEST)


def torn_cells(luma: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "m n"]:
    """Which cells are torn.

    Args:
        luma: of a whole frame, more than 17 lines.
    """
    lines, across = CELL[0], min(CELL[1], luma.shape[1])
    seen = np.ascontiguousarray(luma[:, ::2])  # every second pixel of a line tells as much
    half = max(across // 2, 1)
    h, w = (luma.shape[0] - 2) // lines * lines, seen.shape[1] // half * half

    def difference(step: int) -> np.ndarray:
        """Mean square to the line so many below, by cell."""
        here, there = seen[:h, :w], seen[step : h + step, :w]
        squares = (np.maximum(here, there) - np.minimum(here, there)).astype(np.uint16)
        squares *= squares
        cells = squares.reshape(h // lines, lines, w // half, half)
        means: np.ndarray = cells.mean(axis=(1, 3), dtype=np.float32)
        return means

    torn: np.ndarray = difference(1) > TORN * difference(2) + ROUGH
    return torn


def _luma(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w"]:
    """Brightness of the frame, without a copy where it lies there byte by byte."""
    plane = frame.planes[0]
    if frame.format.name.startswith(("yuv", "nv", "gray")) and plane.line_size // plane.width == 1:
        lines = np.frombuffer(memoryview(plane), np.uint8)
        return lines.reshape(plane.height, -1)[:, : plane.width]
    return frame.to_ndarray(format="gray8")
