"""Hand-held footage of a photograph: a moving camera, two depths, a rolling shutter."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera_path import CameraPath, Pose, random_path
from bluref.degrade.footage import Exposure
from bluref.degrade.light import to_linear, to_srgb
from bluref.degrade.stage import HandheldConfig, Scene, set_up

_SPACING = 0.7  # pixels between renderings of one exposure, at its fastest corner
_CHUNK = 1 << 18  # pixels rendered at once

Array = np.ndarray


def film(
    photograph: Float[Tensor, "1 3 h w"], generator: torch.Generator, config: HandheldConfig
) -> Iterator[Exposure]:
    """Frames of a hand-held clip of a photograph.

    blurry = mean of the light over each row's exposure, sharp = what the row saw in the middle of
    it. The view stays inside the photograph as `set_up` fits it to the frames.

    Args:
        photograph: sRGB-encoded.
        generator: the only source of randomness: the way of the camera and the layers.
        config: of the clip.

    Raises:
        ValueError: the photograph is too small for frames of this size; see `fits`.
    """
    scene = set_up(photograph, generator, config)
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
        steps = _steps(scene, path, frame, config)
        offsets = (np.arange(steps) + 0.5) / steps - 0.5
        light = _mean_light(scene, path, frame + config.exposure * offsets, config)
        middle = _mean_light(scene, path, np.array([float(frame)]), config)
        yield Exposure(blurry=to_srgb(light), sharp=to_srgb(middle))


def _row_times(times: Float[Array, " n"], rows: int, config: HandheldConfig) -> Float[Array, "n h"]:
    """When each row sees its part of the moments that the middle row sees at `times`."""
    return times[:, None] + config.readout * np.linspace(-0.5, 0.5, rows)


def _steps(scene: Scene, path: CameraPath, frame: int, config: HandheldConfig) -> int:
    """Renderings needed so that no corner of the near layer jumps by more than `_SPACING`."""
    h, w = config.size
    times = frame + config.exposure * np.linspace(-0.5, 0.5, 33)
    pose = path.at(_row_times(times, 3, config))  # 33 times, 3 rows
    down = np.array([-h / 2, 0, h / 2])
    furthest = 0.0
    for across in (-w / 2, w / 2):
        cos, sin = pose.scale * np.cos(pose.angle), pose.scale * np.sin(pose.angle)
        x = (1 + scene.parallax) * pose.x + cos * across - sin * down
        y = (1 + scene.parallax) * pose.y + sin * across + cos * down
        moved = np.hypot(np.diff(x, axis=0), np.diff(y, axis=0)).sum(axis=0)
        furthest = max(furthest, float(moved.max()))
    return 1 + math.ceil(furthest / _SPACING)


def _mean_light(
    scene: Scene, path: CameraPath, times: Float[Array, " n"], config: HandheldConfig
) -> Float[Tensor, "1 3 h w"]:
    """Mean over the times of the linear light that reaches each pixel."""
    h, w = config.size
    total = torch.zeros(1, 3, h, w)
    parts = min(len(times), math.ceil(len(times) * h * w / _CHUNK))
    for part in np.array_split(times, parts):
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
    extra = scene.parallax * np.stack((pose.x / width, pose.y / height), axis=-1)
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
