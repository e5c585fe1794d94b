"""How a picture is cut into tiles that fit into memory, for the least work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bluref.restore.tiling.spans import Overlap, even_side, span_count, up_to

FADE = 32
"""Pixels over which two tiles are blended."""
SMALLEST_MARGIN = 16
"""Pixels; less of a border shows: see docs/experiments.md."""
LARGEST_SHARE = 0.4
"""Of a tile's side, spent on what it shares with one neighbour, where more is wanted."""
CHUNK = 64
"""Rows that are read and written at a time."""

_FLOAT = 4
# Floats per pixel of a tile that are held around a call: the tile, its result, what judges it.
_AROUND = 24


class TooLittleMemory(Exception):  # noqa: N818 - names what there is
    """Not even the smallest tiles fit.

    Args:
        missing: bytes.
    """

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} bytes are missing")
        self.missing = missing


@dataclass(frozen=True)
class Plan:
    """Tiles as they lie in the stored picture.

    height, width: of each tile, px; those of the picture where one covers it.
    down, across: what neighbours share.
    count: how many tiles.
    need: bytes for all buffers and the network.
    """

    height: int
    width: int
    down: Overlap
    across: Overlap
    count: int
    need: int

    @property
    def work(self) -> int:
        """Pixels that the network runs over."""
        return self.count * self.height * self.width


@dataclass(frozen=True)
class Task:
    """What is to be planned.

    height, width: of the stored picture, px.
    planes: pictures side by side in it; see `bluref.restore.tiling.tiles`.
    layers: of the result, 3 or, with a map of trust, 4.
    multiple: of the network.
    margin: that the network would like at the inner ends of its tiles, px.
    cost: bytes that the network takes for so many pixels.
    """

    height: int
    width: int
    planes: int
    layers: int
    multiple: int
    margin: int
    cost: Callable[[int], int]

    def overlap(self, side: int) -> Overlap:
        """Of tiles of this side: as much as is wanted, unless that is too large a part of them."""
        most = int(side * LARGEST_SHARE - FADE - self.multiple) // 2
        return Overlap(max(SMALLEST_MARGIN, min(self.margin, most)), FADE)

    @property
    def smallest(self) -> int:
        """The smallest side of a tile, px."""
        return 2 * Overlap(SMALLEST_MARGIN, FADE).on_grid(self.multiple)

    def bytes(self, tile_height: int, tile_width: int) -> int:
        """That tiles of this size need: a band of the picture, one of the result, and the network.

        The network is given a tile that ends on its grid.
        """
        rows = (3 + self.layers) * (min(tile_height, self.height) + CHUNK) + self.layers * FADE
        band = self.planes * self.width * rows * _FLOAT
        pixels = up_to(tile_height, self.multiple) * up_to(tile_width, self.multiple)
        return band + pixels * _AROUND * _FLOAT + self.cost(pixels)


def plan_tiles(task: Task, room: int, *, too_large: Plan | None = None) -> Plan:
    """Of the tiles whose buffers fit, those that make the network work least for what they lack.

    Work counts as many times as margins are too small, on each axis that is cut: otherwise long
    narrow tiles, which can share little, would be the cheapest.

    Args:
        task: the picture and the network.
        room: bytes.
        too_large: tiles that turned out not to work: those planned are no higher and have half as
            many pixels, or are the smallest.

    Raises:
        TooLittleMemory: not even the smallest tiles fit.
    """
    heights, widths = _sides(task, task.height), _sides(task, task.width)
    most = task.height * task.width
    if too_large is not None:
        fewest, failed = heights[0] * widths[0], too_large.height * too_large.width
        if failed <= fewest:
            return too_large
        most = max(fewest, failed // 2)
        heights = [s for s in heights if s <= too_large.height] or [too_large.height]
    found = (_best(task, side, widths, room, most) for side in heights)
    plans = [plan for plan in found if plan]
    if not plans:
        least = task.bytes(min(task.smallest, task.height), min(task.smallest, task.width))
        raise TooLittleMemory(max(0, least - room))
    return min(plans, key=lambda plan: (plan.work * _lack(task, plan), plan.count))


def _best(task: Task, height: int, sides: Sequence[int], room: int, most: int) -> Plan | None:
    """The widest tiles of this height that fit, evened."""
    low, high = 0, len(sides)  # how many sides from the smallest on fit, by bisection
    while low < high:
        middle = (low + high + 1) // 2
        width = sides[middle - 1]
        fits = task.bytes(height, width) <= room and height * width <= most
        low, high = (middle, high) if fits else (low, middle - 1)
    if low == 0:
        return None
    down, across = task.overlap(height), task.overlap(sides[low - 1])
    rows, tall = _even(task, task.height, height, down)
    columns, wide = _even(task, task.width, sides[low - 1], across)
    return Plan(tall, wide, down, across, rows * columns, task.bytes(tall, wide))


def _lack(task: Task, plan: Plan) -> float:
    """How many times larger margins ought to be, by both axes."""
    wanted = max(task.margin, SMALLEST_MARGIN)
    down = wanted / plan.down.margin if plan.height < task.height else 1.0
    across = wanted / plan.across.margin if plan.width < task.width else 1.0
    return down * across


def _even(task: Task, length: int, side: int, overlap: Overlap) -> tuple[int, int]:
    """How many tiles of at most this side an axis takes, and their even side."""
    if side >= length:
        return 1, length
    grid, shared = up_to(length, task.multiple), overlap.on_grid(task.multiple)
    return (
        span_count(grid, side, shared),
        even_side(grid, side, shared, task.multiple),
    )


def _sides(task: Task, length: int) -> list[int]:
    """Sides to choose from, ascending: at most a hundred on the grid, and the whole length."""
    step = up_to(max(1, length // 100), task.multiple)
    return [*range(min(task.smallest, length), length, step), length]
