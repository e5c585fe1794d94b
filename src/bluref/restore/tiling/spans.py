"""Where tiles lie along one side of a picture: of even size, on the grid of the network."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels.

    start, stop: what the network sees, `stop` excluded.
    first, last: what of it is used, `last` excluded. The first `fade` pixels from `first` on are
        blended with the span before, whose used part ends with them.
    """

    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class Overlap:
    """What neighbouring tiles share along one axis, in pixels.

    margin: at least so much at the inner end of each tile is thrown away: there a tile does not
        know what lies beyond it.
    fade: so much in the middle of what two tiles share is blended.

    Raises:
        ValueError: `margin` below 0 or `fade` below 1.
    """

    margin: int
    fade: int

    def __post_init__(self) -> None:
        if self.margin < 0 or self.fade < 1:
            raise ValueError(f"need margin >= 0 and fade >= 1, got {self.margin} and {self.fade}")

    def on_grid(self, multiple: int) -> int:
        """All that two tiles share at least: 2 margins and a fade, up to the grid."""
        return up_to(2 * self.margin + self.fade, multiple)


def up_to(value: int, multiple: int) -> int:
    """The next multiple, or the value itself if it is one."""
    return -(-value // multiple) * multiple


def span_count(length: int, tile: int, overlap: int) -> int:
    """How many tiles `even_spans` lays.

    Args:
        length: of the axis, px.
        tile: largest side of a tile, px; above `overlap` unless it covers the axis.
        overlap: that neighbours share at least, px.
    """
    return 1 if tile >= length else ceil((length - overlap) / (tile - overlap))


def even_side(length: int, tile: int, overlap: int, multiple: int) -> int:
    """The side of the tiles that `even_spans` lays: as small as their number allows."""
    count = span_count(length, tile, overlap)
    return up_to(ceil((length - overlap) / count), multiple) + overlap if count > 1 else length


def even_spans(
    length: int, tile: int, overlap: Overlap, multiple: int, *, mirrored: bool = False
) -> list[Span]:
    """Cover an axis with the fewest tiles of one size, none larger than `tile`, evenly spaced.

    Tiles start at multiples of what the network halves its maps by, so that it sees the same grid
    in each of them as in the whole picture. Only the last one may be shorter, where the picture
    ends before the grid does.

    Args:
        length: of the axis, px.
        tile: largest side, px, a multiple of `multiple`.
        overlap: of neighbours.
        multiple: of the network.
        mirrored: count the grid from the end, as for pictures that lie the other way round.

    Raises:
        ValueError: a tile that is hardly larger than what it shares with a neighbour.
    """
    shared = overlap.on_grid(multiple)
    if tile >= length:
        return [Span(0, length, 0, length)]
    if tile <= shared or tile % multiple:
        raise ValueError(f"tile must be a multiple of {multiple} above {shared} px, got {tile}")
    grid = up_to(length, multiple)
    count = span_count(grid, tile, shared)
    side = even_side(grid, tile, shared, multiple)
    room = (grid - side) // multiple
    starts = [i * room // (count - 1) * multiple for i in range(count)]
    ends = [(start, min(start + side, length)) for start in starts]
    if mirrored:
        ends = [(length - stop, length - start) for start, stop in reversed(ends)]
    fades = [(before[1] + after[0] - overlap.fade) // 2 for before, after in pairwise(ends)]
    if any(b - a < overlap.fade for a, b in pairwise(fades)):
        raise ValueError(f"tiles of {tile} px leave no room for fades of {overlap.fade} px")
    firsts, lasts = [0, *fades], [*(at + overlap.fade for at in fades), length]
    return [
        Span(start, stop, first, last)
        for (start, stop), first, last in zip(ends, firsts, lasts, strict=True)
    ]
