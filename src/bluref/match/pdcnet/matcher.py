"""PDC-Net behind the matcher protocol: pictures of any size, flow with P_R from the same pass."""

import math
import platform
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import inside
from bluref.match.pdcnet.mixture import Estimate, largest_probability, probability_within
from bluref.match.pdcnet.network import Encoded, PDCNet, joined
from bluref.match.protocol import Match

# Sides are brought to multiples of this, the stride of the coarser of the fine levels.
MULTIPLE = 8
# Pixels of a picture beyond which it is matched at reduced size, and of the references that are
# matched at a time: Full HD. They bound the memory, see docs/experiments.md.
MOST_PIXELS = 1920 * 1088


@dataclass(frozen=True)
class Picture:
    """An encoded picture, and its size before it was brought to what the network takes."""

    encoded: Encoded
    size: tuple[int, int]


@dataclass(frozen=True)
class PDCMatcher:
    """One pass of a PDC-Net per pair ("direct" mode).

    confidence = P_R / max P_R inside the reference, else 0. Pictures may lie anywhere; answers lie
    on the processor, where the rest of the way goes on.

    Attributes:
        network: in evaluation mode, on the device that computes.
        name: of the network and its weights; keys cached matches.
        radius: R in pixels of the picture as the network takes it, above 0: smaller than the
            picture's own where that is small, larger beyond Full HD.
        use_bf16: autocast to bfloat16.
    """

    network: PDCNet
    name: str
    radius: float = 1.0
    use_bf16: bool = False
    _turn: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.radius <= 0:
            raise ValueError(f"radius must be above 0, got {self.radius}")

    @property
    def identity(self) -> str:
        """Name and settings."""
        precision = f"bf16-{platform.machine()}" if self.use_bf16 else "fp32"
        return f"{self.name}-{self.radius:g}-{precision}"

    @property
    def device(self) -> torch.device:
        """Where the network computes."""
        return next(self.network.parameters()).device

    @property
    def most(self) -> float:
        """The largest value that P_R can take."""
        return largest_probability(self.network.spread["fine"], self.radius)

    @torch.no_grad()
    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Picture:
        """Features of pictures of one size; RGB in [0, 1]."""
        size = (image.shape[-2], image.shape[-1])
        taken = working_size(size, least=self.network.config.coarse_side)
        if taken != size:
            image = F.interpolate(image, taken, mode="area")
        image = image.contiguous(memory_format=torch.channels_last)
        with self._alone(), self._precision():
            return Picture(self.network.encode(image.to(self.device)), size)

    @torch.no_grad()
    def match(self, target: Picture, reference: Picture) -> Match:
        """Match each target with the reference at the same place in the batch.

        Where there are several times as many references, the targets stand for as many batches.

        Raises:
            ValueError: the pictures differ in size.
        """
        if target.size != reference.size:
            raise ValueError(f"sizes must be equal, got {target.size} and {reference.size}")
        with self._alone():
            with self._precision():
                estimate = self.network(target.encoded, reference.encoded)[1]
            return self._matched(estimate, target)

    def match_many(self, target: Picture, references: Sequence[Picture]) -> list[Match]:
        """What `match` gives for each reference, several in one pass.

        Raises:
            ValueError: the pictures differ in size.
        """
        count, (height, width) = target.encoded.count, target.encoded.size
        together = max(MOST_PIXELS // (height * width * count), 1)
        found: list[Match] = []
        for start in range(0, len(references), together):
            some = [reference.encoded for reference in references[start : start + together]]
            many = self.match(target, Picture(joined(some), references[start].size))
            for place in range(len(some)):
                items = slice(place * count, (place + 1) * count)
                found.append(Match(many.flow[items], many.confidence[items], many.inside[items]))
        return found

    def _alone(self) -> AbstractContextManager[object]:
        """One thread after the other on an accelerator, whose memory is not the machine's."""
        return nullcontext() if self.device.type == "cpu" else self._turn

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.use_bf16)

    def _matched(self, estimate: Estimate, target: Picture) -> Match:
        """The finest level's answer at the size of the picture."""
        taken, size = target.encoded.size, target.size
        scale = estimate.flow.new_tensor([size[1] / taken[1], size[0] / taken[0]])
        flow = _upsampled(estimate.flow.float(), size) * scale.view(1, 2, 1, 1).float()
        likely = _upsampled(probability_within(estimate.to_float(), self.radius), size)
        visible = inside(flow, size)
        confidence = (likely / self.most).clamp(0, 1) * visible
        return Match(flow.cpu(), confidence.cpu(), visible.cpu())


def working_size(size: tuple[int, int], *, least: int) -> tuple[int, int]:
    """(height, width) at which the network works.

    Multiples of 8, no side below `least`; pictures of more than `MOST_PIXELS` are reduced to about
    as many.
    """
    shrink = min(1.0, math.sqrt(MOST_PIXELS / (size[0] * size[1])))
    height, width = (max(int(side * shrink) // MULTIPLE * MULTIPLE, least) for side in size)
    return height, width


def _upsampled(x: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c H W"]:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
