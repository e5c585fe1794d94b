"""Which frames of a film are sharp already, found while it passes by."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from bluref.frames.sharpness import WINDOW

Item = TypeVar("Item")

# In logarithms of gradient energy, as `image_sharpness` has it.
NEAR = 0.15
"""A frame this little below the sharpest of its neighbours is as sharp as that: on photographs,
blurred by two pixels at most, or one that the camera has moved on to."""

SPREAD = 0.5
"""Neighbours differ by blur where the blurriest is this much below the sharpest: blurred by three
to six pixels, on photographs."""


def is_sharp(value: float, near: list[float]) -> bool:
    """Whether a frame is sharp beside its neighbours.

    It is where it comes close to the sharpest of them and some of them are clearly blurrier. Where
    all are alike nobody knows whether all are sharp or all are blurry, so none is called sharp.

    Args:
        value: sharpness of the frame.
        near: sharpness of its neighbours and of itself.
    """
    sharpest = max(near)
    return value >= sharpest - NEAR and min(near) <= sharpest - SPREAD


def with_sharpness(
    items: Iterable[Item], sharpness: Callable[[Item], float], window: int = WINDOW
) -> Iterator[tuple[Item, bool]]:
    """Items with whether each is sharp beside up to `window` neighbours on both sides.

    Holds `window` items more than it has given, and forgets those behind.
    """
    waiting: deque[Item] = deque()
    values: deque[float] = deque()  # of the waiting, and of up to `window` before them
    passed = 0  # values of items that were given
    for item in items:
        waiting.append(item)
        values.append(sharpness(item))
        if len(waiting) > window:
            yield waiting.popleft(), is_sharp(values[passed], list(values))
            passed += 1
            if passed > window:
                values.popleft()
                passed -= 1
    while waiting:
        near = list(values)[max(0, passed - window) : passed + window + 1]
        yield waiting.popleft(), is_sharp(values[passed], near)
        passed += 1
