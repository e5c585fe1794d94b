"""Small changes of exposure and colour, as between two frames or two cameras."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

DARKEST = 1e-4  # encoded value below which the power's slope would be endless


@dataclass(frozen=True)
class ToneConfig:
    """How far `random_tone` may go; every figure is the end of a uniform range around no change."""

    exposure: float = 0.12
    """Natural logarithm of the gain on encoded values."""

    gamma: float = 0.12
    """Natural logarithm of the exponent on encoded values."""

    balance: float = 0.04
    """Natural logarithm of the gain on each colour."""

    contrast: float = 0.1
    """Natural logarithm of the gain around middle grey."""

    odds: float = 0.8
    """Share of pictures that change at all, in [0, 1]."""

    def __post_init__(self) -> None:
        for name in ("exposure", "gamma", "balance", "contrast"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.odds <= 1:
            raise ValueError(f"odds must lie in [0, 1], got {self.odds}")


@dataclass(frozen=True)
class Tone:
    """out = clamp(gain * value^exponent + lift), on encoded values, channel by channel."""

    exponent: float
    gain: tuple[float, float, float]
    lift: float

    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The picture, sRGB-encoded as before."""
        gain = image.new_tensor(self.gain)[:, None, None]
        # Four times as fast on a CPU as `pow`.
        bent = image.clamp(DARKEST, 1).log_().mul_(self.exponent).exp_()
        return bent.mul_(gain).add_(self.lift).clamp_(0, 1)


def random_tone(generator: torch.Generator, config: ToneConfig) -> Tone | None:
    """Draw a change of tone; None for none. The generator is the only source of randomness."""
    chance = torch.rand((), generator=generator).item()
    gain, gamma, contrast, *colours = (2 * torch.rand(6, generator=generator) - 1).tolist()
    still = max(config.exposure, config.gamma, config.balance, config.contrast) == 0
    if still or chance >= config.odds:
        return None
    slope = math.exp(config.contrast * contrast)
    gains = [slope * math.exp(config.exposure * gain + config.balance * c) for c in colours]
    return Tone(math.exp(config.gamma * gamma), (gains[0], gains[1], gains[2]), (1 - slope) / 2)
