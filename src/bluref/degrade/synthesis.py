"""Blurry and sharp pairs made from sharp pictures alone: the warm start of a network."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.blur import convolve
from bluref.degrade.kernels import MotionConfig, random_kernels
from bluref.degrade.light import to_linear, to_srgb
from bluref.degrade.noise import NoiseConfig, add_noise


@dataclass(frozen=True)
class SynthesisConfig:
    """What `synthetic_pair` does to a sharp picture."""

    motion: MotionConfig = field(default_factory=MotionConfig)
    """The movements during the exposure."""

    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """The noise of the sensor, added after the blur."""

    @property
    def margin(self) -> int:
        """Pixels that `synthetic_pair` cuts from every side of its input."""
        return self.motion.size // 2


def synthetic_pair(
    sharp: Float[Tensor, "b 3 H W"],
    generators: Sequence[torch.Generator],
    config: SynthesisConfig,
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]]:
    """Blur each sharp picture by a random centred kernel; return (blurry, sharp).

    Both come back smaller by `config.margin` on every side (h = H - 2 margin), so that nothing
    of the guess beyond the border is in them. The kernel's centroid is its centre: the sharp
    picture is where the blurry one is on average, without a shift.

    Args:
        sharp: sRGB-encoded.
        generators: one per picture; nothing else decides what happens to it.
        config: ranges of movement and noise.

    Raises:
        ValueError: as many generators as pictures are needed, or a picture has no pixel left
            between the margins.
    """
    margin = config.margin
    if len(generators) != len(sharp):
        raise ValueError(f"need {len(sharp)} generators, one per picture, got {len(generators)}")
    if min(sharp.shape[-2:]) <= 2 * margin:
        raise ValueError(f"need sides above {2 * margin} = 2 margins, got {tuple(sharp.shape)}")
    kernels = torch.cat([random_kernels(g, 1, config.motion) for g in generators])
    light = convolve(to_linear(sharp), kernels.to(sharp))
    blurry = to_srgb(add_noise(_cut(light, margin), generators, config.noise))
    return blurry, _cut(sharp, margin)


def _cut(image: Float[Tensor, "b c H W"], margin: int) -> Float[Tensor, "b c h w"]:
    h, w = image.shape[-2:]
    return image[..., margin : h - margin, margin : w - margin]
