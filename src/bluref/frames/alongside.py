"""Two frames of a scene laid over each other: how it moved, and which of the two is sharper.

Only what both show is compared, place by place, so that a wall is never measured against a tree;
the median over the places leaves out what moves on its own.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from bluref.frames.detail import CELL, Detail

_WHITENING = 0.5  # power of the spectrum that is divided out: 1 is phase correlation, 0 plain
_LEAST_CELLS = 24
_STEADY_LIGHT = 0.1
_ALL = 0.998  # of the small picture: the rest is single pixels of noise
_BLOCKS = 3  # along either side, in which motion is found on its own
_SMALLEST_BLOCK = 12  # pixels of the view


@dataclass(frozen=True)
class Alongside:
    """A frame compared with an earlier one.

    Attributes:
        x: motion to the right of what is seen, in pixels of the pictures that were looked at.
        y: the same, downwards.
        length: mean length of the motion of parts of the frame, each followed on its own (if that
            was asked for): who walks straight on sees no shift of the whole, and yet all moves.
        likeness: correlation of what both show, in [-1, 1].
        overlap: share of the frame that both show.
        change: log of the fine energy over the earlier frame's, of the same things in the same
            light; None where too little is seen in both.
        difference: largest difference but for specks of the small pictures, in grey levels.
    """

    x: float
    y: float
    length: float
    likeness: float
    overlap: float
    change: float | None
    difference: float


def compare(earlier: Detail, later: Detail, *, parts: bool = True) -> Alongside:
    """Lay two frames of the same size over each other.

    Args:
        earlier: the frame that came first.
        later: the other.
        parts: also follow parts of the frame on their own; else `length` is that of the whole.
    """
    a, b = earlier.view, later.view
    x, y = _shift(earlier.even, later.even)
    dx, dy = round(x), round(y)
    ours, theirs = _shared(a.shape, dx, dy)
    change, overlap = _change(earlier, later, x * later.step, y * later.step)
    if change is not None:
        change -= _light(a[ours], b[theirs])
    return Alongside(
        x=x * later.step,
        y=y * later.step,
        length=(
            _length(earlier.even[ours], later.even[theirs], x, y) if parts else math.hypot(x, y)
        )
        * later.step,
        likeness=_likeness(a[ours], b[theirs]),
        overlap=overlap,
        change=change,
        difference=float(np.quantile(np.abs(a - b), _ALL)),
    )


def _shift(a: Float[np.ndarray, "v u"], b: Float[np.ndarray, "v u"]) -> tuple[float, float]:
    """Where the correlation peaks: b shows at p + shift what a shows at p; to a part of a pixel."""
    h, w = a.shape
    window = np.outer(np.hanning(h + 2)[1:-1], np.hanning(w + 2)[1:-1])
    one, other = (np.fft.rfft2((view - view.mean()) * window) for view in (a, b))
    cross = one.conj() * other
    size = np.abs(cross) ** _WHITENING
    peaks = np.fft.irfft2(cross / (size + 1e-9 * size.max() + 1e-12), a.shape)
    row, column = (int(v) for v in np.unravel_index(peaks.argmax(), peaks.shape))
    y = row + _vertex(peaks[row - 1, column], peaks[row, column], peaks[(row + 1) % h, column])
    x = column + _vertex(peaks[row, column - 1], peaks[row, column], peaks[row, (column + 1) % w])
    return (x - w if x > w / 2 else x), (y - h if y > h / 2 else y)


def _length(a: Float[np.ndarray, "v u"], b: Float[np.ndarray, "v u"], x: float, y: float) -> float:
    """Mean length, in pixels of the view, over blocks; a, b show the same but for rounding."""
    whole = math.hypot(x, y)
    side = min(a.shape) // _BLOCKS
    if side < _SMALLEST_BLOCK:
        return whole
    lengths, weights = [], []
    rows, columns = (np.linspace(0, end, _BLOCKS + 1).astype(int) for end in a.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            one, other = a[top:bottom, left:right], b[top:bottom, left:right]
            more_x, more_y = _shift(one, other)
            if max(abs(more_x), abs(more_y)) <= side / 3 and _likeness(one, other) > 0:
                lengths.append(math.hypot(round(x) + more_x, round(y) + more_y))
                weights.append(float(one.std()) + 1e-6)
    return float(np.average(lengths, weights=weights)) if lengths else whole


def _vertex(before: float, peak: float, after: float) -> float:
    """Place of the highest point of a parabola through three neighbours, in [-0.5, 0.5]."""
    bend = before - 2 * peak + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _shared(
    shape: tuple[int, ...], dx: int, dy: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What both show: of the first, and of the second, which lies (dx, dy) further."""
    h, w = shape
    ours = slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx))
    theirs = slice(max(0, dy), h + min(0, dy)), slice(max(0, dx), w + min(0, dx))
    return ours, theirs


def _light(a: Float[np.ndarray, "v u"], b: Float[np.ndarray, "v u"]) -> float:
    """Log of the energy that a change of light gives or takes: unlike blur, at any scale.

    Small ones are left alone, for what moves about makes them as well.
    """
    change = 2 * math.log((float(b.std()) + 1e-3) / (float(a.std()) + 1e-3)) if a.size else 0.0
    return math.copysign(max(abs(change) - _STEADY_LIGHT, 0.0), change)


def _likeness(a: Float[np.ndarray, "v u"], b: Float[np.ndarray, "v u"]) -> float:
    if not a.size:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / math.sqrt(float((a * a).sum() * (b * b).sum()) + 1e-6))


def _change(earlier: Detail, later: Detail, x: float, y: float) -> tuple[float | None, float]:
    """Median over the cells that both show, the textured ones first, and the share of them."""
    shape = later.say.shape
    ours, theirs = _shared(shape, round(x / CELL), round(y / CELL))
    weights = np.sqrt(earlier.say[ours] * later.say[theirs]).ravel()
    overlap = weights.size / later.say.size
    if weights.size < min(_LEAST_CELLS, later.say.size) or not weights.any():
        return None, overlap
    sizes = slice(None)
    fine = later.fine[sizes, theirs[0], theirs[1]] - earlier.fine[sizes, ours[0], ours[1]]
    changes = fine.mean(axis=0).ravel()
    order = np.argsort(changes)
    reached = np.cumsum(weights[order])
    return float(changes[order][np.searchsorted(reached, reached[-1] / 2)]), overlap
