"""Hand-held footage of a photograph: a moving camera, two depths, a rolling shutter."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera_path import CameraPath, HandConfig, Pose, random_path
from bluref.degrade.footage import Exposure
from bluref.degrade.light import to_linear, to_srgb

_SPACING = 0.7  # pixels between renderings of one exposure, at its fastest corner
_CHUNK = 1 << 18  # pixels rendered at once
_ROOM = (0.12, 0.3)  # least and wished room around the view, in its shorter sides
_LARGEST_BLOW_UP = 1.5
_SLOPE = 0.5  # width of the slope between the layers over the width of a blob

Array = np.ndarray


@dataclass(frozen=True)
class HandheldConfig:
    """A clip of hand-held footage."""

    size: tuple[int, int] = (240, 320)
    """Height and width of the frames, in pixels."""

    frames: int = 60
    """Length of the clip."""

    rate: float = 30.0
    """Frames per second."""

    exposure: float = 1.25
    """Time the shutter is open, in frames; half of it before the middle of the frame."""

    readout: float = 0.3
    """Time from the first row's exposure to the last row's, in frames: the rolling shutter."""

    parallax: float = 0.15
    """How much faster the near layer passes by than the far one: 0.15 is 15 %."""

    hand: HandConfig = field(default_factory=HandConfig)
    """How the camera moves."""

    def __post_init__(self) -> None:
        if min(self.size) < 16 or self.frames < 1:
            raise ValueError(f"need size >= 16 and frames >= 1, got {self.size}, {self.frames}")
        if not (self.rate > 0 and self.exposure > 0):
            raise ValueError(f"need positive rate, exposure, got {self.rate}, {self.exposure}")
        if self.readout < 0 or self.parallax < 0:
            raise ValueError(
                f"readout and parallax must not be negative, got {self.readout}, {self.parallax}"
            )


@dataclass(frozen=True)
class Scene:
    """A photograph that is given depth.

    Attributes:
        picture: the photograph, sRGB-encoded.
        near: 0 where the photograph lies in the far layer, 1 in the near one, slopes between.
        room: how far the view's centre may go to the right and down, in pixels.
    """

    picture: Float[Tensor, "1 3 h w"]
    near: Float[Tensor, "1 1 h w"]
    room: tuple[float, float]


def film(
    photograph: Float[Tensor, "1 3 h w"], generator: torch.Generator, config: HandheldConfig
) -> Iterator[Exposure]:
    """Frames of a hand-held clip of a photograph.

    blurry = mean of the light over each row's exposure, sharp = what the row saw in the middle of
    it. The view stays inside the photograph, which is made smaller when it is large against the
    view, and a little larger when it leaves the hand no room.

    Args:
        photograph: sRGB-encoded.
        generator: the only source of randomness: the way of the camera and the layers.
        config: of the clip.

    Raises:
        ValueError: the photograph is too small for frames of this size; see `fits`.
    """
    scene = _stage(photograph, generator, config)
    reach = (config.exposure + config.readout) / 2
    path = random_path(
        generator,
        config.hand,
        span=(-reach, config.frames - 1 + reach),
        rate=config.rate,
        side=min(config.size),
        room=scene.room,
    )
    for frame in range(config.frames):
        steps = _steps(path, frame, config)
        offsets = (np.arange(steps) + 0.5) / steps - 0.5
        light = _mean_light(scene, path, frame + config.exposure * offsets, config)
        middle = _mean_light(scene, path, np.array([float(frame)]), config)
        yield Exposure(blurry=to_srgb(light), sharp=to_srgb(middle))


def fits(size: tuple[int, int], config: HandheldConfig) -> bool:
    """Whether a photograph of (height, width) pixels is large enough to be filmed."""
    return _enlargement(size, config) <= _LARGEST_BLOW_UP


def _view_reach(config: HandheldConfig) -> tuple[float, float]:
    """Half the height and width that the view can cover when turned and zoomed."""
    h, w = config.size
    turn = math.radians(config.hand.rotation)
    zoom = 1 + config.hand.zoom
    across = zoom * (w * math.cos(turn) + h * math.sin(turn)) / 2
    down = zoom * (h * math.cos(turn) + w * math.sin(turn)) / 2
    return down, across


def _enlargement(size: tuple[int, int], config: HandheldConfig) -> float:
    """Factor for a photograph: down to the wished room, up only for the least room."""
    least, wished = (
        max(
            2 * (reach + share * min(config.size) * (1 + config.parallax)) / side
            for reach, side in zip(_view_reach(config), size, strict=True)
        )
        for share in _ROOM
    )
    return wished if wished < 1 else max(1.0, least)


def _stage(
    photograph: Float[Tensor, "1 3 h w"], generator: torch.Generator, config: HandheldConfig
) -> Scene:
    h, w = photograph.shape[-2:]
    factor = _enlargement((h, w), config)
    if factor > _LARGEST_BLOW_UP:
        raise ValueError(f"a photograph of {h} x {w} is too small for frames of {config.size}")
    size = math.ceil(h * factor), math.ceil(w * factor)
    fitted = photograph
    if size != (h, w):
        fitted = F.interpolate(photograph, size, mode="bicubic", antialias=True).clamp(0, 1)
    down, across = _view_reach(config)
    slack = ((size[1] - 1) / 2 - across, (size[0] - 1) / 2 - down)
    room = (slack[0] / (1 + config.parallax), slack[1] / (1 + config.parallax))
    return Scene(fitted, _depth(generator, size, cell=2 * min(config.size) // 3), room)


def _depth(
    generator: torch.Generator, size: tuple[int, int], cell: int
) -> Float[Tensor, "1 1 h w"]:
    """Two depths, 0 and 1, in smooth random blobs about `cell` pixels wide, joined by slopes."""
    grid = [side // cell + 4 for side in size]
    coarse = torch.randn(1, 1, *grid, generator=generator)
    hills = F.interpolate(coarse, scale_factor=float(cell), mode="bicubic")
    hills = hills[..., cell : cell + size[0], cell : cell + size[1]]
    steepness = torch.hypot(*torch.gradient(hills, dim=(2, 3))).mean()
    level = hills.mean() + 0.25 * hills.std()
    share = (0.5 + (hills - level) / (_SLOPE * cell * steepness)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _row_times(times: Float[Array, " n"], rows: int, config: HandheldConfig) -> Float[Array, "n h"]:
    """When each row sees its part of the moments that the middle row sees at `times`."""
    return times[:, None] + config.readout * (np.linspace(-0.5, 0.5, rows) if rows > 1 else 0)


def _steps(path: CameraPath, frame: int, config: HandheldConfig) -> int:
    """Renderings needed so that no corner of the near layer jumps by more than `_SPACING`."""
    h, w = config.size
    times = frame + config.exposure * np.linspace(-0.5, 0.5, 33)
    pose = path.at(_row_times(times, 3, config))  # 33 times, 3 rows
    down = np.array([-h / 2, 0, h / 2])
    furthest = 0.0
    for across in (-w / 2, w / 2):
        cos, sin = pose.scale * np.cos(pose.angle), pose.scale * np.sin(pose.angle)
        x = (1 + config.parallax) * pose.x + cos * across - sin * down
        y = (1 + config.parallax) * pose.y + sin * across + cos * down
        moved = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0)).sum(axis=0)
        furthest = max(furthest, float(moved.max()))
    return 1 + math.ceil(furthest / _SPACING)


def _mean_light(
    scene: Scene, path: CameraPath, times: Float[Array, " n"], config: HandheldConfig
) -> Float[Tensor, "1 3 h w"]:
    """Mean over the times of the linear light that reaches each pixel."""
    h, w = config.size
    total = torch.zeros(1, 3, h, w)
    for part in np.array_split(times, math.ceil(len(times) * h * w / _CHUNK)):
        seen = _look(scene, path.at(_row_times(part, h, config)), config)
        total += to_linear(seen).sum(dim=0, keepdim=True)
    return total / len(times)


def _look(scene: Scene, pose: Pose, config: HandheldConfig) -> Float[Tensor, "n 3 h w"]:
    """The views from n moments, each row from its own pose.

    The view's pixel (u, v) from its centre sees the place p of the photograph that solves
    p = centre + scale R(angle) (u, v) + (1 + parallax near(p)) (x, y).
    """
    h, w = config.size
    height, width = scene.picture.shape[-2:]
    down = np.arange(h) - (h - 1) / 2
    cos, sin = pose.scale * np.cos(pose.angle), pose.scale * np.sin(pose.angle)
    # Along a row the far layer's place is affine; in grid_sample's units i is (2 i + 1) / size - 1.
    start = np.stack(((pose.x - sin * down) / width, (pose.y + cos * down) / height), axis=-1)
    slope = np.stack((cos / width, sin / height), axis=-1)
    extra = config.parallax * np.stack((pose.x / width, pose.y / height), axis=-1)
    rows = torch.from_numpy(2 * np.stack((start, slope, extra))).float()[:, :, :, None]  # 3 n h 1 2
    across = torch.arange(w) - (w - 1) / 2
    far = torch.addcmul(rows[0], rows[1], across[:, None])  # n h w 2
    place = far
    for _ in range(2):  # near(p) is smooth: two rounds leave less than a pixel
        near = _sample(scene.near, place, mode="bilinear")
        place = torch.addcmul(far, rows[2], near.permute(0, 2, 3, 1))
    return _sample(scene.picture, place, mode="bicubic")


def _sample(
    picture: Float[Tensor, "1 c H W"], places: Float[Tensor, "n h w 2"], *, mode: str
) -> Float[Tensor, "n c h w"]:
    """One picture at many places in grid_sample's units."""
    n, h, w, _ = places.shape
    stacked = places.reshape(1, n * h, w, 2)  # one picture serves all moments
    seen = F.grid_sample(picture, stacked, mode, padding_mode="border", align_corners=False)
    return seen.view(-1, n, h, w).transpose(0, 1)
