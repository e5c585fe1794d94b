"""What each frame of a clip may serve as, from its figures and those of its neighbours.

Thresholds are distances from the sharpest moments of the same scene, so that they fit every clip:
in one that is all sharp nothing lies far below them, and of one that is all blurred they are the
best there is. Which of the two it is, the focus of these moments tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bluref.frames.curation import Kind
from bluref.frames.measured import Row
from bluref.frames.settled import settle
from bluref.frames.shots import ALBUM, Cuts, find_cuts

SHARP_WITHIN = 0.28
"""A frame is sharp if the log of its fine energy lies so little below the scene's best."""
BLURRY_FROM = 0.42
"""And blurry if it lies so far below: about three pixels of blur where two are still sharp."""
FULL_RANGE = 1.0
"""Both hold where the worst frames of a shot lie so far below its best. A soft lens or poor texture
has less to lose: there the same blur takes less, and both are made smaller with the range,"""
LEAST_STRENGTH = 0.6
"""but not below this share."""
DRIFT = 0.2
"""By how much a scene may change its sharpness in a second without being blurred: who walks towards
a wall sees its texture grow coarser. A scene's best counts for less by that, the longer ago."""
MOMENT = 0.5
"""Seconds to either side of a frame whose second best counts: one lucky frame sets no mark."""
PICTURES_RATE = 25.0
"""Frames per second that a folder of numbered pictures is taken to have."""
LOW_FOCUS = -3.0
"""Focus (`Detail.focus`), less SLANTED of its slant, below which even the best of a scene is
blurred: of sharp photographs 4 % lie lower, of those with 5 pixels of blur 76 %."""
SLANTED = 0.5
DOUBT = 0.1  # to either side of it
CHANGES = 0.95  # quantile of the frames of a shot: if that is not blurry, nothing changes in it
BLURRED_SHARP = 0.2  # of a shot that is blurred throughout: share that serves as sharp, at most
BLURRED_BLURRY = 0.6  # and as blurry, at least
FEW = 3  # frames that do not make a scene: each is judged by its own focus
_SAME_MOTION, _SAME_LEVELS, _SAME_DETAIL = 0.5, 3.0, 0.06


@dataclass(frozen=True)
class Judged:
    """What became of a frame.

    Attributes:
        shot: number of the piece between cuts that it lies in, from 1.
        sharpness: natural log; compare it within a shot.
        below: how far below the best of its scene; 0 is as sharp.
        duplicate: place of the frame that it repeats, or None.
        role: `sharp`, `blurry` or `skip`.
        why: in a few words.
    """

    shot: int
    sharpness: float
    below: float
    duplicate: int | None
    role: str
    why: str


def judge(rows: Sequence[Row]) -> tuple[list[Judged], Kind]:
    """Give every frame of a clip a role, and say what kind of clip it is."""
    cuts = find_cuts(rows)
    shots = np.array(cuts.shots, dtype=np.intp)
    sharpness = settle(rows, cuts.shots)
    seen = np.array([why is None for why in cuts.unseen], dtype=bool)
    duplicates = _duplicates(rows, cuts, sharpness)
    below = np.zeros(len(rows))
    roles: list[tuple[str, str]] = [("skip", why or "") for why in cuts.unseen]
    kinds: list[tuple[int, Kind]] = []
    for shot in sorted(set(cuts.shots)):
        here: list[int] = np.flatnonzero((shots == shot) & seen).tolist()
        if not here:
            continue
        focus = np.array([rows[place].focus - SLANTED * rows[place].slant for place in here])
        if cuts.kind == ALBUM or len(here) < FEW:
            found = _by_focus(focus)
            kinds.append((len(here), "album"))
        else:
            below[here] = _below(sharpness[here], _seconds([rows[place] for place in here]))
            kind = _kind(below[here], focus)
            found = _by_neighbours(below[here], kind)
            kinds.append((len(here), kind))
        for place, role in zip(here, found, strict=True):
            roles[place] = role
    for place, first in enumerate(duplicates):
        if first is not None:
            roles[place] = ("skip", "duplicate")
    judged = [
        Judged(int(shots[i]), float(sharpness[i]), float(below[i]), duplicates[i], *roles[i])
        for i in range(len(rows))
    ]
    return judged, _overall(kinds)


def _seconds(rows: Sequence[Row]) -> Float[np.ndarray, " n"]:
    pictures = rows[0].file is not None
    return np.array([row.index / PICTURES_RATE if pictures else row.time for row in rows])


def _below(
    sharpness: Float[np.ndarray, " n"], seconds: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """How far below the best of its scene each frame lies; not less than 0."""
    best = np.empty_like(sharpness)
    for place, second in enumerate(seconds):
        first, end = np.searchsorted(seconds, (second - MOMENT, second + MOMENT + 1e-9))
        near = np.sort(sharpness[min(first, place) : max(end, place + 1)])
        best[place] = near[-min(2, len(near))]
    for order in (range(1, len(best)), range(len(best) - 2, -1, -1)):
        step = -1 if order.step > 0 else 1
        for place in order:
            away = abs(seconds[place] - seconds[place + step])
            best[place] = max(best[place], best[place + step] - DRIFT * away)
    return np.asarray(np.maximum(best - sharpness, 0))


def _kind(below: Float[np.ndarray, " n"], focus: Float[np.ndarray, " n"]) -> Kind:
    best = float(np.median(focus[below <= np.quantile(below, 0.2)]))
    if best < LOW_FOCUS - DOUBT:
        return "all blurred"
    if np.quantile(below, CHANGES) >= BLURRY_FROM:
        return "mixed"
    return "all sharp" if best > LOW_FOCUS + DOUBT else "steady"


def _by_neighbours(below: Float[np.ndarray, " n"], kind: Kind) -> list[tuple[str, str]]:
    strength = float(np.clip(np.quantile(below, CHANGES) / FULL_RANGE, LEAST_STRENGTH, 1))
    sharp_within, blurry_from = strength * SHARP_WITHIN, strength * BLURRY_FROM
    if kind == "all sharp":
        sharp_within = BLURRY_FROM
    elif kind != "mixed":
        # Where the best is blurred as well, fine detail falls less: the order decides.
        sharp_within = min(sharp_within, float(np.quantile(below, BLURRED_SHARP)))
        blurry_from = min(blurry_from, float(np.quantile(below, 1 - BLURRED_BLURRY)))
        blurry_from = max(blurry_from, sharp_within + 1e-9)
    best = "the best of blurred footage" if kind == "all blurred" else "as sharp as its scene gets"
    return [
        ("sharp", best)
        if value <= sharp_within
        else ("blurry", "blurred beside its neighbours")
        if value >= blurry_from
        else ("skip", "between sharp and blurred")
        for value in below
    ]


def _by_focus(focus: Float[np.ndarray, " n"]) -> list[tuple[str, str]]:
    """Frames without neighbours: roughly, by what each one says itself."""
    return [
        ("sharp", "sharp by itself")
        if value > LOW_FOCUS + DOUBT
        else ("blurry", "blurred by itself")
        if value < LOW_FOCUS - DOUBT
        else ("skip", "between sharp and blurred")
        for value in focus
    ]


def _duplicates(
    rows: Sequence[Row], cuts: Cuts, sharpness: Float[np.ndarray, " n"]
) -> list[int | None]:
    """Of each frame the place of the one that it repeats: still, alike in levels and in detail."""
    found: list[int | None] = [None] * len(rows)
    first = 0
    moved = 0.0
    for place in range(1, len(rows)):
        row = rows[place]
        moved += (row.motion or 0.0) * max(1, row.index - rows[place - 1].index)
        same = (
            cuts.shots[place] == cuts.shots[first]
            and cuts.unseen[place] is None
            and cuts.unseen[first] is None
            and row.difference is not None
            and row.difference < _SAME_LEVELS
            and moved < _SAME_MOTION
            and abs(sharpness[place] - sharpness[first]) < _SAME_DETAIL
        )
        if same:
            found[place] = first
        else:
            first, moved = place, 0.0
    return found


def _overall(kinds: Sequence[tuple[int, Kind]]) -> Kind:
    """The kind that most frames belong to; of sharp and blurred shots together, mixed."""
    if not kinds:
        return "empty"
    counts: dict[Kind, int] = {}
    for frames, kind in kinds:
        counts[kind] = counts.get(kind, 0) + frames
    if {"all sharp", "all blurred"} <= counts.keys():
        return "mixed"
    return max(counts, key=lambda kind: counts[kind])
