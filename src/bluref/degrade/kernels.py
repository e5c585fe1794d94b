"""Motion-blur kernels: the path of a camera during one exposure, drawn at sub-pixel precision.

The camera drifts in one direction while an inertial random walk, sudden impulses and tremor bend
its way (after Boracchi and Foi, "Modeling the performance of image restoration from motion blur",
2012; reimplemented from the description). Every kernel is centred on its centroid: a blurry
picture then lies exactly over its sharp one, and no network can learn a shift from the pair.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

STEPS_PER_PIXEL = 4  # of the kernel's side: no gaps between samples of the longest path
MOMENTS = 32  # of the exposure: the unit in which inertia fades and kicks last
KICK = 4.0  # strength of an impulse, in standard deviations of one moment's walk


@dataclass(frozen=True)
class MotionConfig:
    """What movements `random_kernels` draws.

    Frames averaged as GoPro was made are blurred by locally straight, nearly uniform motion, so
    most kernels are; the rest are the hooks and knots of a shaking hand.
    """

    length: tuple[float, ...] = (0.0, 30.0)
    """Quantiles of the lengths of paths in pixels, at equal steps from the shortest to the longest;
    drawn uniformly between each two, so that two values are the bounds of a uniform length."""

    size: int = 33
    """Side of the kernels in pixels, odd."""

    shaky: float = 0.3
    """Share of kernels of a shaking hand, in [0, 1]; the others are nearly straight."""

    straight_roughness: float = 0.15
    """Random part of the velocity over the drift, for nearly straight kernels."""

    shaky_roughness: float = 1.5
    """The same for shaky kernels, on average; drawn uniformly from 0 to twice this value."""

    inertia: float = 0.9
    """How much of the random velocity survives 1/32 of the exposure, in [0, 1)."""

    impulses: float = 1.0
    """Mean number of sudden kicks during a shaky exposure."""

    tremor: float = 0.2
    """White part of the random velocity of shaky kernels, over the inertial one."""

    def __post_init__(self) -> None:
        lengths = self.length
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"size must be odd and positive, got {self.size}")
        in_order = len(lengths) > 1 and list(lengths) == sorted(lengths)
        if not (in_order and lengths[0] >= 0 and lengths[-1] <= self.size - 1):
            raise ValueError(
                "need two lengths or more, none below the one before, in "
                f"[0, size - 1 = {self.size - 1}], got {lengths}"
            )
        if not 0 <= self.shaky <= 1:
            raise ValueError(f"shaky must lie in [0, 1], got {self.shaky}")
        if not 0 <= self.inertia < 1:
            raise ValueError(f"inertia must lie in [0, 1), got {self.inertia}")


def motion_kernel(generator: torch.Generator, *, length: float, size: int) -> Float[Tensor, "k k"]:
    """One random kernel of a given path length; length 0 is the delta.

    Args:
        generator: the only source of randomness.
        length: length of the path in pixels, in [0, size - 1].
        size: side of the kernel in pixels, odd.

    Raises:
        ValueError: an even size, or a length that does not fit in it.
    """
    return random_kernels(generator, 1, MotionConfig(length=(length, length), size=size))[0]


def random_kernels(
    generator: torch.Generator, count: int, config: MotionConfig
) -> Float[Tensor, "b k k"]:
    """`count` random kernels, each non-negative, of sum 1 and centred on its centroid.

    Value (row, column) is the share of the exposure during which the picture lay displaced by
    (row - size // 2, column - size // 2) pixels. A path whose far end would leave the kernel, as
    happens when most of the exposure is spent at the other end, is shrunk until it fits.
    """
    return draw_paths(random_paths(generator, count, config), size=config.size)


def random_paths(
    generator: torch.Generator, count: int, config: MotionConfig
) -> Float[Tensor, "b n 2"]:
    """Positions (x, y) in pixels at n equal steps of the exposure, with mean zero.

    velocity = direction + roughness * (inertial walk with impulses + tremor); the path is then
    scaled so that its length is the one drawn from `config.length`.
    """
    steps = STEPS_PER_PIXEL * config.size
    chance = torch.rand(count, 4, generator=generator)
    noise = torch.randn(count, 3, steps, 2, generator=generator)
    struck = torch.rand(count, steps, 1, generator=generator) < config.impulses / steps
    shaky = chance[:, 0, None, None] < config.shaky  # b 1 1
    length = drawn_lengths(config.length, chance[:, 1])[:, None, None]

    decay: float = config.inertia ** (MOMENTS / steps)
    kicks = KICK * (steps / MOMENTS) ** 0.5 * noise[:, 1] * struck
    walk = noise[:, 0] + kicks * shaky
    walk = _inertia(steps, decay) @ walk + config.tremor * noise[:, 2] * shaky
    roughness = torch.where(
        shaky, 2 * config.shaky_roughness * chance[:, 2, None, None], config.straight_roughness
    )
    angle = 2 * torch.pi * chance[:, 3, None]
    direction = torch.stack((angle.cos(), angle.sin()), dim=-1)  # b 1 2
    velocity: Tensor = direction + roughness * walk  # b n 2

    travelled: Tensor = velocity.norm(dim=-1).sum(dim=1)[:, None, None]
    path = (velocity / travelled * length).cumsum(dim=1)
    return path - path.mean(dim=1, keepdim=True)


def drawn_lengths(quantiles: tuple[float, ...], chance: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """A length in pixels for each number in [0, 1]; `quantiles` as in `MotionConfig.length`."""
    table, place = chance.new_tensor(quantiles), chance * (len(quantiles) - 1)
    below = place.long().clamp(max=len(quantiles) - 2)
    low: Tensor = table[below]
    return low + (table[below + 1] - low) * (place - below)


def draw_paths(paths: Float[Tensor, "b n 2"], *, size: int) -> Float[Tensor, "b k k"]:
    """Kernels of sum 1 that hold each path's time at every place, centred on its mean.

    Every position is shared bilinearly among its four pixels, which keeps the centroid exact.

    Args:
        paths: positions (x, y) in pixels at equal steps of time.
        size: side of the kernels, odd; longer paths are shrunk about their mean to fit.
    """
    radius = size // 2
    centred = paths - paths.mean(dim=1, keepdim=True)
    reach = centred.abs().amax(dim=(1, 2), keepdim=True)
    centred = centred * (radius / reach.clamp(min=1e-6)).clamp(max=1)
    # A tent around every place, once along each axis: their product is the bilinear share.
    at = torch.arange(size, dtype=paths.dtype, device=paths.device) - radius
    tents = (1 - (centred[..., None] - at).abs()).clamp(min=0)  # b n 2 k
    kernels = tents[:, :, 1].transpose(1, 2) @ tents[:, :, 0]  # b k k
    return kernels.div(kernels.sum(dim=(1, 2), keepdim=True))


def _inertia(steps: int, decay: float) -> Float[Tensor, "n n"]:
    """Turns white noise into a walk of unit variance: v_i = decay v_{i-1} + noise_i."""
    age = torch.arange(steps)[:, None] - torch.arange(steps)
    past: Tensor = torch.full((steps, steps), decay).pow(age.clamp(min=0)) * (age >= 0)
    return past * math.sqrt(1 - decay**2)
