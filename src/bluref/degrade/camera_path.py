"""The way of a hand-held camera through a clip: where it points at any moment."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

_STEPS = 32  # per frame in the table of the way, which is linear in between
_CALM = 0.02  # slowest moment of a clip over its fastest
_SWAY = (0.3, 1.0)  # swings of rotation and zoom per shorter side of the view travelled
_HURRY = 3.0  # Hz: how quickly the hand can change its speed
_TREMOR = (4.0, 10.0)  # Hz

Array = np.ndarray


@dataclass(frozen=True)
class HandConfig:
    """How a hand holds the camera."""

    speed: float = 1.8
    """Fastest movement over the scene, in shorter sides of the view per second; the speed swings
    between this and near rest, so that every clip has blurry and calm moments."""

    rotation: float = 2.0
    """Largest roll to either side, in degrees."""

    zoom: float = 0.05
    """Largest change of scale to either side: 0.05 is 5 %."""

    tremor: float = 0.6
    """Trembling at 4 to 10 Hz while moving, standard deviation in pixels."""

    def __post_init__(self) -> None:
        for name in ("speed", "rotation", "tremor"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.zoom < 0.5:
            raise ValueError(f"zoom must lie in [0, 0.5), got {self.zoom}")


class Pose(NamedTuple):
    """Where the camera points at some moments; all four arrays have the shape of the moments.

    Attributes:
        x: of the centre of the view, in pixels right of the middle of the photograph.
        y: the same, downwards.
        angle: roll in radians; positive turns the view's x axis towards its y axis.
        scale: pixels of the photograph per pixel of the view.
    """

    x: Float[Array, "*t"]
    y: Float[Array, "*t"]
    angle: Float[Array, "*t"]
    scale: Float[Array, "*t"]


@dataclass(frozen=True)
class CameraPath:
    """A way through a clip.

    Attributes:
        times: in frames, rising.
        poses: at those times.
    """

    times: Float[Array, " n"]
    poses: Pose

    def at(self, times: Float[Array, "*t"]) -> Pose:
        """Where the camera points at any times, in frames; it rests beyond the table."""
        return Pose(*(np.interp(times, self.times, row) for row in self.poses))


def random_path(
    generator: torch.Generator,
    config: HandConfig,
    *,
    span: tuple[float, float],
    rate: float,
    side: int,
    room: tuple[float, float],
) -> CameraPath:
    """A smooth random way whose speed rises and falls.

    The centre of the view swings over a rectangle; rotation and zoom follow the distance it has
    travelled and trembling its speed, so that a calm moment is calm in everything.

    Args:
        generator: the only source of randomness.
        config: of the hand.
        span: first and last moment of interest, in frames.
        rate: frames per second.
        side: shorter side of the view in pixels, the unit of `config.speed`.
        room: how far the centre may go to the right and down from the middle, in pixels.
    """
    times = np.arange(span[0], span[1] + 1 / _STEPS, 1 / _STEPS)
    seconds = times / rate
    activity = _activity(generator, seconds)
    distance = np.cumsum(activity) * (config.speed / rate / _STEPS)  # in sides of the view
    x, y = _wander(generator, distance * side, room)
    trembling = config.tremor * activity
    x += trembling * _waves(generator, seconds, _TREMOR)
    y += trembling * _waves(generator, seconds, _TREMOR)
    roll = np.tanh(_waves(generator, distance, _SWAY))
    zoom = np.tanh(_waves(generator, distance, _SWAY))
    return CameraPath(
        times,
        Pose(
            np.clip(x, -room[0], room[0]),
            np.clip(y, -room[1], room[1]),
            np.deg2rad(config.rotation) * roll,
            1 + config.zoom * zoom,
        ),
    )


def _activity(generator: torch.Generator, seconds: Float[Array, " n"]) -> Float[Array, " n"]:
    """Speed over the fastest one: comes near 0 and reaches 1 in every clip, however short."""
    slowest = 1 / max(float(np.ptp(seconds)), 1 / _HURRY)
    swing = _waves(generator, seconds, (min(slowest, _HURRY), _HURRY))
    share = (swing - swing.min()) / max(float(np.ptp(swing)), 1e-9)
    return np.asarray(_CALM + (1 - _CALM) * share**1.5)


def _wander(
    generator: torch.Generator, distance: Float[Array, " n"], room: tuple[float, float]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """A Lissajous curve over the room, walked through by length of way."""
    if max(room) < 1:
        return np.zeros_like(distance), np.zeros_like(distance)
    phase_x, phase_y, ratio, turned = torch.rand(4, generator=generator).tolist()
    slow = 0.55 + 0.25 * ratio
    speeds = (1.0, slow) if turned < 0.5 else (slow, 1.0)
    needed = float(distance.max())
    rounds = 1 + needed / (4 * max(room) * slow)  # each is longer than that
    at = np.linspace(0, rounds, round(500 * rounds) + 1)
    x = room[0] * np.sin(2 * np.pi * (speeds[0] * at + phase_x))
    y = room[1] * np.sin(2 * np.pi * (speeds[1] * at + phase_y))
    length = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
    return np.interp(distance, length, x), np.interp(distance, length, y)


def _waves(
    generator: torch.Generator, at: Float[Array, " n"], band: tuple[float, float], count: int = 4
) -> Float[Array, " n"]:
    """A smooth random curve of variance 1: sines with frequencies in `band`, cycles per unit."""
    draws = torch.rand(2, count, 1, generator=generator).double().numpy()
    frequency = band[0] + (band[1] - band[0]) * draws[0]
    waves = np.sin(2 * np.pi * (frequency * at + draws[1]))
    return np.asarray(waves.sum(axis=0) * (2 / count) ** 0.5)
