"""Training pairs out of real footage: two sharp frames of a clip, one of them blurred.

Warped pictures know their flow exactly, but move as no camera does. Two frames of a clip move as
they do; what a classical flow finds between them while both are sharp, and finds again on the way
back, is the truth for the pair of which one frame has been blurred. Nothing but sharp frames is
involved. Half of the blurs follow the motion itself, as they do in a camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.camera import CameraConfig, Degradation, random_degradation
from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.degrade.tone import ToneConfig, random_tone
from bluref.degrade.warp import inside
from bluref.frames.clip import Frame
from bluref.frames.crops import random_crop
from bluref.frames.randomness import randint
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher


@dataclass(frozen=True)
class FootageConfig:
    """How pairs are made of footage."""

    share: float = 0.0
    """Of the pairs whose clip has other frames, in [0, 1]."""

    reach: int = 6
    """Largest distance between the two frames, in frames of the clip."""

    tolerance: float = 0.5
    """Largest round-trip error, in pixels, of a flow that is taken for the truth."""

    least: float = 0.3
    """Share of the pair that must have a truth."""

    surround: int = 96
    """Pixels around the pair in which the classical flow may look."""

    along: float = 0.5
    """Share of blurs that follow the motion."""

    exposure: tuple[float, float] = (0.1, 1.3)
    """Bounds of the exposure of those, in frames of the clip."""

    def __post_init__(self) -> None:
        for name in ("share", "least", "along"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.reach < 1 or self.surround < 0 or self.tolerance <= 0:
            raise ValueError(
                f"need reach >= 1, surround >= 0 and tolerance > 0, got {self.reach}, "
                f"{self.surround} and {self.tolerance}"
            )
        if not 0 <= self.exposure[0] <= self.exposure[1]:
            raise ValueError(f"need 0 <= low <= high for exposure, got {self.exposure}")


@dataclass(frozen=True)
class FramePair:
    """Two frames of a clip on one box, matched while both are sharp.

    Attributes:
        target: degraded, side by side with `clean`.
        clean: the target before.
        reference: the other frame.
        flow: from the target to the reference.
        valid: where the flow was found both ways, and stays in the box.
    """

    target: Float[Tensor, "1 3 h w"]
    clean: Float[Tensor, "1 3 h w"]
    reference: Float[Tensor, "1 3 h w"]
    flow: Float[Tensor, "1 2 h w"]
    valid: Bool[Tensor, "1 1 h w"]


@dataclass(frozen=True)
class FootagePairs:
    """Pairs of frames that are near each other in a clip.

    Attributes:
        store: where their pixels come from.
        crop: side of a pair in pixels.
        config: how they are chosen and matched.
        camera: what happens to the target.
        tone: exposure and colours of both together.
    """

    store: FrameStore
    crop: int
    config: FootageConfig
    camera: CameraConfig = field(default_factory=CameraConfig)
    tone: ToneConfig = field(default_factory=ToneConfig)

    def __call__(self, clip: Sequence[Frame], generator: torch.Generator) -> FramePair | None:
        """A pair of the clip; None where its frames have too little in common, or none is near.

        Args:
            clip: frames in order of time, at least two. A folder of photographs of several sizes
                is a clip as well: two of different sizes make no pair.
            generator: the only source of randomness.
        """
        first = clip[randint(generator, len(clip))]
        interval = _interval(clip)
        reach = self.config.reach * interval
        near = [frame for frame in clip if 0 < abs(frame.index - first.index) <= reach]
        if not near:
            return None
        second = near[randint(generator, len(near))]
        if self.store.size(first) != self.store.size(second):
            return None
        degradation = random_degradation(generator, self.camera)
        tone = random_tone(generator, self.tone) or (lambda picture: picture)
        side = self.crop + 2 * self.config.surround
        box = random_crop(generator, self.store.size(first), side)
        if min(box.height, box.width) < self.crop + 2 * degradation.border:
            return None
        target, reference = (tone(self.store.cut(frame, box)) for frame in (first, second))
        matcher = DISMatcher(tolerance=self.config.tolerance)
        found = matcher.match(matcher.encode(target), matcher.encode(reference))
        valid = found.confidence >= 0.7  # what DISMatcher gives at its tolerance
        velocity = found.flow * interval / (second.index - first.index)
        degraded = self._degraded(target, velocity, degradation, generator)
        clean, ours, theirs, flow = (
            self._middle(x) for x in (target, valid.float(), reference, found.flow)
        )
        known = (ours > 0) & inside(flow, (self.crop, self.crop))
        if known.float().mean() < self.config.least:
            return None
        return FramePair(degraded, clean, theirs, flow, known)

    def _degraded(
        self,
        target: Float[Tensor, "1 3 H W"],
        velocity: Float[Tensor, "1 2 H W"],
        degradation: Degradation,
        generator: torch.Generator,
    ) -> Float[Tensor, "1 3 h w"]:
        """The target as a camera would have taken it, cut to the pair."""
        chance, share = torch.rand(2, generator=generator).tolist()
        if chance < self.config.along and degradation.border:
            low, high = self.config.exposure
            shutter = Shutter(low + (high - low) * share)
            target = expose_along(target, Motion(-velocity, velocity), shutter)
            degradation = Degradation(
                degradation.tone, tuple(stage for stage in degradation.stages if not stage.border)
            )
        cut = self._middle(target, degradation.border)
        return degradation(cut, torch.zeros_like(cut[:, :1]))

    def _middle(
        self, picture: Float[Tensor, "1 c H W"], border: int = 0
    ) -> Float[Tensor, "1 c h w"]:
        """The pair's part of the box, and a border around it."""
        side = self.crop + 2 * border
        top, left = ((have - side) // 2 for have in picture.shape[-2:])
        return picture[..., top : top + side, left : left + side]


def _interval(clip: Sequence[Frame]) -> int:
    """The smallest step between frame numbers: a clip may keep every k-th frame."""
    numbers = sorted({frame.index for frame in clip})
    return min((after - before for before, after in pairwise(numbers)), default=1)
