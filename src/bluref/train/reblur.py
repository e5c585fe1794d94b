"""Re-blur consistency: the output, blurred along the motion of its frame, must be the input again.

It teaches where no reference speaks, and holds the output to the middle of the exposure: a picture
that is shifted along its motion does not blur back to where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Motion, Shutter, expose_along, stays_inside

# Moments of the exposure that are added up: with twice as many this loss takes twice as long.
MOMENTS = 11
# Least confidence of the motion between neighbours.
SURE = 0.5


@dataclass(frozen=True)
class Reblur:
    """How blurry frames came to be blurry.

    Attributes:
        motion: around each.
        sure: confidence of the motion, in [0, 1].
        exposure: in frame intervals.
    """

    motion: Motion
    sure: Float[Tensor, "b 1 h w"]
    exposure: float

    def loss(
        self,
        output: Float[Tensor, "b 3 h w"],
        blurry: Float[Tensor, "b 3 h w"],
        weight: Float[Tensor, "b 1 h w"],
        *,
        mean: Callable[[Tensor], Tensor] = lambda count: count,
    ) -> Float[Tensor, ""]:
        """Weighted mean of how far the re-blurred output is from the input, where both are known.

        Args:
            output: what the network made of `blurry`.
            blurry: the frames themselves.
            weight: how much each pixel of `blurry` counts.
            mean: over processes that share a batch, of the sum of weights of each.
        """
        made = expose_along(output, self.motion, Shutter(self.exposure), moments=MOMENTS)
        valid = (self.sure >= SURE) & stays_inside(self.motion, self.exposure)
        weight = weight * valid
        error = ((made - blurry).abs() * weight).sum()
        return error / (mean(weight.sum()) * output.shape[1]).clamp(min=1.0)

    def to(self, device: torch.device) -> "Reblur":
        """The same where the network computes."""
        motion = Motion(self.motion.before.to(device), self.motion.after.to(device))
        return Reblur(motion, self.sure.to(device), self.exposure)


def joined(parts: Sequence[Reblur]) -> Reblur:
    """Of several frames, one behind the other; they share the exposure of the first."""
    motion = Motion(
        torch.cat([part.motion.before for part in parts]),
        torch.cat([part.motion.after for part in parts]),
    )
    return Reblur(motion, torch.cat([part.sure for part in parts]), parts[0].exposure)
