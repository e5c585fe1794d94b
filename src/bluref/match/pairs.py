"""Training pairs for a matcher, made on the fly from single sharp pictures.

A part of a picture is the reference. The same part, bent by a random flow, with objects that move
on their own and degraded as a camera would, is the target; so the flow between them is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from bluref.degrade.camera import CameraConfig, random_degradation
from bluref.degrade.geometry import GeometryConfig, random_flow
from bluref.degrade.objects import ObjectConfig, compose, random_objects
from bluref.degrade.tone import ToneConfig, random_tone
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop, random_crop
from bluref.frames.randomness import item_generator, randint
from bluref.frames.store import FrameStore
from bluref.match.footage import FootageConfig, FootagePairs
from bluref.media.pixels import from_uint8

_Cutter = Callable[[], Tensor]


@dataclass(frozen=True)
class Pairs:
    """A batch of training pairs.

    Attributes:
        target: degraded; what the matcher is given to match.
        clean: the target before it was degraded, in the colours of the reference.
        reference: sharp.
        flow: the truth: clean(p) = reference(p + flow(p)), in pixels, wherever `valid`.
        valid: where the target shows a single thing and the reference shows that point of it;
            False beyond the reference's border, behind one of its objects, and on blended edges.
    """

    target: Float[Tensor, "b 3 h w"]
    clean: Float[Tensor, "b 3 h w"]
    reference: Float[Tensor, "b 3 h w"]
    flow: Float[Tensor, "b 2 h w"]
    valid: Bool[Tensor, "b 1 h w"]

    def to(self, device: torch.device) -> "Pairs":
        """The same pairs on a device."""
        return Pairs(
            self.target.to(device),
            self.clean.to(device),
            self.reference.to(device),
            self.flow.to(device),
            self.valid.to(device),
        )


@dataclass(frozen=True)
class PairConfig:
    """How pairs are made.

    Geometry, objects and camera draw from streams of their own: changing one of them leaves what
    the others draw as it was.
    """

    crop: int = 256
    """Side of target and reference, in pixels."""

    margin: int = 48
    """Pixels kept around the reference, out of which the target's border is filled."""

    scale: tuple[float, float] = (0.5, 1.0)
    """Bounds of the reduction of what is cut from a frame, as far as the frame is large enough."""

    squeeze: float = 1.0
    """How much narrower than it is a scene may be shown, at most: a wide frame on a square, as the
    coarse levels of a matcher see it. The factor is drawn uniformly from 1 on, for half of the
    scenes."""

    footage: FootageConfig = field(default_factory=FootageConfig)
    """Pairs of real frames among those that are made by warping."""

    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    """Motion of the scene."""

    objects: ObjectConfig = field(default_factory=ObjectConfig)
    """Objects that move on their own."""

    camera: CameraConfig = field(default_factory=CameraConfig)
    """What happens to the target alone."""

    tone: ToneConfig = field(default_factory=lambda: ToneConfig(0.12, 0.2, 0.05, 0.1, odds=0.5))
    """Change of exposure and colours of target and reference together, before all else."""

    def __post_init__(self) -> None:
        if self.crop < 32:
            raise ValueError(f"crop must be at least 32, got {self.crop}")
        if self.margin < 0:
            raise ValueError(f"margin must not be negative, got {self.margin}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"need 0 < low <= high <= 1 for scale, got {self.scale}")
        if self.squeeze < 1:
            raise ValueError(f"squeeze must be at least 1, got {self.squeeze}")

    @property
    def side(self) -> int:
        """Side of the scene that a pair is made from: the crop and its margins."""
        return self.crop + 2 * self.margin


@dataclass(frozen=True)
class PairSource:
    """Batches of pairs out of sharp frames; a batch is a pure function of its step.

    Attributes:
        frames: sharp frames; one gives the scene of a pair, another its objects. Every clip is
            drawn as often as any other.
        store: where their pixels come from.
        seed: of all randomness, with the step and the item's number.
        batch: pairs per step.
        config: how they are made.
    """

    frames: Sequence[Frame]
    store: FrameStore
    seed: int
    batch: int
    config: PairConfig = field(default_factory=PairConfig)

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("need at least one frame, got none")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")

    @cached_property
    def _clips(self) -> list[list[Frame]]:
        """The frames by clip, each of which is drawn as often: frames of one clip look alike."""
        clips: dict[str, list[Frame]] = {}
        for frame in self.frames:
            clips.setdefault(frame.clip, []).append(frame)
        return list(clips.values())

    @cached_property
    def _moving(self) -> list[list[Frame]]:
        """The clips with more than one frame."""
        return [clip for clip in self._clips if len(clip) > 1]

    def __call__(self, step: int, *, first: int = 0) -> Pairs:
        """The batch of one step: the items from `first` on, where others draw those before."""
        return join([self.item(step, first + number) for number in range(self.batch)])

    def item(self, step: int, number: int) -> Pairs:
        """One pair of a batch: a function of (seed, step, number) and nothing else."""
        generator = item_generator(self.seed, step, number)
        if self.config.footage.share > 0:
            found = self._of_footage(item_generator(self.seed, step, number, "footage"))
            if found is not None:
                return found
        scene, texture = (self._cutter(generator) for _ in range(2))
        return _pair_of(scene, texture, generator, self.config)

    def _of_footage(self, generator: torch.Generator) -> Pairs | None:
        """A pair of real frames, if this item is to be one and its clip has such."""
        config = self.config
        if torch.rand((), generator=generator).item() >= config.footage.share or not self._moving:
            return None
        clip = self._moving[randint(generator, len(self._moving))]
        draw = FootagePairs(self.store, config.crop, config.footage, config.camera, config.tone)
        found = draw(clip, generator)
        return None if found is None else Pairs(**vars(found))

    def _cutter(self, generator: torch.Generator) -> _Cutter:
        clip = self._clips[randint(generator, len(self._clips))]
        frame = clip[randint(generator, len(clip))]
        box = scene_box(generator, self.store.size(frame), self.config)
        rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)

        def cut() -> Float[Tensor, "1 3 s s"]:
            # 8-bit pixels with their colours side by side are reduced several times faster.
            pixels = torch.from_numpy(np.array(self.store.pixels(frame)[rows, columns]))
            reduced = fitted(pixels.permute(2, 0, 1)[None], self.config.side)
            return from_uint8(box.flip(reduced).contiguous())

        return cut


def make_pair(
    source: Float[Tensor, "1 3 H W"],
    other: Float[Tensor, "1 3 H2 W2"],
    generator: torch.Generator,
    config: PairConfig,
) -> Pairs:
    """A batch of one pair, cut out of larger pictures.

    Args:
        source: sharp picture of the scene, of any size; where it is too small its mirror image
            continues it.
        other: sharp picture that lends its texture to the moving objects.
        generator: the only source of randomness.
        config: how the pair is made.
    """

    def cutter(picture: Float[Tensor, "1 3 H W"]) -> _Cutter:
        height, width = picture.shape[-2:]
        box = scene_box(generator, (height, width), config)
        rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
        return lambda: box.flip(fitted(picture[..., rows, columns], config.side))

    return _pair_of(cutter(source), cutter(other), generator, config)


def _pair_of(
    scene_of: _Cutter, texture_of: _Cutter, generator: torch.Generator, config: PairConfig
) -> Pairs:
    """A pair out of a scene and a texture of side `config.side`, the crop and its margins."""
    seeds = torch.randint(2**62, (4,), generator=generator).tolist()
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    size = (config.crop, config.crop)
    degradation = random_degradation(draws[0], config.camera)
    objects = random_objects(draws[1], size, config.objects)
    flow = random_flow(draws[2], size, config.geometry, border=degradation.border)
    tone = random_tone(draws[3], config.tone) or (lambda picture: picture)
    scene = tone(scene_of())
    texture = tone(texture_of()) if objects else scene  # cutting costs as much as blurring
    view = compose(scene, texture, flow, objects, size)
    border = degradation.border
    inner = (..., slice(border, border + config.crop), slice(border, border + config.crop))
    return Pairs(
        target=degradation(view.target, view.cover),
        clean=view.target[inner],
        reference=view.reference,
        flow=view.flow[inner],
        valid=view.valid[inner],
    )


def join(pairs: Sequence[Pairs]) -> Pairs:
    """Several batches of pairs of one size as a single batch."""
    return Pairs(
        target=torch.cat([pair.target for pair in pairs]),
        clean=torch.cat([pair.clean for pair in pairs]),
        reference=torch.cat([pair.reference for pair in pairs]),
        flow=torch.cat([pair.flow for pair in pairs]),
        valid=torch.cat([pair.valid for pair in pairs]),
    )


def scene_box(generator: torch.Generator, size: tuple[int, int], config: PairConfig) -> Crop:
    """Where to cut a scene from a frame: as large as it will be reduced, as wide as squeezed.

    Args:
        generator: the only source of randomness.
        size: (height, width) of the frame; a small one is reduced less than `config.scale` allows.
        config: side of the scene and bounds of the reduction.
    """
    low, high = config.scale
    least = min(1.0, max(low, config.side / min(size)))
    most = max(high, least)
    scale = least + (most - least) * torch.rand((), generator=generator).item()
    box = random_crop(generator, size, round(config.side / scale))
    if config.squeeze == 1:
        return box
    chance, share = torch.rand(2, generator=generator).tolist()
    factor = 1 + (config.squeeze - 1) * share if chance < 0.5 else 1.0
    width = min(round(box.width * factor), size[1])
    return replace(box, left=min(box.left, size[1] - width), width=width)


def fitted(cut: Shaped[Tensor, "1 3 H W"], side: int) -> Shaped[Tensor, "1 3 s s"]:
    """A cut brought to a square: reduced without aliasing, or continued by its mirror image.

    Args:
        cut: an image, or 8-bit pixels.
        side: of the square, in pixels.
    """
    height, width = cut.shape[-2:]
    if (height, width) == (side, side):
        return cut
    if min(height, width) >= side:
        return F.interpolate(cut, (side, side), mode="bilinear", antialias=True)
    rows, columns = (_mirrored(have, side) for have in (height, width))
    return cut[..., rows, :][..., columns]


def _mirrored(have: int, want: int) -> Tensor:
    """Indices that run through the middle of a picture and turn back at its edges."""
    at = torch.arange(want) - (want - have) // 2
    around = at.remainder(2 * have)
    return torch.where(around < have, around, 2 * have - 1 - around)
