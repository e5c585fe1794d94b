"""The matcher that does nothing: the floor under every table of matchers."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import inside
from bluref.match.protocol import Match


@dataclass(frozen=True)
class ZeroMatcher:
    """Says that nothing moves, and is sure of it: flow 0, confidence 1 within the reference."""

    @property
    def identity(self) -> str:
        """Its name; it has no settings."""
        return "zero"

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The image itself."""
        return image

    def match(self, target: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 H W"]) -> Match:
        """Zero flow, confidence 1 where the reference has such a pixel."""
        flow = torch.zeros_like(target[:, :2])
        visible = inside(flow, (reference.shape[-2], reference.shape[-1]))
        return Match(flow, visible.to(flow.dtype), visible)
