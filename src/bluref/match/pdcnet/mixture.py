"""The predicted distribution of a flow vector: a mixture of two isotropic Laplacians.

Both share the flow as their mean (Truong et al., "PDC-Net+", Sec. 3.2):

    p(y) = sum_m alpha_m / (2 sigma_m^2) exp(-sqrt(2) |y - flow|_1 / sigma_m).

The first is narrow and fixed: the match was found. The second is wide: how wide depends on how bad
the match may be.
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
        narrow: variance of the first.
        least: smallest variance of the second.
        most: largest variance of the second, the square of the picture's side.
    """

    narrow: float
    least: float
    most: float

    def log_variances(self, h: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 2 h w"]:
        """From an unbounded prediction h to (log sigma_1^2, log sigma_2^2).

        sigma_2^2 = least + (most - least) sigmoid(h - log most): about least + e^h.
        """
        wide = self.least + (self.most - self.least) * torch.sigmoid(h - math.log(self.most))
        return torch.cat((torch.full_like(h, math.log(self.narrow)), wide.log()), dim=1)


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
    """The value of P_R that no pixel can exceed: all of the share on the narrow component."""
    return (1 - math.exp(-SQRT2 * radius / math.sqrt(spread.narrow))) ** 2


def negative_log_likelihood(
    estimate: Estimate, flow: Float[Tensor, "b 2 h w"]
) -> Float[Tensor, "b 1 h w"]:
    """-log p(flow) for every pixel."""
    distance = (flow - estimate.flow).abs().sum(dim=1, keepdim=True)
    deviation = torch.exp(-estimate.log_variance / 2)
    shares = F.log_softmax(estimate.logits, dim=1)
    each = shares - math.log(2) - estimate.log_variance - SQRT2 * distance * deviation
    return -each.logsumexp(dim=1, keepdim=True)
