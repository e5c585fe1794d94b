"""From comparisons between neighbours to one sharpness for each frame of a clip.

Each comparison says how much sharper one frame is than another of the same things; each frame by
itself says roughly how sharp it is. Sharpness is what contradicts them least:

    sum over pairs  trust (s[b] - s[a] - change)^2  +  OWN  sum over frames  (s[a] - own[a])^2

so that neighbours are told apart by what both show, and a frame's own figures decide only over
stretches so long that nothing is seen in both ends.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from bluref.frames.measured import Row

OWN = 0.05
"""Trust in what a frame says by itself, where a comparison with one neighbour has 1."""
_ENOUGH = 1e-9
_ROUNDS = 500


def settle(rows: Sequence[Row], shots: Sequence[int]) -> Float[np.ndarray, " n"]:
    """Sharpness of each frame, natural logs of energy; within a shot differences mean most.

    Args:
        rows: of a clip, in order.
        shots: number of the shot of each; frames of different shots are never compared.
    """
    count = len(rows)
    if not count:
        return np.zeros(0)
    pairs = [
        (place - lag, place, change, trust)
        for place, row in enumerate(rows)
        for lag, change, trust in row.changes
        if place - lag >= 0 and shots[place] == shots[place - lag]
    ]
    earlier = np.array([pair[0] for pair in pairs], dtype=np.intp)
    later = np.array([pair[1] for pair in pairs], dtype=np.intp)
    change = np.array([pair[2] for pair in pairs], dtype=np.float64)
    trust = np.array([pair[3] for pair in pairs], dtype=np.float64)

    def gathered(pull: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
        sums = np.zeros(count)  # bincount of nothing would be of whole numbers
        sums += np.bincount(later, pull, count)
        sums -= np.bincount(earlier, pull, count)
        return sums

    def normal(s: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        pushed: Float[np.ndarray, " n"] = gathered(trust * (s[later] - s[earlier])) + OWN * s
        return pushed

    own = _own(rows, np.array(shots, dtype=np.intp))
    return _solved(normal, gathered(trust * change) + OWN * own, own)


def _own(rows: Sequence[Row], shots: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """What each frame says by itself: half its detail against the shot's, half its focus."""
    energy = np.array([row.energy for row in rows])
    focus = np.array([row.focus for row in rows])
    for shot in np.unique(shots):
        here = shots == shot
        energy[here] += np.median(focus[here]) - np.median(energy[here])
    own: Float[np.ndarray, " n"] = (energy + focus) / 2
    return own


def _solved(
    normal: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]],
    right: Float[np.ndarray, " n"],
    start: Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Solve normal(s) = right by conjugate gradients; `normal` is symmetric and positive."""
    s: Float[np.ndarray, " n"] = start.copy()
    rest = right - normal(s)
    way = rest.copy()
    left = float(rest @ rest)
    for _ in range(_ROUNDS):
        if left <= _ENOUGH**2 * len(s):
            break
        pushed = normal(way)
        step = left / float(way @ pushed)
        s += step * way
        rest -= step * pushed
        now = float(rest @ rest)
        way = rest + (now / left) * way
        left = now
    return s
