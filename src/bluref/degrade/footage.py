"""Blurry footage from sharp footage, as GoPro-like sets are made: long exposures of many frames."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.interpolate import FlowEstimator, Interval, between, join
from bluref.degrade.light import to_linear, to_srgb

_SPACING = 1.0  # pixels between sub-frames; wider steps leave separate contours
_MOST = 64  # sub-frames per interval, whatever the flow claims


@dataclass(frozen=True)
class ExposureConfig:
    """How long, how often and how finely the shutter is open."""

    exposure: float = 1.25
    """Length of the exposure, in intervals between frames of the result; half of it lies before
    the sharp frame and half after. GoPro-like sets lie near 1."""

    subframes: int = 8
    """Sub-frames per interval of the source, at least; more where it moves faster than a pixel
    from one to the next."""

    every: int = 1
    """Every how-many-th frame of the source is the middle of an exposure."""

    def __post_init__(self) -> None:
        if not self.exposure > 0:
            raise ValueError(f"exposure must be positive, got {self.exposure}")
        if self.subframes < 1 or self.every < 1:
            raise ValueError(
                f"need subframes >= 1 and every >= 1, got {self.subframes} and {self.every}"
            )


@dataclass(frozen=True)
class Exposure:
    """A blurry frame and its truth.

    Attributes:
        blurry: the mean in linear light of what was seen while the shutter was open.
        sharp: what was seen in the middle of that time.
    """

    blurry: Float[Tensor, "1 3 h w"]
    sharp: Float[Tensor, "1 3 h w"]


def expose(
    frames: Iterable[Float[Tensor, "1 3 h w"]], flow: FlowEstimator, config: ExposureConfig
) -> Iterator[Exposure]:
    """Blurry frames of sharp footage, each centred on a frame that is its truth.

    blurry = (1 / exposure) integral of the light over the exposure, by sub-frames interpolated
    along the flow. Exposures that would begin before the first frame or end after the last are
    left out. Only two frames and the exposures under way are held in memory.

    Args:
        frames: sharp, consecutive, of one size.
        flow: the estimator of the motion between two of them.
        config: of the exposure.

    Raises:
        ValueError: the frames differ in size.
    """
    half = config.exposure * config.every / 2
    light: dict[int, Tensor] = {}  # of the exposures under way, by their middle frame
    truth: dict[int, Tensor] = {}
    for index, interval in enumerate(_intervals(frames, flow)):
        for middle in _open_shutters(index, half, config.every):
            begin, end = max(0.0, middle - half - index), min(1.0, middle + half - index)
            seen = _gather(interval, begin, end, config.subframes)
            light[middle] = light.get(middle, 0) + seen
            if middle == index:
                truth[middle] = interval.first
            if middle + half <= index + 1:
                blurry = to_srgb(light.pop(middle) / (2 * half))
                yield Exposure(blurry, truth.pop(middle))


def _intervals(frames: Iterable[Tensor], flow: FlowEstimator) -> Iterator[Interval]:
    previous: Tensor | None = None
    for index, frame in enumerate(frames):
        if previous is not None:
            if previous.shape != frame.shape:
                shapes = tuple(previous.shape), tuple(frame.shape)
                raise ValueError(f"frames {index - 1} and {index} differ in size: {shapes}")
            yield join(previous, frame, flow)
        previous = frame


def _open_shutters(index: int, half: float, every: int) -> list[int]:
    """Middle frames of the exposures that see some of [index, index + 1], in order."""
    first = max(math.floor((index - half) / every) + 1, math.ceil(half / every))
    last = math.ceil((index + 1 + half) / every) - 1
    return [every * k for k in range(first, last + 1)]


def _gather(
    interval: Interval, begin: float, end: float, subframes: int
) -> Float[Tensor, "1 3 h w"]:
    """Integral of the linear light from `begin` to `end`, as shares of the interval."""
    density = max(subframes, min(interval.speed() / _SPACING, _MOST))
    count = math.ceil((end - begin) * density)
    step = (end - begin) / count
    total = torch.zeros_like(interval.first)
    for seen in between(interval, [begin + (k + 0.5) * step for k in range(count)]):
        total += to_linear(seen)
    return total * step
