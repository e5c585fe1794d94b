"""Another classical flow, to compare with: OpenCV's polynomial expansion (Farneback, SCIA 2003)."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import inside
from bluref.match.luminance import GreyImages, grey_images
from bluref.match.protocol import Match

# Of the pyramid: its levels, each half the one before, and the window's side and iterations.
LEVELS, WINDOW, ITERATIONS = 5, 21, 5


@dataclass(frozen=True)
class FarnebackMatcher:
    """The flow alone, believed wherever it stays inside; `CheckedMatcher` around it tells more."""

    identity: str = "farneback"

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> GreyImages:
        """8-bit luminance, one array per image."""
        return grey_images(image)

    def match(self, target: GreyImages, reference: GreyImages) -> Match:
        """Match each target with the reference at the same place in the batch.

        Raises:
            ValueError: the two differ in number or size.
        """
        if [t.shape for t in target] != [r.shape for r in reference]:
            raise ValueError("target and reference must agree in number and size")
        cv2.setNumThreads(1)
        flows = [
            cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload]
                t, r, None, 0.5, LEVELS, WINDOW, ITERATIONS, 7, 1.5, 0
            )
            for t, r in zip(target, reference, strict=True)
        ]
        flow = torch.from_numpy(np.stack(flows)).permute(0, 3, 1, 2).contiguous()
        visible = inside(flow, target[0].shape)
        return Match(flow, visible.float(), visible)
