"""Classical dense flow behind the matcher protocol: OpenCV's DIS (Kroeger et al., ECCV 2016).

The flow is estimated in both directions. Where going there and coming back ends elsewhere, or where
the flow leaves the reference, the match is not to be believed.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bluref.degrade.warp import inside, warp
from bluref.errors import UserError
from bluref.match.luminance import GreyImages, grey_images
from bluref.match.protocol import Match

PRESETS = {
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}

# The smallest side DIS can build its pyramid on.
MIN_SIDE = 32


@dataclass(frozen=True)
class DISMatcher:
    """DIS flow with a forward-backward check turned into confidence.

    confidence = exp(-(e / tolerance)^2 * ln(1 / 0.7)) inside the reference, else 0, where e is the
    distance in pixels between p and where the backward flow returns it: 0.7, the paper's threshold,
    falls at e = tolerance.

    Attributes:
        preset: `fast` or `medium`, as OpenCV names them.
        tolerance: round-trip error in pixels that is given a confidence of 0.7; above 0.
    """

    preset: str = "medium"
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")

    @property
    def identity(self) -> str:
        """Name and settings."""
        return f"dis-{self.preset}-{self.tolerance:g}"

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> GreyImages:
        """8-bit luminance, one array per image."""
        if min(image.shape[-2:]) < MIN_SIDE:
            h, w = image.shape[-2:]
            raise UserError(
                f"a picture of {w}x{h} is too small to match",
                f"use pictures of at least {MIN_SIDE}x{MIN_SIDE} pixels",
            )
        return grey_images(image)

    def match(self, target: GreyImages, reference: GreyImages) -> Match:
        """Match each target with the reference at the same place in the batch.

        Raises:
            ValueError: the two differ in number or size, which DIS cannot handle.
        """
        if [t.shape for t in target] != [r.shape for r in reference]:
            raise ValueError(
                f"target and reference must agree in number and size, got "
                f"{[t.shape for t in target]} and {[r.shape for r in reference]}"
            )
        pairs = list(zip(target, reference, strict=True))
        forward = torch.stack([_flow(t, r, self.preset) for t, r in pairs])
        backward = torch.stack([_flow(r, t, self.preset) for t, r in pairs])
        error = (forward + warp(backward, forward, mode="bilinear")).square().sum(1, keepdim=True)
        confidence = torch.pow(0.7, error / self.tolerance**2)
        visible = inside(forward, target[0].shape)
        return Match(forward, confidence * visible, visible)


def dis_flow(
    target: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 2 h w"]:
    """Flow alone, from the target to the reference, without the check; preset `medium`."""
    matcher = DISMatcher()
    pairs = zip(matcher.encode(target), matcher.encode(reference), strict=True)
    return torch.stack([_flow(t, r, matcher.preset) for t, r in pairs])


def _flow(
    target: UInt8[np.ndarray, "h w"], reference: UInt8[np.ndarray, "h w"], preset: str
) -> Float[Tensor, "2 h w"]:
    """One DIS flow. Frames are spread over threads outside; inside, DIS stays on one.

    DIS splits its patch search by threads and its answer depends on the split, so that a fixed
    number of them is what makes the flow the same on every machine. Its engine is made anew each
    time, for a millisecond: after a small picture it would keep that picture's finest scale.
    """
    cv2.setNumThreads(1)
    engine = cv2.DISOpticalFlow.create(PRESETS[preset])
    flow = engine.calc(target, reference, None)  # type: ignore[call-overload]  # h w 2, x first
    return torch.from_numpy(flow).permute(2, 0, 1).contiguous()
