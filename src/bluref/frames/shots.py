"""Where a clip is cut, and which of its frames show nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from bluref.frames.measured import ALIKE, Row

ALBUM = "album"
FILM = "film"
DARK, FLAT, FLASH = "too dark to see anything", "nothing to see", "a flash between its neighbours"

_DARKEST = 0.03  # mean level, in [0, 1]
_FLATTEST = 0.012  # standard deviation, in [0, 1]
_MANY = 0.5  # cuts per frame from which it is no film


@dataclass(frozen=True)
class Cuts:
    """A clip in pieces.

    Attributes:
        kind: FILM, or ALBUM where most neighbours do not show the same scene.
        shots: number of the piece of each frame, from 1; of an album one for each size.
        unseen: why a frame is of no use, or None.
    """

    kind: str
    shots: tuple[int, ...]
    unseen: tuple[str | None, ...]


def find_cuts(rows: Sequence[Row]) -> Cuts:
    """Cut where neither of the two frames before shows the same scene, or the size changes."""
    unseen = [_unseen(row) for row in rows]
    for place in range(1, len(rows) - 1):
        if unseen[place] is None and _is_flash(rows, place):
            unseen[place] = FLASH
    shots = []
    shot, cuts, last = 1, 0, None
    for place, row in enumerate(rows):
        if unseen[place] is None:
            if last is not None and _is_cut(rows[last], row, near=place - last <= 2):
                shot, cuts = shot + 1, cuts + 1
            last = place
        shots.append(shot)
    useful = unseen.count(None)
    if useful > 2 and cuts > _MANY * (useful - 1):
        sizes = list(dict.fromkeys(row.size for row in rows))
        return Cuts(ALBUM, tuple(sizes.index(row.size) + 1 for row in rows), tuple(unseen))
    return Cuts(FILM, tuple(shots), tuple(unseen))


def _unseen(row: Row) -> str | None:
    if row.exposure < _DARKEST and row.spread < 2 * _FLATTEST:
        return DARK
    return FLAT if row.spread < _FLATTEST else None


def _is_flash(rows: Sequence[Row], place: int) -> bool:
    """Unlike the frame before, which the next one is like."""
    row, after = rows[place], rows[place + 1]
    alone = not row.changes and (row.likeness is None or row.likeness < ALIKE)
    lags = {lag for lag, _, _ in after.changes}
    return alone and 1 not in lags and 2 in lags


def _is_cut(before: Row, row: Row, *, near: bool) -> bool:
    if row.size != before.size:
        return True
    if near and row.likeness is not None and row.likeness >= ALIKE:
        return False
    return not row.changes
