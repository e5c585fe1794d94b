"""The figures of a clip, frame by frame, as they are measured: a stream in, rows out.

A row depends on its frame and the few before it, and on nothing later, so that measuring can stop
after any frame and go on from there.
"""

import statistics
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from jaxtyping import Float
from torch import Tensor

from bluref.frames.alongside import Alongside, compare
from bluref.frames.detail import Detail, detail_of

LAGS = (1, 2, 4, 8)
"""How many looked-at frames back each frame is compared with."""
ALIKE = 0.5
"""Correlation from which two frames show the same scene."""
_NOISE_OF = 31  # frames that tell the noise together


@dataclass(frozen=True)
class Looked:
    """A frame as it comes out of a clip.

    Attributes:
        index: frame number.
        time: seconds by the clock of the film; of pictures, the frame number.
        grey: levels in [0, 255], perhaps reduced.
        reduced: pixels of the file per pixel of `grey`.
        size: (height, width) of the file's picture, upright.
        file: of a folder of pictures, the name of this one.
    """

    index: int
    time: float
    grey: Float[Tensor, "h w"]
    reduced: int
    size: tuple[int, int]
    file: str | None = None


@dataclass(frozen=True)
class Row:
    """What was measured of a frame; see `Detail` and `Alongside`.

    Attributes:
        motion: mean length of the motion since the frame looked at before, in pixels of the file
            per frame of the file; None where there is none, or it shows another scene.
        likeness: to the frame looked at before, or to that before it if that is higher.
        difference: to the frame looked at before, in grey levels; None for the first.
        changes: (frames looked at back, log of the fine energy over that frame's, trust).
    """

    index: int
    time: float
    file: str | None
    size: tuple[int, int]
    exposure: float
    spread: float
    energy: float
    focus: float
    slant: float
    noise: float
    motion: float | None
    likeness: float | None
    difference: float | None
    changes: tuple[tuple[int, float, float], ...]


def measure(frames: Iterable[Looked], known: Sequence[Row] = ()) -> Iterator[Row]:
    """A row for each frame after those that are known already.

    Args:
        frames: of one clip, in order, from the first; their grey pictures count only from the
            last few that are known onwards.
        known: rows of the first frames, as this gave them.
    """
    recent: deque[tuple[Looked, Detail]] = deque(maxlen=max(LAGS))
    noises = deque((row.noise for row in known), maxlen=_NOISE_OF)
    for place, frame in enumerate(frames):
        if place < len(known) - max(LAGS):
            continue
        floor = _floor(known, noises, place)
        detail = detail_of(frame.grey, noise=floor)
        if place >= len(known):
            noises.append(detail.noise)
            yield _row(frame, detail, recent)
        recent.append((frame, detail))


def _floor(known: Sequence[Row], noises: "deque[float]", place: int) -> float | None:
    """What the frames before this place have told of the noise."""
    told = [row.noise for row in known[max(0, place - _NOISE_OF) : place]]
    told = told if place < len(known) else list(noises)
    return statistics.median(told) if told else None


def _row(frame: Looked, detail: Detail, recent: Sequence[tuple[Looked, Detail]]) -> Row:
    beside: dict[int, Alongside] = {}
    for lag in LAGS:
        if lag <= len(recent) and recent[-lag][0].grey.shape == frame.grey.shape:
            beside[lag] = compare(recent[-lag][1], detail, parts=lag == 1)
    changes = tuple(
        (lag, round(one.change, 5), round(one.overlap * one.likeness**2, 5))
        for lag, one in beside.items()
        if one.change is not None and one.likeness >= ALIKE
    )
    before = beside.get(1)
    motion = None
    if before is not None and before.likeness >= ALIKE:
        steps = max(1, frame.index - recent[-1][0].index)
        motion = before.length * frame.reduced / steps
    return Row(
        index=frame.index,
        time=frame.time,
        file=frame.file,
        size=frame.size,
        exposure=detail.exposure,
        spread=detail.spread,
        energy=detail.energy,
        focus=detail.focus,
        slant=detail.slant,
        noise=detail.noise,
        motion=motion,
        likeness=max((beside[lag].likeness for lag in (1, 2) if lag in beside), default=None),
        difference=None if before is None else before.difference,
        changes=changes,
    )


def as_told(row: Row) -> dict[str, object]:
    """A row as JSON can hold it."""
    return asdict(row)


def from_told(told: dict[str, object]) -> Row:
    """The row that `as_told` told.

    Raises:
        TypeError, KeyError: it is none.
    """
    size, changes = told["size"], told["changes"]
    if not isinstance(size, list) or not isinstance(changes, list):
        raise TypeError("not a row")
    kept = {name: value for name, value in told.items() if name not in ("size", "changes")}
    return Row(**kept, size=tuple(size), changes=tuple(map(tuple, changes)))  # type: ignore[arg-type]
