"""A photograph set up to be filmed: fitted to the frames, split into two depths."""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera_path import HandConfig

_ROOM = (0.12, 0.3)  # least and wished room around the view, in its shorter sides
_LARGEST_BLOW_UP = 1.5
_SLOPE = 0.5  # width of the slope between the layers over the width of a blob
_STEEPEST_SHIFT = 0.5  # change of the parallax from pixel to pixel; at 1 the scene would fold


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
    """How much faster the near layer passes by than the far one: 0.15 is 15 %. Less where the
    scene would fold over itself."""

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
        parallax: how much faster the near layer passes by, as a share.
        room: how far the view's centre may go to the right and down, in pixels.
    """

    picture: Float[Tensor, "1 3 h w"]
    near: Float[Tensor, "1 1 h w"]
    parallax: float
    room: tuple[float, float]


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


def set_up(
    photograph: Float[Tensor, "1 3 h w"], generator: torch.Generator, config: HandheldConfig
) -> Scene:
    """Fit a photograph to the frames of a clip and draw its layers.

    It is made smaller when it is large against the frames, and a little larger when it would
    leave the hand no room.

    Args:
        photograph: sRGB-encoded.
        generator: the only source of randomness.
        config: of the clip.

    Raises:
        ValueError: the photograph is too small for the frames; see `fits`.
    """
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
    near = _depth(generator, size, cell=2 * min(config.size) // 3)
    steepest = float(torch.hypot(*torch.gradient(near, dim=(2, 3))).max())
    largest = _STEEPEST_SHIFT / max(steepest * max(room), 1e-6)
    return Scene(fitted, near, min(config.parallax, largest), room)


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
