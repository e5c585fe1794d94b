"""The pseudo-sharp target: an image, how far to believe it, and how many references spoke."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class PseudoSharp:
    """A training target and how far to believe it.

    Attributes:
        image: RGB in [0, 1]; zero wherever `support` is zero.
        weight: trust in [0, 1], by which the per-pixel loss is multiplied; zero wherever `support`
            is zero.
        support: number of references that spoke for the pixel.
    """

    image: Float[Tensor, "b 3 h w"]
    weight: Float[Tensor, "b 1 h w"]
    support: Float[Tensor, "b 1 h w"]

    @property
    def mask(self) -> Bool[Tensor, "b 1 h w"]:
        """Where at least one reference spoke."""
        return self.support > 0


@dataclass(frozen=True)
class Warped:
    """References resampled onto the blurry frame, with what the matcher thinks of them.

    Attributes:
        image: RGB in [0, 1], one per reference.
        confidence: in [0, 1].
        inside: False where the flow left the reference, so that nothing was sampled.
    """

    image: Float[Tensor, "b n 3 h w"]
    confidence: Float[Tensor, "b n 1 h w"]
    inside: Bool[Tensor, "b n 1 h w"]

    def votes(self, threshold: float) -> Float[Tensor, "b n 1 h w"]:
        """Confidence where a reference may speak, zero elsewhere.

        A reference may speak inside its own frame where its confidence reaches the threshold.

        Raises:
            ValueError: `threshold` outside [0, 1], or no reference given (n = 0).
        """
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold must lie in [0, 1], got {threshold}")
        if self.image.shape[1] == 0:
            raise ValueError("need at least one reference (n >= 1), got n = 0")
        speaks = self.inside & (self.confidence >= threshold) & (self.confidence > 0)
        return self.confidence * speaks


def from_sums(
    weighted: Float[Tensor, "b 3 h w"],
    total: Float[Tensor, "b 1 h w"],
    support: Float[Tensor, "b 1 h w"],
) -> PseudoSharp:
    """Divide a sum of votes * image by the sum of votes; trust is the mean vote of the speakers."""
    spoken = support > 0
    image = weighted / total.where(spoken, torch.ones_like(total))
    weight = total / support.clamp(min=1)
    return PseudoSharp(image * spoken, weight * spoken, support)
