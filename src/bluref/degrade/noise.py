"""Sensor noise in linear light: photons that arrive at random, and a reading that is not exact."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class NoiseConfig:
    """How noisy a picture may be; both strengths are drawn uniformly for each picture.

    The defaults reach about 2 grey levels of 255 in the mid-tones of the encoded picture, as
    footage has that a codec has already smoothed.
    """

    shot: tuple[float, float] = (0.0, 3e-4)
    """Variance of the photon noise over the linear light it comes with."""

    read: tuple[float, float] = (0.0, 1e-3)
    """Standard deviation of the reading, in linear light of range [0, 1]."""

    def __post_init__(self) -> None:
        for name, (low, high) in (("shot", self.shot), ("read", self.read)):
            if not 0 <= low <= high:
                raise ValueError(f"need 0 <= low <= high for {name}, got {(low, high)}")


def add_noise(
    light: Float[Tensor, "b c h w"], generators: Sequence[torch.Generator], config: NoiseConfig
) -> Float[Tensor, "b c h w"]:
    """Linear light with noise of variance shot * light + read**2; may leave [0, 1].

    Args:
        light: linear, in [0, 1].
        generators: one per picture, the only source of its randomness.
        config: the ranges the two strengths are drawn from.

    Raises:
        ValueError: as many generators as pictures are needed.
    """
    if len(generators) != len(light):
        raise ValueError(f"need {len(light)} generators, one per picture, got {len(generators)}")
    ranges = torch.tensor((config.shot, config.read))  # strength, (low, high)
    share = torch.stack([torch.rand(2, generator=g) for g in generators])
    strength = ranges[:, 0] + share * (ranges[:, 1] - ranges[:, 0])  # b 2
    shot, read = strength.to(light)[:, :, None, None, None].unbind(dim=1)
    noise = torch.stack([torch.randn(light.shape[1:], generator=g) for g in generators])
    return light + noise.to(light) * (shot * light.clamp(min=0) + read**2).sqrt()
