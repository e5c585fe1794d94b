"""References are believed only where they are sharper than the blurry frame.

A frame that is sharp on the whole may show a thing that moves as blurred as the frame that it is to
mend, above all where the sharp frames are the better ones of the same footage. Targets made of such
places teach a network to leave blur as it is, and blurring them again does not tell: half as much
blur too much is a small difference. Goes beyond the paper; figures stand in docs/experiments.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.match.protocol import Match

# Half sides of the windows, in pixels: what is finer than the first is detail, and its energy is
# averaged over the second.
FINE, AROUND = 2, 7
# What noise and rounding have of it: places so calm keep the references that they have.
NOISE = (1.5 / 255) ** 2
# Energy of detail that a reference must have at least: as a multiple of the frame's, and of that of
# the sharpest reference that shows the same place.
ABOVE, BESIDE = 1.2, 0.6


@dataclass(frozen=True)
class Sharper:
    """Believes references where they are sharper than the frame, and not far less than another.

    Attributes:
        above: multiple of the frame's detail that they must have; 0 where frames may be their own
            targets, since nothing is sharper than what is sharp.
    """

    above: float = ABOVE

    @property
    def identity(self) -> str:
        """Changes whenever an answer would."""
        return repr((FINE, AROUND, NOISE, self.above, BESIDE))

    def __call__(
        self,
        matches: Sequence[Match],
        warped: Float[Tensor, "n 3 h w"],
        blurry: Float[Tensor, "1 3 h w"],
        *,
        threshold: float,
    ) -> list[Match]:
        """Matches whose confidence is 0 where the reference is not sharp enough.

        Args:
            matches: of the blurry frame with each reference.
            warped: the references along them; if they are not as bright as the frame, the
                difference counts as detail.
            blurry: the frame.
            threshold: confidence from which a reference may speak.
        """
        shown = detail(warped)
        speaks = torch.cat([(m.confidence >= threshold) & m.inside for m in matches])
        best = (shown * speaks).amax(dim=0, keepdim=True)
        needed = self.above * (detail(blurry) - NOISE).clamp(min=0)
        enough = ((shown - NOISE).clamp(min=0) >= needed) & (
            shown + NOISE >= BESIDE * (best + NOISE)
        )
        return [
            replace(match, confidence=match.confidence * kept)
            for match, kept in zip(matches, enough[:, None].unbind(0), strict=True)
        ]


def detail(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Energy of what is finer than `FINE`, around each pixel, of brightness in [0, 1]."""
    grey = image.mean(dim=1, keepdim=True)
    return _mean((grey - _mean(grey, FINE)).square(), AROUND)


def _mean(plane: Float[Tensor, "b 1 h w"], reach: int) -> Float[Tensor, "b 1 h w"]:
    """Over the square of that half side; what lies beyond repeats the edge."""
    side = 2 * reach + 1
    padded = F.pad(plane, (reach,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), stride=1), (1, side), stride=1)
