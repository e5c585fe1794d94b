"""Footage of which the blur of every frame is known: for the figures of `curate_scores.py`.

A camera pans along a wall of photographs, of which no two are alike in texture, and shakes now and
then; before it something crosses the scene at its own speed. Exposures are rendered as the mean of
moments in linear light, so that the length of every pixel's way is known.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from bluref.degrade.camera_path import HandConfig, random_path
from bluref.degrade.handheld import film
from bluref.degrade.light import to_linear, to_srgb
from bluref.degrade.stage import HandheldConfig, set_up
from bluref.degrade.warp import pixel_grid, warp

SPACING = 0.7  # pixels of the way between moments of an exposure
MARGIN = 40  # pixels of the wall above and below the view, and at its ends


@dataclass(frozen=True)
class Shot:
    """How one clip comes about.

    Attributes:
        name: of the clip.
        shake: speed in px per frame that the camera reaches in its worst moments.
        calm: speed in px per frame of its calmest.
        exposure: time the shutter is open, in frames.
        bursts: how often the shaking comes and goes in a clip.
        object_speed: px per frame of what crosses the view; None for nothing.
        noise: standard deviation in grey levels of 255.
        softness: standard deviation in px of what the lens does to every frame.
    """

    name: str
    shake: float = 14.0
    calm: float = 0.3
    exposure: float = 0.9
    bursts: float = 5.0
    object_speed: float | None = None
    noise: float = 1.5
    softness: float = 0.0


def wall(photographs, height):
    """Photographs side by side, each blended into the next."""
    blend = 24
    scaled = [
        F.interpolate(p, (height, round(p.shape[-1] * height / p.shape[-2])), mode="bicubic",
                      antialias=True, align_corners=False).clamp(0, 1)
        for p in photographs
    ]  # fmt: skip
    long = scaled[0]
    ramp = torch.linspace(0, 1, blend)
    for picture in scaled[1:]:
        joint = long[..., -blend:] * (1 - ramp) + picture[..., :blend] * ramp
        long = torch.cat((long[..., :-blend], joint, picture[..., blend:]), dim=-1)
    return long


def pan(photographs, shot, *, size, frames, seed):
    """(frame, length of the blur in px, mean over the frame) for every frame of a shot."""
    height, width = size
    light = to_linear(wall(photographs, height + 2 * MARGIN))
    rng = np.random.default_rng(seed)
    x, y = _way(shot, frames, light.shape[-1] - width - 2 * MARGIN, rng)
    skin = to_linear(photographs[-1])
    skin = F.interpolate(skin, (height // 2, height // 2), mode="bicubic").clamp(0, 1)
    radius = height // 5
    for frame in range(frames):
        times = frame + shot.exposure * (np.linspace(-0.5, 0.5, 65))
        camera = np.stack((np.interp(times, x[0], x[1]), np.interp(times, y[0], y[1])))
        way = float(np.hypot(*np.diff(camera)).sum())
        own = None
        longest = way
        if shot.object_speed is not None:
            turn = 2 * math.pi * (times - times.mean()) / 1e9  # straight within an exposure
            place = width / 2 + width * 0.35 * math.sin(frame * shot.object_speed / (width * 0.35))
            speed = shot.object_speed * math.cos(frame * shot.object_speed / (width * 0.35))
            own = np.stack((place + speed * (times - frame) + turn, np.full(65, height * 0.55)))
            longest = max(way, abs(speed) * shot.exposure)
        count = 1 + math.ceil(longest / SPACING)
        picks = np.linspace(0, 64, count)
        total = torch.zeros(1, 3, height, width)
        for pick in picks:
            seen = _look(light, [np.interp(pick, np.arange(65), row) for row in camera], size)
            if own is not None:
                at = [np.interp(pick, np.arange(65), row) for row in own]
                seen = _put(seen, skin, at, radius)
            total += seen
        picture = to_srgb(total / count)
        area = math.pi * radius**2 / (height * width) if own is not None else 0.0
        blur = (1 - area) * way + (area * longest if own is not None else 0.0)
        picture = _soften(picture, shot.softness)
        noise = torch.from_numpy(rng.normal(0, shot.noise / 255, picture.shape)).float()
        yield (picture + noise).clamp(0, 1), blur


def handheld(photograph, *, size, frames, exposure, speed, noise, seed):
    """The same for `simulate`'s hand-held clips of one photograph."""
    config = HandheldConfig(size, frames, 30.0, exposure, hand=HandConfig(speed=speed))
    lengths = _lengths(photograph, config, seed)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    for blur, exposed in zip(lengths, film(photograph, generator, config), strict=True):
        grain = torch.from_numpy(rng.normal(0, noise / 255, exposed.blurry.shape)).float()
        yield (exposed.blurry + grain).clamp(0, 1), blur


def _lengths(photograph, config, seed):
    """Mean length of the way of a grid of points during each exposure: `film`'s own path."""
    generator = torch.Generator().manual_seed(seed)
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
    h, w = config.size
    down, across = (v.ravel() for v in np.mgrid[-h / 2 : h / 2 : 5j, -w / 2 : w / 2 : 5j])
    for frame in range(config.frames):
        pose = path.at(frame + config.exposure * np.linspace(-0.5, 0.5, 65))
        cos, sin = pose.scale * np.cos(pose.angle), pose.scale * np.sin(pose.angle)
        x = (1 + scene.parallax / 2) * pose.x + across[:, None] * cos - down[:, None] * sin
        y = (1 + scene.parallax / 2) * pose.y + across[:, None] * sin + down[:, None] * cos
        yield float(np.hypot(np.diff(x), np.diff(y)).sum(axis=1).mean())


def _way(shot, frames, room, rng):
    """((times, x), (times, y)): a slow pan, and bursts of shaking whose strength differs."""
    times = np.arange(-1, frames + 1, 1 / 32)
    seconds = times / frames
    strength = np.zeros_like(times)
    for phase, weight in zip(rng.random(3), (1.0, 0.6, 0.4), strict=True):
        strength += weight * np.sin(2 * np.pi * (shot.bursts * weight * seconds + phase))
    strength = (strength - strength.min()) / np.ptp(strength)
    speed = shot.calm + (shot.shake - shot.calm) * strength**2
    angle = np.cumsum(rng.normal(0, 0.12, len(times)))
    dx = speed * np.cos(angle) / 32
    dy = speed * np.sin(angle) / 32
    x = np.abs((np.cumsum(dx) + room * 0.2) % (2 * room) - room)  # back and forth along the wall
    swing = 2 * MARGIN - 8
    y = np.abs((np.cumsum(dy) + swing / 2) % (2 * swing) - swing)
    return (times, x + MARGIN), (times, y + 4)


def _look(light, at, size):
    """The view from a place, to a fraction of a pixel."""
    x, y = at
    left, top = math.floor(x), math.floor(y)
    part = light[..., top : top + size[0] + 1, left : left + size[1] + 1]
    fx, fy = x - left, y - top
    part = part[..., :-1] * (1 - fx) + part[..., 1:] * fx
    return part[..., :-1, :] * (1 - fy) + part[..., 1:, :] * fy


def _put(seen, skin, at, radius):
    """A disc of another texture before the scene; `seen` is changed."""
    h, w = seen.shape[-2:]
    left, top = (max(0, math.floor(place - radius) - 2) for place in at)
    box = (
        ...,
        slice(top, min(h, top + 2 * radius + 6)),
        slice(left, min(w, left + 2 * radius + 6)),
    )
    part = seen[box]
    if not part.numel():
        return seen
    grid = pixel_grid(part.shape[-2], part.shape[-1], seen)
    offset = grid + torch.tensor([left - at[0], top - at[1]], dtype=seen.dtype).view(1, 2, 1, 1)
    cover = (radius - offset.norm(dim=1, keepdim=True) + 0.5).clamp(0, 1)
    there = warp(skin, offset + (skin.shape[-1] - 1) / 2 - grid, mode="bilinear")
    seen[box] = torch.lerp(part, there, cover)
    return seen


def _soften(picture, deviation):
    if deviation == 0:
        return picture
    reach = math.ceil(3 * deviation)
    line = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * deviation**2))
    line = (line / line.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    padded = F.pad(picture, (reach,) * 4, mode="replicate")
    rows = F.conv2d(padded, line, groups=3)
    return F.conv2d(rows, line.transpose(-1, -2), groups=3)
