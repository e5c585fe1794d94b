"""The forward-backward check around any matcher: a match that does not lead back is not believed.

What a target shows and a reference hides has no right match, yet every matcher names one. Coming
back from there, one ends elsewhere.
"""

from dataclasses import dataclass
from typing import Generic

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import warp
from bluref.match.protocol import Features, Match, Matcher

# What a round-trip error of the tolerance leaves of the confidence: the paper's threshold.
AT_TOLERANCE = 0.7


@dataclass(frozen=True)
class CheckedMatcher(Generic[Features]):
    """Another matcher, run both ways, at twice its price.

    confidence = inner * 0.7^((e / tolerance)^2) inside the reference, else 0, where e is the
    distance in pixels between p and where the backward flow returns it, as in `DISMatcher`. The
    product is no probability any more, so that this matcher is never `Probabilistic`.

    Attributes:
        matcher: the inner one.
        tolerance: round-trip error in pixels that leaves 0.7 of the confidence; above 0.
    """

    matcher: Matcher[Features]
    tolerance: float = 1.0

    def __post_init__(self) -> None:
        if self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")

    @property
    def identity(self) -> str:
        """The inner one's, and the tolerance."""
        return f"{self.matcher.identity}+check-{self.tolerance:g}"

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """As the inner matcher does."""
        return self.matcher.encode(image)

    def match(self, target: Features, reference: Features) -> Match:
        """The inner matcher's flow; its confidence times what the round trip leaves of it.

        Raises:
            ValueError: as the inner matcher does.
        """
        forward = self.matcher.match(target, reference)
        backward = self.matcher.match(reference, target)
        trip = forward.flow + warp(backward.flow, forward.flow, mode="bilinear")
        error = trip.square().sum(dim=1, keepdim=True)
        kept = torch.pow(AT_TOLERANCE, error / self.tolerance**2)
        return Match(forward.flow, forward.confidence * kept * forward.inside, forward.inside)
