"""The single stages of a degradation, each a small object that knows its own strength.

A stage takes a picture and the share of each of its pixels that objects take; it returns the
picture, smaller by its border.
"""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from bluref.degrade.light import to_linear, to_srgb
from bluref.degrade.noise import NoiseConfig, add_noise
from bluref.media.pixels import from_array, to_array

STEP = 32  # sides of Fourier transforms are multiples of this, which have small factors
TRUST = 0.02  # weight of the whole picture where next to nothing of the background is seen
STEEPNESS = 10.0  # of the border between two regions of different blur


@dataclass(frozen=True)
class Blur:
    """Blur in linear light, by one kernel everywhere or by two in different parts.

    Attributes:
        kernels: one or two, of sum 1 and centred on their centroid.
        region: 4 x 4 values in [0, 1] that, enlarged, tell where the second kernel acts; None with
            two kernels: on the objects.
    """

    kernels: Float[Tensor, "n k k"]
    region: Float[Tensor, "1 1 4 4"] | None = None

    @property
    def border(self) -> int:
        """The reach of the kernels."""
        return self.kernels.shape[-1] // 2

    def __call__(
        self, image: Float[Tensor, "1 3 H W"], cover: Float[Tensor, "1 1 H W"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The blurred picture, without the border within the kernels' reach."""
        light = to_linear(image)
        if len(self.kernels) == 1:
            return to_srgb(convolve_inside(light, self.kernels))
        if self.region is None:
            return to_srgb(self._apart(light, cover))
        first, second = convolve_inside(light, self.kernels).chunk(2)
        wide = F.interpolate(self.region, first.shape[-2:], mode="bicubic", align_corners=True)
        return to_srgb(torch.lerp(first, second, torch.sigmoid(STEEPNESS * (wide - 0.5))))

    def _apart(
        self, light: Float[Tensor, "1 3 H W"], cover: Float[Tensor, "1 1 H W"]
    ) -> Float[Tensor, "1 3 h w"]:
        """Background and objects blurred each for itself, then laid over each other.

        A still object in front of a blurred background has a clean edge, and the other way round:
        neither smears into the other. Background hidden for the whole exposure is unknown and
        taken from the whole picture, blurred as the background is.
        """
        back, front = self.kernels[:1], self.kernels[1:]
        seen = torch.cat((light * (1 - cover), 1 - cover, light), dim=1)
        blurred = convolve_inside(seen, back)
        behind, share, whole = blurred[:, :3], blurred[:, 3:4], blurred[:, 4:]
        behind = (behind + TRUST * whole) / (share + TRUST)
        objects = convolve_inside(torch.cat((light * cover, cover), dim=1), front)
        return objects[:, :3] + (1 - objects[:, 3:]) * behind


@dataclass(frozen=True)
class Resize:
    """Smaller and back to size; the centres of the pixels stay where they are.

    Attributes:
        factor: smaller size over size, in (0, 1].
        smooth: enlarge bilinearly rather than bicubically.
    """

    factor: float
    smooth: bool
    border: ClassVar[int] = 0

    def __call__(
        self, image: Float[Tensor, "1 3 h w"], cover: Float[Tensor, "1 1 _ _"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The picture with less detail."""
        size = image.shape[-2:]
        small = [max(1, round(side * self.factor)) for side in size]
        reduced = F.interpolate(image, small, mode="bilinear", antialias=True)
        mode = "bilinear" if self.smooth else "bicubic"
        return F.interpolate(reduced, size, mode=mode).clamp(0, 1)


@dataclass(frozen=True)
class SensorNoise:
    """Noise of photons and reading, in linear light; strengths are drawn from the config."""

    config: NoiseConfig
    seed: int
    border: ClassVar[int] = 0

    def __call__(
        self, image: Float[Tensor, "1 3 h w"], cover: Float[Tensor, "1 1 _ _"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The noisy picture."""
        generator = torch.Generator().manual_seed(self.seed)
        return to_srgb(add_noise(to_linear(image), [generator], self.config))


@dataclass(frozen=True)
class Grain:
    """Gaussian noise of encoded values.

    Attributes:
        strength: standard deviation, for values in [0, 1].
        seed: decides the noise.
        grey: the same for all three colours.
    """

    strength: float
    seed: int
    grey: bool
    border: ClassVar[int] = 0

    def __call__(
        self, image: Float[Tensor, "1 3 h w"], cover: Float[Tensor, "1 1 _ _"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The noisy picture."""
        generator = torch.Generator().manual_seed(self.seed)
        height, width = image.shape[-2:]
        noise = torch.randn(1, 1 if self.grey else 3, height, width, generator=generator)
        return (image + self.strength * noise.to(image)).clamp(0, 1)


@dataclass(frozen=True)
class Jpeg:
    """Compressed and opened again.

    Attributes:
        quality: 1 to 100, as Pillow counts.
        subsampled: colours at half resolution.
    """

    quality: int
    subsampled: bool
    border: ClassVar[int] = 0

    def __call__(
        self, image: Float[Tensor, "1 3 h w"], cover: Float[Tensor, "1 1 _ _"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The picture as its file shows it."""
        file = io.BytesIO()
        subsampling = 2 if self.subsampled else 0
        Image.fromarray(to_array(image)).save(
            file, "JPEG", quality=self.quality, subsampling=subsampling
        )
        with Image.open(file) as opened:
            return from_array(np.array(opened)).to(image)


Stage = Blur | Resize | SensorNoise | Grain | Jpeg


def convolve_inside(
    light: Float[Tensor, "1 c H W"], kernels: Float[Tensor, "n k k"]
) -> Float[Tensor, "n c h w"]:
    """Convolve one picture with several kernels where they lie wholly within it, by FFT.

    Unlike `blur.convolve` it needs no guess beyond the border and loses k // 2 pixels per side.

    Raises:
        ValueError: the side of the kernels is even or larger than the picture.
    """
    height, width = light.shape[-2:]
    side = kernels.shape[-1]
    if side % 2 == 0 or side > min(height, width):
        raise ValueError(
            f"need kernels of an odd side up to {min(height, width)}, the picture's, got {side}"
        )
    size = (height + -height % STEP, width + -width % STEP)
    spectrum = torch.fft.rfft2(light, s=size) * torch.fft.rfft2(kernels, s=size)[:, None]
    blurred: Tensor = torch.fft.irfft2(spectrum, s=size)
    return blurred[..., side - 1 : height, side - 1 : width]


def lens_kernel(
    wide: float, narrow: float, angle: float, then: Float[Tensor, "n k k"]
) -> Float[Tensor, "n K K"]:
    """A Gaussian convolved with other kernels: lens and motion in one.

    Args:
        wide: standard deviation along its wider axis, in pixels.
        narrow: standard deviation across.
        angle: direction of the wider axis, in radians.
        then: kernels of odd side; K = k + 2 ceil(3 wide).
    """
    reach = int(-(-3 * wide // 1))
    at = torch.arange(-reach, reach + 1, dtype=then.dtype)
    turn = torch.tensor(angle)
    along = at * turn.cos() + at[:, None] * turn.sin()
    across = at[:, None] * turn.cos() - at * turn.sin()
    gaussian = torch.exp(-((along / wide).square() + (across / narrow).square()) / 2)
    gaussian = gaussian / gaussian.sum()
    size = (then.shape[-1] + 2 * reach,) * 2
    both: Tensor = torch.fft.irfft2(
        torch.fft.rfft2(then, s=size) * torch.fft.rfft2(gaussian, s=size), s=size
    )
    return both.clamp(min=0)  # rounding
