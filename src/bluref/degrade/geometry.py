"""Random flow fields: how a second view of a scene may differ from the first.

One of three kinds - a homography, a thin-plate spline, or an affine map bent by a spline - with a
shift and a few local elastic bumps on top, as PDC-Net+ is trained on. A field is drawn at the nodes
of a coarse net and continued between them by cubic B-splines, which keep straight motion straight
and bend without creases; what comes out is the flow itself, not an approximation of one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

CELL = 8  # pixels between the nodes of the net
HORIZON = 0.2  # of the homography's divisor: beyond it lies what the plane shows near infinity


@dataclass(frozen=True)
class GeometryConfig:
    """What `random_flow` draws.

    The strengths are those PDC-Net+ was trained with, in halves of a picture's side: 1 is the way
    from its centre to its edge. `strength` scales them all.
    """

    odds: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Odds of a homography, a thin-plate spline, and an affine map with a weaker spline."""

    strength: tuple[float, float] = (0.05, 0.3)
    """Bounds of the factor on all strengths below, drawn log-uniformly; 1 is as published, 0.05 to
    0.3 is what neighbouring frames of a video do. Both 0 for no such motion."""

    corner: tuple[float, float] = (0.33, 0.5)
    """Bounds of the largest displacement of a corner by a homography, and of a node by a spline."""

    rotation: float = 15.0
    """Largest rotation of the affine map, and largest angle of its shear, in degrees."""

    scale: float = 0.45
    """Largest change of scale of the affine map."""

    translation: float = 0.25
    """Largest translation of the affine map."""

    bend: tuple[float, float] = (0.08, 0.15)
    """Bounds of the largest displacement by the spline that bends the affine map."""

    max_shift: float = 12.0
    """Pixels: the shift along each axis is uniform up to this, whatever the strength."""

    bumps: tuple[int, int] = (5, 15)
    """Fewest and most local elastic bumps."""

    bump_height: float = 1.6
    """Standard deviation of a bump's displacement along each axis, in pixels."""

    bump_width: tuple[float, float] = (0.1, 0.3)
    """Bounds of a bump's width (one standard deviation), in halves of the side."""

    still: float = 0.0
    """Share of fields without any motion, as a camera on a tripod sees them, in [0, 1)."""

    smooth: float = 0.0
    """Share of the other fields that have no bumps, in [0, 1)."""

    def __post_init__(self) -> None:
        if len(self.odds) != 3 or min(self.odds) < 0 or sum(self.odds) == 0:
            raise ValueError(f"odds must be three, none below 0, not all 0, got {self.odds}")
        if self.strength[0] == 0 < self.strength[1]:
            raise ValueError(f"strength must be above 0 or both 0, got {self.strength}")
        for name in ("strength", "corner", "bend", "bumps", "bump_width"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"need 0 <= low <= high for {name}, got {(low, high)}")
        tops = {"scale": 1.0, "rotation": 90.0, "still": 1.0, "smooth": 1.0}
        for name in (*tops, "translation", "max_shift", "bump_height"):
            top = tops.get(name, math.inf)
            if not 0 <= getattr(self, name) < top:
                raise ValueError(f"{name} must lie in [0, {top:g}), got {getattr(self, name)}")
        if self.bump_width[0] == 0:
            raise ValueError(f"bump_width must be above 0, got {self.bump_width}")


def random_flow(
    generator: torch.Generator, size: tuple[int, int], config: GeometryConfig, *, border: int = 0
) -> Float[Tensor, "1 2 H W"]:
    """A random dense flow field: target(p) = reference(p + flow(p)).

    Args:
        generator: the only source of randomness.
        size: (height, width) in pixels to which the strengths refer, at least 2 each.
        config: what may be drawn.
        border: the same field is continued by so many pixels around: H = height + 2 border.

    Raises:
        ValueError: a side below 2 or a negative border.
    """
    if min(size) < 2 or border < 0:
        raise ValueError(f"need sides of at least 2, border >= 0, got {size} and {border}")
    height, width = size
    if _happens(generator, config.still):
        return torch.zeros(1, 2, height + 2 * border, width + 2 * border)
    half = torch.tensor(((width - 1) / 2, (height - 1) / 2))
    y, to_rows = _net(height, border)
    x, to_columns = _net(width, border)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    nodes = torch.stack((columns, rows), dim=-1) / half - 1  # net net 2, in [-1, 1] within size
    moved = _random_map(generator, config)(nodes.reshape(-1, 2))
    motion = (moved.reshape(nodes.shape) - nodes) * half
    motion = motion + (2 * torch.rand(2, generator=generator) - 1) * config.max_shift
    if not _happens(generator, config.smooth):
        motion = motion + _bumps(generator, nodes, config)
    return (to_rows @ motion.permute(2, 0, 1) @ to_columns.T)[None]


def _random_map(
    generator: torch.Generator, config: GeometryConfig
) -> Callable[[Float[Tensor, "n 2"]], Float[Tensor, "n 2"]]:
    """A map of normalised coordinates of one of the three kinds."""
    low, high = config.strength
    share = torch.rand((), generator=generator).item()
    strength = low * (high / low) ** share if low else 0.0
    kind = int(torch.multinomial(torch.tensor(config.odds), 1, generator=generator))
    largest = strength * _between(generator, config.bend if kind == 2 else config.corner)
    if kind == 0:
        return _homography(largest * _signs(generator, 4, 2))
    spline = _thin_plate(largest * _signs(generator, 9, 2))
    if kind == 1:
        return spline
    affine, translation = _random_affine(generator, strength, config)
    return lambda at: spline(at @ affine.T + translation)


def _random_affine(
    generator: torch.Generator, strength: float, config: GeometryConfig
) -> tuple[Float[Tensor, "2 2"], Float[Tensor, "2"]]:
    """Scale times rotation times shear, and a translation, about the picture's centre."""
    turn, slant, grow, right, down = (strength * _signs(generator, 5)).tolist()
    angle, shear = (math.radians(config.rotation * part) for part in (turn, slant))
    scale = 1 + config.scale * grow
    rotation = torch.tensor(
        ((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle)))
    )
    sheared = rotation @ torch.tensor(((1.0, math.tan(shear)), (0.0, 1.0)))
    return scale * sheared, config.translation * torch.tensor((right, down))


def _homography(
    displacement: Float[Tensor, "4 2"],
) -> Callable[[Float[Tensor, "n 2"]], Float[Tensor, "n 2"]]:
    """The plane's map that moves the four corners of [-1, 1]^2 by the displacement.

    From x' (g x + h y + 1) = a x + b y + c and the same for y', two equations per corner.
    """
    corners = _lattice(2)
    goal = corners + displacement
    zero, one = torch.zeros(4, 3), torch.ones(4, 1)
    plain = torch.cat((corners, one), dim=1)
    for_x = torch.cat((plain, zero, -corners * goal[:, :1]), dim=1)
    for_y = torch.cat((zero, plain, -corners * goal[:, 1:]), dim=1)
    solved = torch.linalg.solve(torch.cat((for_x, for_y)), goal.T.reshape(-1))
    matrix = torch.cat((solved, torch.ones(1))).reshape(3, 3)

    def apply(at: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        lifted = at @ matrix[:, :2].T + matrix[:, 2]
        return lifted[:, :2] / lifted[:, 2:].clamp(min=HORIZON)

    return apply


def _thin_plate(
    displacement: Float[Tensor, "9 2"],
) -> Callable[[Float[Tensor, "n 2"]], Float[Tensor, "n 2"]]:
    """The least bent map that moves a 3 x 3 lattice on [-1, 1]^2 by the displacement.

    f(p) = p + a + A p + sum_i w_i U(|p - c_i|) with U(r) = r^2 log r (Bookstein, 1989).
    """
    centres = _lattice(3)
    plain = torch.cat((torch.ones(9, 1), centres), dim=1)
    top = torch.cat((_radial(centres, centres), plain), dim=1)
    bottom = torch.cat((plain.T, torch.zeros(3, 3)), dim=1)
    goal = torch.cat((displacement, torch.zeros(3, 2)))
    solved = torch.linalg.solve(torch.cat((top, bottom)), goal)
    weights, affine = solved[:9], solved[9:]
    return lambda at: at + affine[0] + at @ affine[1:] + _radial(at, centres) @ weights


def _radial(at: Float[Tensor, "n 2"], centres: Float[Tensor, "m 2"]) -> Float[Tensor, "n m"]:
    squared = (at[:, None] - centres).square().sum(dim=-1)
    return 0.5 * torch.xlogy(squared, squared)


def _bumps(
    generator: torch.Generator, nodes: Float[Tensor, "h w 2"], config: GeometryConfig
) -> Float[Tensor, "h w 2"]:
    """Local displacements in pixels, each under its own Gaussian window."""
    fewest, most = config.bumps
    count = fewest + int(torch.randint(most - fewest + 1, (), generator=generator))
    centre = _signs(generator, count, 2)
    low, high = config.bump_width
    width = low + (high - low) * torch.rand(count, generator=generator)
    height = config.bump_height * torch.randn(count, 2, generator=generator)
    squared = (nodes[..., None, :] - centre).square().sum(dim=-1)  # h w n
    return torch.exp(-squared / (2 * width.square())) @ height


def _net(side: int, border: int) -> tuple[Float[Tensor, " n"], Float[Tensor, "pixels n"]]:
    """Where the nodes of a net lie along one axis, and the B-spline weights of every pixel."""
    pixels = torch.arange(-border, side + border, dtype=torch.float32)
    first = -(border // CELL) - 2
    last = (side + border - 1) // CELL + 2
    nodes = torch.arange(first, last + 1, dtype=torch.float32) * CELL
    away = (pixels[:, None] - nodes).abs() / CELL
    near = 2 / 3 - away.square() * (1 - away / 2)
    far = (2 - away).clamp(min=0).pow(3) / 6
    return nodes, torch.where(away < 1, near, far)


def _lattice(side: int) -> Float[Tensor, "n 2"]:
    line = torch.linspace(-1, 1, side)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((columns, rows), dim=-1).reshape(-1, 2)


def _happens(generator: torch.Generator, share: float) -> bool:
    """Draws nothing where there is nothing to draw: fields of a seed stay what they were."""
    return share > 0 and torch.rand((), generator=generator).item() < share


def _between(generator: torch.Generator, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=generator).item()


def _signs(generator: torch.Generator, *shape: int) -> Tensor:
    """Uniform in [-1, 1]."""
    return 2 * torch.rand(shape, generator=generator) - 1
