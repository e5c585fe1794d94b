"""Sharp frames blurred by the motion of the footage itself: pairs with exact truth."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera import CameraConfig, random_degradation
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
# How many times smaller boxes are looked at, one after the other, where frames are but the better
# ones of the footage, until such a share of one stood still.
LOOKS, ENOUGH = (1, 1, 2, 2, 3, 4), 0.5


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
        exposure: of the footage, in frame intervals.
        store: where frames are read from.
        drawing: how items are drawn.
        borrowed: share of items that take the motion of another frame, from anywhere in it; the
            others move as they did. A frame without motion of its own always borrows.
        picked: frames that were exposed as long as the blurry ones. They are the truth only where
            they stood still, and what stands still must borrow. Where all of them moved they are
            looked at from farther away: a picture of half the size is half as blurred.
        still: pixels that those may have moved by while the shutter was open.
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
    picked: Set[Frame] = frozenset()
    still: int = 2
    shutter: ShutterConfig = field(default_factory=ShutterConfig)
    camera: CameraConfig = field(default_factory=_after_the_shutter)

    def __call__(self, step: int) -> Batch:
        """The batch of this step."""
        pairs = [self._pair(generator) for generator in self.drawing.generators(step)]
        blurry, sharp, weight = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return Batch(blurry, sharp, weight)

    def _pair(
        self, generator: torch.Generator
    ) -> tuple[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"], Float[Tensor, "1 1 h w"]]:
        """A blurry crop, what it shows, and where that is the truth."""
        truth = self._drawn(generator)
        motion = self._motion(truth, generator)
        shutter = random_shutter(generator, self.exposure, self.shutter)
        sharp = _shrunk(self.store.cut(truth.frame, truth.box), truth.times)
        blurry = expose_along(sharp, motion, shutter, margin=truth.margin)
        degradation = random_degradation(generator, self.camera)
        inner = slice(truth.margin, truth.margin + self.drawing.crop)
        nowhere = torch.zeros_like(blurry[:, :1])
        return degradation(blurry, nowhere), sharp[..., inner, inner], truth.weight

    def _drawn(self, generator: torch.Generator) -> "_Truth":
        """Of a few boxes the first that mostly is the truth, or the one that most of all is."""
        best = self._looked_at(generator, LOOKS[0])
        for times in LOOKS[1:]:
            if best.share >= ENOUGH:
                break
            other = self._looked_at(generator, times)
            best = other if other.share > best.share else best
        return best

    def _looked_at(self, generator: torch.Generator, times: int) -> "_Truth":
        """Any box of any frame, with what is around it, and where its middle is the truth."""
        frame = self.frames[randint(generator, len(self.frames))]
        size, side = self.store.size(frame), self.drawing.crop
        if min(size) < side:
            raise UserError(
                f"{frame} is {size[1]}x{size[0]}, smaller than the crop of {side}",
                f"lower --crop to {min(size)} or less",
            )
        times = min(times, min(size) // side)
        margin = min(MARGIN, (min(size) // times - side) // 2)
        box = random_crop(generator, size, times * (side + 2 * margin))
        own = self.motion.sample(frame)
        if own is None or frame not in self.picked:
            return _Truth(frame, box, times, margin, torch.ones(1, 1, side, side))
        motion, sure = self.motion.around(own, _within(box, times * margin))
        blur = _shrunk(motion.blur(self.exposure), times) / times
        stood = (blur <= self.still) & (_shrunk(sure, times) >= SURE)
        return _Truth(frame, box, times, margin, stood.float())

    def _motion(self, truth: "_Truth", generator: torch.Generator) -> Motion:
        """Its own, or that of a frame that lends; none if nothing is known."""
        side = truth.box.height // truth.times
        own = self.motion.sample(truth.frame)
        borrows = torch.rand((), generator=generator).item() < self.borrowed
        if own is not None and not borrows and truth.frame not in self.picked:
            motion, sure = self.motion.around(own, truth.box)
            if sure.mean() >= SURE:
                return motion
        for _ in range(TRIES if self.lenders else 0):
            lender = self.lenders[randint(generator, len(self.lenders))]
            size = self.store.size(lender.blurry)
            if min(size) >= side:  # else it is too small to lend so large a piece
                motion, sure = self.motion.around(lender, random_crop(generator, size, side))
                if sure.mean() >= SURE:
                    return motion
        nothing = torch.zeros(1, 2, side, side)
        return Motion(nothing, nothing)


@dataclass(frozen=True)
class _Truth:
    """A box of a frame that is to be blurred.

    Attributes:
        frame: where it is from.
        box: what is cut out, the margin included.
        times: how many times smaller it is made then.
        margin: pixels around the crop, of what is made.
        weight: of the crop: 1 where it is the truth, else 0.
    """

    frame: Frame
    box: Crop
    times: int
    margin: int
    weight: Float[Tensor, "1 1 h w"]

    @property
    def share(self) -> float:
        """How much of the crop is the truth."""
        return float(self.weight.mean())


def _shrunk(box: Float[Tensor, "1 c h w"], times: int) -> Float[Tensor, "1 c h2 w2"]:
    """So many times smaller: means of squares."""
    return box if times == 1 else F.avg_pool2d(box, times)


def _within(box: Crop, margin: int) -> Crop:
    """The box without a margin of so many pixels."""
    height, width = box.height - 2 * margin, box.width - 2 * margin
    return replace(box, top=box.top + margin, left=box.left + margin, height=height, width=width)
