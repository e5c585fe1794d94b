"""Flow that is not believed, taken from believed neighbours that look alike.

Where a match is unsure, its flow is little more than noise, or has leaked across the border of two
things that move apart. What surrounds it knows better, as far as it is believed and has the same
colour: a joint bilateral filter (Petschnigg et al., SIGGRAPH 2004) of the flow, guided by the
target. Goes beyond the paper; the figures stand in docs/experiments.md.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float32

from bluref.match.pictures import Field, Plane

CELL = 4
"""Side in pixels of the cells at which neighbours are asked."""
REACH, STEP = 2, 2
"""How many neighbours on either side, along rows and columns, and how many cells apart."""
NEARBY = 3.0
"""Distance in cells at which a neighbour's word counts for exp(-1/2)."""
ALIKE = 0.05
"""Difference of colours, the root of the sum of squares in [0, 1], at which it does as well."""
DOUBT = 0.01
"""Added to confidences, so that where nothing is believed the mean is that of all neighbours."""

SETTINGS = (CELL, REACH, STEP, NEARBY, ALIKE, DOUBT)
"""All that an answer depends on."""

_STEPS = range(-REACH * STEP, REACH * STEP + 1, STEP)
_OFFSETS = [(down, across) for down in _STEPS for across in _STEPS]
_FAR = [down * down + across * across for down, across in _OFFSETS]


def ties(cells: Float32[np.ndarray, "3 q r"]) -> Float32[np.ndarray, "n q r"]:
    """How much the word of each of n neighbours counts in each cell, by distance and colour.

    It depends on the target alone, and serves all its references.

    Args:
        cells: colours of the target, RGB in [0, 1], from `in_cells`.
    """
    weights = [
        np.exp(-(np.square(other - cells).sum(axis=0) / ALIKE**2 + far / NEARBY**2) / 2)
        for far, other in zip(_FAR, _around(cells), strict=True)
    ]
    return np.stack(weights).astype(np.float32)


def advised(
    flow: Field, claimed: Plane, sure: Plane, ties_: Float32[np.ndarray, "n q r"]
) -> tuple[Field, Plane]:
    """Flow and claim where they are believed, and as far as not the means of what neighbours have.

    f' = c f + (1 - c) sum_n t_n c_n^2 f_n / sum_n t_n c_n^2, with the ties t_n; likewise the claim.

    Args:
        flow: pixels, x first.
        claimed: probability that goes with it.
        sure: confidence c, in [0, 1].
        ties_: of the target.
    """
    height, width = sure.shape
    own = np.dstack((flow, claimed))
    word = np.square(sure + np.float32(DOUBT))
    told = in_cells(np.dstack((own * word[..., None], word)))
    heard = np.zeros_like(told)
    for tie, other in zip(ties_, _around(told), strict=True):
        heard += tie * other
    mean = cv2.merge([plane / heard[3] for plane in heard[:3]])
    advice = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
    mixed = advice + sure[..., None] * (own - advice)
    return np.ascontiguousarray(mixed[..., :2]), np.ascontiguousarray(mixed[..., 2])


def in_cells(values: Float32[np.ndarray, "h w k"]) -> Float32[np.ndarray, "k q r"]:
    """Means over cells of a picture, a plane for each channel."""
    height, width = values.shape[:2]
    size = (max(width // CELL, 1), max(height // CELL, 1))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1))


def _around(cells: Float32[np.ndarray, "k q r"]) -> Iterator[Float32[np.ndarray, "k q r"]]:
    """What each neighbour of every cell has; those beyond the picture repeat its edge."""
    height, width = cells.shape[1:]
    margin = REACH * STEP
    padded = np.pad(cells, ((0, 0), (margin, margin), (margin, margin)), mode="edge")
    for down, across in _OFFSETS:
        top, left = margin + down, margin + across
        yield padded[:, top : top + height, left : left + width]
