"""What a camera and a codec do to one picture: exposure, blur, noise, resizing, compression.

After BSRGAN (Zhang et al., ICCV 2021) with the motion blur it lacks: every stage happens to some
pictures, at a random strength, in a random order. Nothing here moves the picture: kernels are
centred on their centroid and resizing keeps the centres of the pixels, so that a flow that was true
before remains true.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.kernels import MotionConfig, drawn_lengths, random_kernels
from bluref.degrade.noise import NoiseConfig
from bluref.degrade.stages import Blur, Grain, Jpeg, Resize, SensorNoise, Stage, lens_kernel
from bluref.degrade.tone import Tone, ToneConfig, random_tone

Range = tuple[float, float]


@dataclass(frozen=True)
class CameraConfig:
    """What `random_degradation` draws. Odds are shares of pictures, in [0, 1]."""

    shuffled: float = 0.5
    """Odds of a random order of stages; else blur, noise, resizing, compression."""

    tone: ToneConfig = field(default_factory=ToneConfig)
    """Exposure and colours, which change first."""

    moving: float = 0.75
    """Odds of motion blur."""

    motion: MotionConfig = field(default_factory=MotionConfig)
    """The movements; `size` is ignored, each kernel is as large as it has to be."""

    varying: float = 0.4
    """Odds, among moving pictures, of a second motion elsewhere in the picture: half of these on
    the pasted objects, the others in a smooth region."""

    lens: float = 0.5
    """Odds of a Gaussian blur by the lens."""

    lens_width: Range = (0.3, 1.8)
    """Bounds of its standard deviation along its wider axis, in pixels."""

    lens_aspect: Range = (0.5, 1.0)
    """Bounds of the narrower axis over the wider."""

    resized: float = 0.3
    """Odds of losing resolution: smaller and back."""

    resize: Range = (0.45, 0.95)
    """Bounds of the smaller size over the size."""

    noisy: float = 0.7
    """Odds of noise; two thirds of it from the sensor, the rest Gaussian, grey or coloured."""

    sensor: NoiseConfig = field(default_factory=lambda: NoiseConfig((0.0, 1.5e-3), (0.0, 3e-3)))
    """Noise of the sensor, in linear light."""

    grain: Range = (0.004, 0.04)
    """Bounds of the standard deviation of Gaussian noise, of encoded values."""

    compressed: float = 0.5
    """Odds of JPEG compression."""

    quality: tuple[int, int] = (35, 95)
    """Bounds of its quality, 1 to 100."""

    def __post_init__(self) -> None:
        for name in ("shuffled", "moving", "varying", "lens", "resized", "noisy", "compressed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name, top in (("lens_width", 10.0), ("lens_aspect", 1.0), ("resize", 1.0)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= top:
                raise ValueError(f"need 0 < low <= high <= {top:g} for {name}, got {(low, high)}")
        if not 0 <= self.grain[0] <= self.grain[1]:
            raise ValueError(f"need 0 <= low <= high for grain, got {self.grain}")
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError(f"need 1 <= low <= high <= 100 for quality, got {self.quality}")

    def without_blur(self) -> "CameraConfig":
        """The same with neither motion nor lens blur."""
        return replace(self, moving=0.0, lens=0.0)


def only_motion(length: float) -> CameraConfig:
    """Motion blur whose path is so many pixels long, the same all over, and nothing else.

    Args:
        length: pixels, at least 0; 0 leaves the picture as it is.
    """
    motion = MotionConfig(length=(length, length), size=_side(length))
    tone = ToneConfig(exposure=0.0, gamma=0.0, balance=0.0, contrast=0.0)
    return CameraConfig(
        tone=tone,
        motion=motion,
        moving=float(length > 0),
        varying=0.0,
        lens=0.0,
        resized=0.0,
        noisy=0.0,
        compressed=0.0,
    )


@dataclass(frozen=True)
class Degradation:
    """Everything that will happen to one picture, drawn but not yet done.

    Attributes:
        tone: change of exposure and colours, first of all.
        stages: the rest, in order.
    """

    tone: Tone | None
    stages: tuple[Stage, ...]

    @property
    def border(self) -> int:
        """Pixels that blur takes from every side of the picture."""
        return sum(stage.border for stage in self.stages)

    def __call__(
        self, image: Float[Tensor, "1 3 H W"], cover: Float[Tensor, "1 1 H W"]
    ) -> Float[Tensor, "1 3 h w"]:
        """The degraded picture, smaller by `border` on every side.

        Args:
            image: sharp, sRGB-encoded.
            cover: share of each pixel that objects take, which may be blurred otherwise.
        """
        image = self.tone(image) if self.tone else image
        for stage in self.stages:
            image = stage(image, cover)
        return image


def random_degradation(generator: torch.Generator, config: CameraConfig) -> Degradation:
    """Draw what happens to one picture; the generator is the only source of randomness."""
    chance = torch.rand(6, generator=generator).tolist()
    tone = random_tone(generator, config.tone)
    stages: list[Stage] = []
    blur = _random_blur(generator, config)
    if blur is not None:
        stages.append(blur)
    if chance[0] < config.noisy:
        stages.append(_random_noise(generator, config))
    if chance[1] < config.resized:
        stages.append(Resize(_uniform(generator, config.resize), smooth=chance[2] < 0.5))
    if chance[3] < config.compressed:
        low, high = config.quality
        quality = round(_uniform(generator, (float(low), float(high))))
        stages.append(Jpeg(quality, subsampled=chance[4] < 0.5))
    if chance[5] < config.shuffled:
        stages = [stages[i] for i in torch.randperm(len(stages), generator=generator).tolist()]
    return Degradation(tone, tuple(stages))


def _random_blur(generator: torch.Generator, config: CameraConfig) -> Blur | None:
    """Lens and motion as one kernel, or two of them for different parts of the picture."""
    chance = torch.rand(5, generator=generator).tolist()
    moving, lens = chance[0] < config.moving, chance[1] < config.lens
    varying = moving and chance[2] < config.varying
    lengths = [_length(generator, config.motion)] if moving else [0.0]
    if varying:  # elsewhere things move too, or stand still as what a camera follows does
        lengths.append(_length(generator, config.motion) if chance[3] < 0.6 else 0.0)
    if not moving and not lens:
        return None
    side = _side(max(lengths))
    motions = [replace(config.motion, length=(length, length), size=side) for length in lengths]
    kernels = torch.cat([random_kernels(generator, 1, motion) for motion in motions])
    if varying and chance[4] < 0.5:
        kernels = kernels.flip(0)  # so that either may be the one that stands still
    if lens:
        width = _uniform(generator, config.lens_width)
        aspect = _uniform(generator, config.lens_aspect)
        angle = _uniform(generator, (0.0, torch.pi))
        kernels = lens_kernel(width, width * aspect, angle, kernels)
    on_objects = varying and torch.rand((), generator=generator).item() < 0.5
    region = None
    if varying and not on_objects:
        region = torch.rand(1, 1, 4, 4, generator=generator)
    return Blur(kernels, region)


def _random_noise(generator: torch.Generator, config: CameraConfig) -> Stage:
    # The noise itself is drawn later, when the picture's size is known, from a seed of its own.
    seed = int(torch.randint(2**62, (), generator=generator))
    kind = torch.rand(2, generator=generator).tolist()
    if kind[0] < 2 / 3:
        return SensorNoise(config.sensor, seed)
    return Grain(_uniform(generator, config.grain), seed, grey=kind[1] < 0.5)


def _side(length: float) -> int:
    """An odd side that holds a path of this length unless nearly all its time is at one end."""
    return 2 * int(0.6 * length + 1) + 1


def _length(generator: torch.Generator, motion: MotionConfig) -> float:
    return drawn_lengths(motion.length, torch.rand(1, generator=generator)).item()


def _uniform(generator: torch.Generator, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return low + (high - low) * torch.rand((), generator=generator).item()
