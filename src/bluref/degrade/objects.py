"""Moving objects pasted into a scene, each with its own motion, and what they hide.

An object is a patch of another picture within a smooth-edged outline. It lies in the reference at
one place and in the target at another; between the two it moves rigidly, whatever the scene behind
it does. Everything is known exactly: which layer each pixel of the target shows, and whether the
reference shows that point too or hides it behind a nearer object.
"""

import math
from dataclasses import dataclass
from types import EllipsisType

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.warp import inside, pixel_grid, warp

CLEAR = 0.05  # share of an object in a pixel up to which the pixel shows what lies behind
COVERED = 0.95  # share from which it shows the object; between the two it shows neither
FLIPS: tuple[tuple[int, ...], ...] = ((-1,), (-2,), (-2, -1))  # of the objects' texture


@dataclass(frozen=True)
class ObjectConfig:
    """What objects `random_objects` draws."""

    most: int = 3
    """Largest number of objects; every number from 0 on is as likely."""

    radius: tuple[float, float] = (0.06, 0.28)
    """Bounds of an object's mean radius, over the shorter side of the picture."""

    shift: float = 20.0
    """Largest motion against the scene behind it along each axis, in pixels; half of the objects
    move by less than a quarter of it."""

    rotation: float = 8.0
    """Largest rotation between reference and target, in degrees."""

    scale: float = 0.08
    """Largest change of scale between reference and target."""

    softness: tuple[float, float] = (1.0, 2.5)
    """Bounds of the width of its edge, in pixels."""

    def __post_init__(self) -> None:
        if self.most < 0:
            raise ValueError(f"most must not be negative, got {self.most}")
        if not 0 < self.radius[0] <= self.radius[1]:
            raise ValueError(f"need 0 < low <= high for radius, got {self.radius}")
        if not 0 < self.softness[0] <= self.softness[1]:
            raise ValueError(f"need 0 < low <= high for softness, got {self.softness}")
        if min(self.shift, self.rotation) < 0 or not 0 <= self.scale < 1:
            raise ValueError(
                "shift and rotation must not be negative and scale must lie in [0, 1), got "
                f"{self.shift}, {self.rotation} and {self.scale}"
            )


@dataclass(frozen=True)
class MovingObject:
    """One object: its outline in the reference and its way to there from the target.

    Attributes:
        target: (x, y) of its centre in the target, in pixels.
        shift: its motion in pixels against that of the scene behind its centre in the target.
        turn: 2 x 2 matrix that takes offsets from its centre in the target to the reference.
        radius: mean distance of its outline from its centre in the reference, in pixels.
        waves: cosine and sine parts, over the radius, of the outline's 2nd to 5th harmonic.
        softness: width in pixels of the edge, from nothing to all.
    """

    target: Float[Tensor, "2"]
    shift: Float[Tensor, "2"]
    turn: Float[Tensor, "2 2"]
    radius: float
    waves: Float[Tensor, "4 2"]
    softness: float

    @property
    def reach(self) -> float:
        """Pixels of the reference from its centre beyond which there is nothing of it."""
        return self.radius * (1 + self.waves.abs().sum().item()) + self.softness

    def flow(self, at: Float[Tensor, "1 2 h w"], behind: Float[Tensor, "2"]) -> Tensor:
        """Its own flow at places of the target, if the scene at its centre moves by `behind`."""
        x, y = (at - self.target[:, None, None]).unbind(dim=1)
        (xx, xy), (yx, yy) = (self.turn - torch.eye(2)).tolist()
        turned = torch.stack((xx * x + xy * y, yx * x + yy * y), dim=1)
        return turned.add_((behind + self.shift)[:, None, None])

    def cover(
        self, at: Float[Tensor, "1 2 h w"], behind: Float[Tensor, "2"]
    ) -> Float[Tensor, "1 1 h w"]:
        """Its share, in [0, 1], of each place of the reference."""
        offset = at - (self.target + behind + self.shift)[:, None, None]
        squared = offset[:, :1].square().addcmul_(offset[:, 1:], offset[:, 1:])
        near = (squared < self.reach**2).flatten().nonzero()[:, 0]
        share = torch.zeros_like(squared)
        share.view(-1)[near] = self._share(
            offset.reshape(2, -1).index_select(1, near),
            squared.flatten().index_select(0, near).sqrt(),
        )
        return share

    def _share(
        self, offset: Float[Tensor, "2 n"], distance: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        cosine, sine = offset / distance.clamp(min=1e-3)
        outline = torch.ones_like(distance)
        c, s = cosine, sine
        for real, imaginary in self.waves.tolist():
            c, s = c * cosine - s * sine, s * cosine + c * sine  # the next harmonic's angle
            outline = outline + real * c + imaginary * s
        return ((self.radius * outline - distance) / self.softness + 0.5).clamp(0, 1)


@dataclass(frozen=True)
class View:
    """Two views of a scene with objects, and what is known of them.

    Attributes:
        target: what the target shows, sharp; larger than the reference by `border` on each side.
        reference: what the reference shows.
        flow: from target to reference, as large as the target.
        valid: where the target shows one thing and the reference shows that point of it.
        cover: share of each pixel of the target that objects take.
    """

    target: Float[Tensor, "1 3 H W"]
    reference: Float[Tensor, "1 3 h w"]
    flow: Float[Tensor, "1 2 H W"]
    valid: Bool[Tensor, "1 1 H W"]
    cover: Float[Tensor, "1 1 H W"]


def random_objects(
    generator: torch.Generator, size: tuple[int, int], config: ObjectConfig
) -> tuple[MovingObject, ...]:
    """Objects from the farthest to the nearest.

    Args:
        generator: the only source of randomness.
        size: (height, width) of the target in pixels.
        config: what may be drawn.
    """
    count = int(torch.randint(config.most + 1, (), generator=generator))
    return tuple(_random_object(generator, size, config) for _ in range(count))


def _random_object(
    generator: torch.Generator, size: tuple[int, int], config: ObjectConfig
) -> MovingObject:
    share = torch.rand(6, generator=generator)
    signs = 2 * torch.rand(4, generator=generator) - 1
    height, width = size
    low, high = config.radius
    angle = math.radians(config.rotation * signs[0].item())
    scale = 1 + config.scale * signs[1].item()
    # The square favours slow objects; a fast one still comes now and then.
    return MovingObject(
        target=share[:2] * torch.tensor((width - 1.0, height - 1.0)),
        shift=config.shift * signs[2:].abs() * signs[2:],
        turn=scale
        * torch.tensor(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle)))),
        radius=min(size) * (low + (high - low) * share[2].item()),
        waves=torch.randn(4, 2, generator=generator) * 0.16 / torch.arange(1.0, 5.0)[:, None],
        softness=config.softness[0] + (config.softness[1] - config.softness[0]) * share[3].item(),
    )


def compose(
    scene: Float[Tensor, "1 3 S T"],
    texture: Float[Tensor, "1 3 S T"],
    flow: Float[Tensor, "1 2 H W"],
    objects: tuple[MovingObject, ...],
    size: tuple[int, int],
) -> View:
    """Render both views: the scene moved by the flow, and objects that move on their own.

    The reference is the centre of the scene, in whose middle it lies with a margin around; the
    target is filled from that margin where it looks beyond the reference.

    Args:
        scene: sharp picture, larger than the reference.
        texture: another picture of the same size, of which the objects are made.
        flow: motion of the scene, for the target and its border.
        objects: from the farthest to the nearest.
        size: (height, width) of the reference.

    Raises:
        ValueError: the scene is smaller than the reference, or target and reference do not share
            their centre to the pixel.
    """
    margin = _margin(scene.shape[-2:], size)
    border = _margin(flow.shape[-2:], size)
    grid = pixel_grid(flow.shape[-2], flow.shape[-1], flow) - border
    behind = [_at(flow, o.target + border) for o in objects]

    flow = flow.clone()
    target = warp(scene, flow + (margin - border))
    reference = _cut(scene, margin).clone()
    there = pixel_grid(size[0], size[1], flow)
    mixed = torch.zeros_like(flow[:, :1], dtype=torch.bool)
    layer = torch.zeros_like(flow[:, :1])
    cover = torch.zeros_like(flow[:, :1])
    for number, (one, back) in enumerate(zip(objects, behind, strict=True), 1):
        # No two objects alike: where they meet, the nearer must stand out from the farther.
        skin = texture if number == 1 else texture.flip(FLIPS[number % len(FLIPS)])
        box = _box(one.target + border, one.reach / one.turn.det().sqrt().item(), grid)
        own = one.flow(grid[box], back)
        alpha = one.cover(grid[box] + own, back)
        # `warp` counts from the corner of what it returns.
        shown = warp(skin, own + grid[box][..., :1, :1] + margin)
        target[box].lerp_(shown, alpha)
        mixed[box] = torch.where(alpha >= COVERED, False, mixed[box] | (alpha > CLEAR))
        layer[box] = torch.where(alpha >= 0.5, float(number), layer[box])
        flow[box] = torch.where(alpha >= 0.5, own, flow[box])
        cover[box] = torch.maximum(cover[box], alpha)
        box = _box(one.target + back + one.shift, one.reach, there)
        reference[box].lerp_(_cut(skin, margin)[box], one.cover(there[box], back))

    # `inside` counts from the corner of the target; ours is one border further out.
    valid = inside(flow - border, size) & ~mixed
    farthest = flow.abs().max().item() if objects else 0.0
    for number, (one, back) in enumerate(zip(objects, behind, strict=True), 1):
        # Nothing moves so far that it could get behind the object from outside this box.
        box = _box(one.target + back + one.shift + border, one.reach + farthest, grid)
        valid[box] &= (layer[box] >= number) | (one.cover(grid[box] + flow[box], back) <= CLEAR)
    return View(target.clamp_(0, 1), reference, flow, valid, cover)


def _box(
    centre: Float[Tensor, "2"], reach: float, grid: Float[Tensor, "1 2 h w"]
) -> tuple[EllipsisType, slice, slice]:
    """The rows and columns of a grid within reach of a place, (x, y) from its corner."""
    spans = []
    for place, side in zip(centre.flip(0).tolist(), grid.shape[-2:], strict=True):
        first = min(max(math.floor(place - reach), 0), side - 1)
        spans.append(slice(first, min(max(math.ceil(place + reach) + 1, first + 1), side)))
    return (..., spans[0], spans[1])


def _cut(scene: Float[Tensor, "1 3 S T"], margin: int) -> Float[Tensor, "1 3 h w"]:
    return scene[..., margin : scene.shape[-2] - margin, margin : scene.shape[-1] - margin]


def _margin(outer: tuple[int, ...], inner: tuple[int, int]) -> int:
    """Pixels between two boxes of one centre, the same on every side."""
    margins = {outer[0] - inner[0], outer[1] - inner[1]}
    margin = margins.pop()
    if margins or margin < 0 or margin % 2:
        raise ValueError(f"{tuple(outer)} does not lie around {inner} with one margin on all sides")
    return margin // 2


def _at(flow: Float[Tensor, "1 2 H W"], place: Float[Tensor, "2"]) -> Float[Tensor, "2"]:
    """The flow at the pixel next to a place (x, y)."""
    x, y = (int(v) for v in place.round().tolist())
    height, width = flow.shape[-2:]
    return flow[0, :, min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
