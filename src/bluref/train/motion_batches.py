"""Sharp frames blurred by the motion of the footage itself: pairs with exact truth."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera import CameraConfig, random_exposure
from bluref.degrade.motion import Motion, ShutterConfig, expose_along, random_shutter
from bluref.degrade.tone import ToneConfig
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop, random_crop
from bluref.frames.randomness import randint
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.motion import FootageMotion
from bluref.train.batches import Batch, Drawing

# Pixels around a crop from which things may move into it; what comes from farther repeats the edge.
MARGIN = 40
# Mean confidence of motion below which it is none: across a cut, things do not move.
SURE = 0.2
# Lenders that are asked before a picture stands still.
TRIES = 4


def _after_the_shutter() -> CameraConfig:
    """Noise and compression as footage has them: a network that never saw any amplifies both."""
    return CameraConfig(
        shuffled=0.0,
        tone=ToneConfig(odds=0.0),
        moving=0.0,
        lens=0.0,
        resized=0.0,
        noisy=0.8,
        grain=(0.002, 0.012),
        compressed=0.6,
        quality=(70, 96),
    )


@dataclass(frozen=True)
class MotionBatches:
    """Motion transfer: sharp frames, exposed for as long as the blurry ones were.

    Attributes:
        frames: sharp frames.
        lenders: frames with their neighbours, whose motion may be borrowed.
        motion: around the frames that have neighbours.
        borrowed: share of items that take the motion of another frame, from anywhere in it; the
            others move as they did. A frame without motion of its own always borrows.
        exposure: of the footage, in frame intervals.
        store: where frames are read from.
        drawing: how items are drawn.
        shutter: how far exposure, shutter and tone curve vary.
        camera: what happens after the blur; it must not blur or move anything.
    """

    frames: Sequence[Frame]
    lenders: Sequence[Sample]
    motion: FootageMotion
    exposure: float
    store: FrameStore
    drawing: Drawing
    borrowed: float = 0.0
    shutter: ShutterConfig = field(default_factory=ShutterConfig)
    camera: CameraConfig = field(default_factory=_after_the_shutter)

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        pairs = [self._pair(generator) for generator in self.drawing.generators(step)]
        blurry, sharp = (torch.cat(pictures) for pictures in zip(*pairs, strict=True))
        return Batch(blurry, sharp, torch.ones_like(sharp[:, :1]))

    def _pair(
        self, generator: torch.Generator
    ) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]]:
        """A blurry crop and what it shows."""
        frame = self.frames[randint(generator, len(self.frames))]
        size, side = self.store.size(frame), self.drawing.crop
        if min(size) < side:
            raise UserError(
                f"{frame} is {size[1]}x{size[0]}, smaller than the crop of {side}",
                f"lower --crop to {min(size)} or less",
            )
        margin = min(MARGIN, (min(size) - side) // 2)
        box = random_crop(generator, size, side + 2 * margin)
        motion = self._motion(frame, box, generator)
        shutter = random_shutter(generator, self.exposure, self.shutter)
        sharp = self.store.cut(frame, box)
        inner = (..., slice(margin, margin + side), slice(margin, margin + side))
        blurry = expose_along(sharp, motion, shutter, margin=margin)
        exposure = random_exposure(generator, self.camera)
        return exposure(blurry, torch.zeros_like(blurry[:, :1])), sharp[inner]

    def _motion(self, frame: Frame, box: Crop, generator: torch.Generator) -> Motion:
        """Its own, or that of a frame that lends; none if nothing is known."""
        own = self.motion.sample(frame)
        borrows = torch.rand((), generator=generator).item() < self.borrowed
        if own is not None and not borrows:
            motion, sure = self.motion.around(own, box)
            if sure.mean() >= SURE:
                return motion
        for _ in range(TRIES if self.lenders else 0):
            lender = self.lenders[randint(generator, len(self.lenders))]
            size = self.store.size(lender.blurry)
            if min(size) >= box.height:  # else it is too small to lend so large a piece
                crop = random_crop(generator, size, box.height)
                motion, sure = self.motion.around(lender, crop)
                if sure.mean() >= SURE:
                    return motion
        nothing = torch.zeros(1, 2, box.height, box.width)
        return Motion(nothing, nothing)
