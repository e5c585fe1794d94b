"""Blur along the motion of footage: what a camera would have made of a sharp frame.

A sharp frame and the motion around it make a blurry picture with exact truth, in which every object
moves as it did: no random kernel knows that a car stands still before a background that flies past.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.light import GAMMA
from bluref.degrade.paths import halved, length, path_back, resized
from bluref.degrade.warp import inside, warp

SPACING = 2.0  # pixels between moments at most; resampling fills what lies between
FEWEST, MOST = 5, 41  # moments of an exposure, where speed decides
DARKEST = 1e-8  # linear light below which the slope of the curve back would be endless


@dataclass(frozen=True)
class Motion:
    """Where everything in a frame comes from and goes to.

    Attributes:
        before: flow in pixels to where it was one frame interval earlier.
        after: flow in pixels to where it will be one frame interval later.
    """

    before: Float[Tensor, "b 2 h w"]
    after: Float[Tensor, "b 2 h w"]

    def speed(self) -> float:
        """Pixels per interval, of the fastest."""
        return float(torch.stack((length(self.before).amax(), length(self.after).amax())).amax())

    def blur(self, exposure: float) -> Float[Tensor, "b 1 h w"]:
        """Length in pixels of what an exposure of so many frame intervals smears each point to.

        The two ends of the path may be the same place, where motion turns round half way.
        """
        ends = length(self.after - self.before)
        halves = torch.maximum(length(self.before), length(self.after))
        return torch.maximum(ends, halves) * exposure / 2


@dataclass(frozen=True)
class Shutter:
    """How light is gathered over time.

    Attributes:
        exposure: how long the shutter is open, in frame intervals; the frame is its middle.
        softness: share of that in which it opens and closes, in [0, 1]: 0 is at once, 1 a triangle.
        gamma: power of the curve between linear light and encoded values.
    """

    exposure: float
    softness: float = 0.0
    gamma: float = GAMMA

    def __post_init__(self) -> None:
        if self.exposure < 0 or not 0 <= self.softness <= 1 or self.gamma <= 0:
            raise ValueError(
                "need exposure >= 0, softness in [0, 1] and gamma > 0, got "
                f"{self.exposure}, {self.softness}, {self.gamma}"
            )

    def openness(self, time: float) -> float:
        """How far it is open at a time, in [0, 1]; time in intervals from the middle."""
        to_the_end = 1 - 2 * abs(time) / self.exposure if self.exposure else 1.0
        return min(max(to_the_end, 0.0) / self.softness, 1.0) if self.softness else 1.0


@dataclass(frozen=True)
class ShutterConfig:
    """What `random_shutter` draws; bounds of uniform ranges."""

    exposure: tuple[float, float] = (0.75, 1.25)
    """Over the usual exposure."""

    softness: tuple[float, float] = (0.0, 0.4)
    """Share of the exposure in which the shutter opens and closes."""

    gamma: tuple[float, float] = (1.8, 2.6)
    """Power of the curve between linear light and encoded values."""

    def __post_init__(self) -> None:
        low, high = self.exposure
        if not 0 <= low <= high:
            raise ValueError(f"need 0 <= low <= high for exposure, got {self.exposure}")
        if not 0 <= self.softness[0] <= self.softness[1] <= 1:
            raise ValueError(f"need 0 <= low <= high <= 1 for softness, got {self.softness}")
        if not 0 < self.gamma[0] <= self.gamma[1]:
            raise ValueError(f"need 0 < low <= high for gamma, got {self.gamma}")


def random_shutter(generator: torch.Generator, usual: float, config: ShutterConfig) -> Shutter:
    """Draw a shutter; the generator is the only source of randomness.

    Args:
        generator: of the picture.
        usual: exposure of the footage, in frame intervals.
        config: how far to go from it.
    """
    chance = torch.rand(3, generator=generator).tolist()
    bounds = (config.exposure, config.softness, config.gamma)
    share, softness, gamma = (
        low + (high - low) * c for c, (low, high) in zip(chance, bounds, strict=True)
    )
    return Shutter(usual * share, softness, gamma)


def expose_along(
    sharp: Float[Tensor, "b c h w"],
    motion: Motion,
    shutter: Shutter,
    *,
    moments: int | None = None,
    margin: int = 0,
) -> Float[Tensor, "b c h2 w2"]:
    """The mean in linear light of the frame moved along its motion while the shutter is open.

    Paths are straight on either side of the frame. What the frame does not show, since something
    hides it or it lies outside, is not known: edges are repeated. Differentiable in `sharp`.

    Args:
        sharp: sRGB-encoded, in [0, 1]; channels are moved alike.
        motion: of the same size.
        shutter: how long, and how.
        moments: of the exposure that are added up; else as many as the fastest of all pictures
            asks for. With a number a picture does not depend on those beside it.
        margin: pixels on every side that things may come in from, and that are not wanted.
    """
    light = sharp.clamp(0, 1).pow(shutter.gamma)
    steps = ((moments or _moments(motion.speed(), shutter)) - 1) // 2
    weight = shutter.openness(0.0)
    size = (light.shape[-2], light.shape[-1])
    inner = (..., slice(margin, size[0] - margin), slice(margin, size[1] - margin))
    total, weights = light[inner] * weight, weight
    for flow in (halved(motion.before), halved(motion.after)):
        for time, here in _paths(flow, shutter.exposure / 2, steps):
            weight = shutter.openness(time)
            path = resized(here, size)[inner] + margin  # from the corner of the whole
            total = total + weight * warp(light, path, mode="bilinear")
            weights += weight
    return (total / weights).clamp(DARKEST, 1).pow(1 / shutter.gamma)


def stays_inside(motion: Motion, exposure: float) -> Bool[Tensor, "b 1 h w"]:
    """Where what is seen during the exposure lies within the frame, so that all of it is known."""
    size = (motion.after.shape[-2], motion.after.shape[-1])
    # What ends at q came from about q - time * flow(q): the way that `expose_along` looks.
    starts = (-0.5 * exposure * motion.before, -0.5 * exposure * motion.after)
    return inside(starts[0], size) & inside(starts[1], size)


def _moments(speed: float, shutter: Shutter) -> int:
    """Odd: the middle, and as many on either side of it."""
    moments = min(max(1 + speed * shutter.exposure / SPACING, FEWEST), MOST)
    return 1 + 2 * math.ceil((moments - 1) / 2)


def _paths(
    flow: Float[Tensor, "b 2 h w"], end: float, steps: int
) -> Iterator[tuple[float, Float[Tensor, "b 2 h w"]]]:
    """Times from near 0 to nearly the end, the middles of equal shares, and the paths back."""
    here = None
    for k in range(1, steps + 1):
        time = end * k / (steps + 0.5)
        # Paths are nearly straight in time as well: the one before says where to begin.
        start = None if here is None else here * (k / (k - 1))
        here, _ = path_back(flow, time, start, rounds=2)
        yield time, here
