"""The predicted distribution of a flow vector: a mixture of two isotropic Laplacians.

Both share the flow as their mean (Truong et al., "PDC-Net+", Sec. 3.2):

    p(y) = sum_m alpha_m / (2 sigma_m^2) exp(-sqrt(2) |y - flow|_1 / sigma_m).

The first is narrow: the match was found; its width is fixed in the paper, and may be predicted
between bounds. The second is wide: how wide depends on how bad the match may be.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SQRT2 = math.sqrt(2)


@dataclass(frozen=True)
class Spread:
    """Bounds of the two components' variances, in squared pixels.

    Attributes:
        narrow: bounds of the variance of the first; equal where it is fixed.
        least: smallest variance of the second.
        most: largest variance of the second, the square of the picture's side.
    """

    narrow: tuple[float, float]
    least: float
    most: float

    @property
    def fixed(self) -> bool:
        """Whether the first component's variance is always the same."""
        return self.narrow[0] == self.narrow[1]

    def log_variances(
        self, h: Float[Tensor, "b 1 h w"], narrow: Float[Tensor, "b 1 h w"] | None = None
    ) -> Float[Tensor, "b 2 h w"]:
        """From unbounded predictions to (log sigma_1^2, log sigma_2^2).

        sigma_2^2 = least + (most - least) sigmoid(h - log most): about least + e^h.

        Args:
            h: of the second component.
            narrow: of the first, where it is not fixed: log sigma_1^2 lies at its sigmoid between
                the bounds.
        """
        wide = self.least + (self.most - self.least) * torch.sigmoid(h - math.log(self.most))
        low, high = (math.log(bound) for bound in self.narrow)
        share = torch.zeros_like(h) if narrow is None else torch.sigmoid(narrow)
        return torch.cat((low + (high - low) * share, wide.log()), dim=1)


@dataclass(frozen=True)
class Estimate:
    """Flow with its distribution, at one level of the pyramid.

    Attributes:
        flow: pixels of that branch's picture, x first.
        log_variance: of the two components.
        logits: of their shares alpha.
    """

    flow: Float[Tensor, "b 2 h w"]
    log_variance: Float[Tensor, "b 2 h w"]
    logits: Float[Tensor, "b 2 h w"]

    def to_float(self) -> "Estimate":
        """In float32, in which the distribution has to be computed."""
        return Estimate(self.flow.float(), self.log_variance.float(), self.logits.float())

    @property
    def uncertainty(self) -> Float[Tensor, "b 4 h w"]:
        """Log-variances and logits, as the next level is given them."""
        return torch.cat((self.log_variance, self.logits), dim=1)


def probability_within(estimate: Estimate, radius: float) -> Float[Tensor, "b 1 h w"]:
    """P_R: how likely the true flow lies within a square of half-side `radius` pixels.

    P_R = sum_m alpha_m (1 - exp(-sqrt(2) R / sigma_m))^2.
    """
    shares = estimate.logits.softmax(dim=1)
    inside = 1 - torch.exp(-SQRT2 * radius * torch.exp(-estimate.log_variance / 2))
    return (shares * inside.square()).sum(dim=1, keepdim=True)


def largest_probability(spread: Spread, radius: float) -> float:
    """The value of P_R that no pixel can exceed: all of the share on the narrowest component."""
    return (1 - math.exp(-SQRT2 * radius / math.sqrt(spread.narrow[0]))) ** 2


def negative_log_likelihood(
    estimate: Estimate, flow: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """-log p(flow) for every pixel."""
    distance = (flow - estimate.flow).abs().sum(dim=1, keepdim=True)
    deviation = torch.exp(-estimate.log_variance / 2)
    shares = F.log_softmax(estimate.logits, dim=1)
    each = shares - math.log(2) - estimate.log_variance - SQRT2 * distance * deviation
    return -each.logsumexp(dim=1, keepdim=True)
