"""How good a dense match is: its flow, the order of its confidences, and their honesty.

Errors are vectors in pixels of the target, found flow minus true flow, at pixels whose truth is
known. Every figure is computed of one image at a time; means over images are the caller's.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

THRESHOLDS = 100
"""Shares of removed pixels at which a sparsification curve is taken."""

BINS = 20
"""Bins of equal width that probabilities in [0, 1] are counted in."""


@dataclass(frozen=True)
class Sparsification:
    """Mean end-point error of what is kept when the least confident pixels are removed.

    Attributes:
        removed: share of the pixels that is removed, from 0 to just below 1.
        curve: mean error of the rest over that of all pixels, removed by ascending confidence.
        oracle: the same, removed by descending true error: no other order can lie below.
    """

    removed: Float[Tensor, " k"]
    curve: Float[Tensor, " k"]
    oracle: Float[Tensor, " k"]

    @property
    def area(self) -> float:
        """AUSE: the area between the two curves; 0 is a perfect order, NaN that of no pixels."""
        return torch.trapezoid(self.curve - self.oracle, self.removed).item()


@dataclass(frozen=True)
class Reliability:
    """Claimed probabilities against what came true, counted in bins of equal width over [0, 1].

    Attributes:
        count: pixels whose claimed probability lies in the bin.
        claimed: sum of their probabilities.
        correct: how many of them were correct.
    """

    count: Int64[Tensor, " n"]
    claimed: Float[Tensor, " n"]
    correct: Int64[Tensor, " n"]

    def __add__(self, other: "Reliability") -> "Reliability":
        """Both counted together."""
        return Reliability(
            self.count + other.count, self.claimed + other.claimed, self.correct + other.correct
        )

    @property
    def probability(self) -> Float[Tensor, " n"]:
        """Mean claimed probability of each bin; NaN where it is empty."""
        return self.claimed / self.count

    @property
    def frequency(self) -> Float[Tensor, " n"]:
        """Share of each bin that was correct; NaN where it is empty."""
        return self.correct / self.count.to(self.claimed.dtype)

    @property
    def error(self) -> float:
        """Expected calibration error: mean |probability - frequency|, each bin by its count.

        NaN of no pixels.
        """
        return ((self.claimed - self.correct).abs().sum() / self.count.sum()).item()


def flow_errors(
    flow: Float[Tensor, "1 2 h w"],
    truth: Float[Tensor, "1 2 h w"],
    valid: Bool[Tensor, "1 1 h w"],
) -> Float[Tensor, "n 2"]:
    """Found flow minus true flow at the n valid pixels, in reading order.

    Args:
        flow: what is judged, pixels of the target.
        truth: what it should be.
        valid: where the truth is known.
    """
    return (flow - truth)[0].permute(1, 2, 0)[valid[0, 0]]


def lengths(errors: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """Euclidean length of each error in pixels."""
    return errors.square().sum(dim=1).sqrt()


def end_point_error(errors: Float[Tensor, "n 2"]) -> float:
    """Mean Euclidean length of the errors in pixels; NaN of no pixels."""
    return lengths(errors).mean().item()


def share_within(errors: Float[Tensor, "n 2"], radius: float) -> float:
    """PCK: the share of errors whose length is at most `radius` pixels; NaN of no pixels."""
    return (lengths(errors) <= radius).float().mean().item()


def correct_within(errors: Float[Tensor, "n 2"], radius: float) -> Bool[Tensor, " n"]:
    """Whether max(|dx|, |dy|) <= radius: the square that P_R of PDC-Net is the probability of.

    P_R is a product of one integral over x and one over y (Truong et al., PDC-Net, 2021, Eq. 8),
    which makes its neighbourhood a square, unlike the disc of `share_within`.
    """
    return errors.abs().amax(dim=1) <= radius


def sparsification(
    errors: Float[Tensor, "n 2"],
    confidence: Float[Tensor, " n"],
    *,
    thresholds: int = THRESHOLDS,
) -> Sparsification:
    """Sparsification curves (Ilg et al., 2018) of the end-point error, over that of all pixels.

    Among pixels of equal confidence no order is preferred: each counts with their mean error, as if
    averaged over all orders, so that a constant confidence has a flat curve. Without any error both
    curves are 0.

    Args:
        errors: pixels of the target.
        confidence: larger is surer; of any scale.
        thresholds: number of removed shares k / thresholds, k = 0, 1, ...; at least 50.

    Raises:
        ValueError: fewer than 50 thresholds.
    """
    if thresholds < 50:
        raise ValueError(f"thresholds must be at least 50, got {thresholds}")
    length = lengths(errors).double()
    removed = torch.arange(thresholds, dtype=torch.float64, device=length.device) / thresholds
    if not len(length):
        nothing = torch.full_like(removed, torch.nan)
        return Sparsification(removed, nothing, nothing)
    order = confidence.argsort(descending=True)
    curve = _means_of_kept(_mean_of_ties(length[order], confidence[order]), removed)
    oracle = _means_of_kept(length.sort().values, removed)
    whole = oracle[0].where(oracle[0] > 0, torch.ones_like(oracle[0]))
    return Sparsification(removed, curve / whole, oracle / whole)


def reliability(
    probability: Float[Tensor, " n"], correct: Bool[Tensor, " n"], *, bins: int = BINS
) -> Reliability:
    """Count claimed probabilities, and how many of them came true, in bins of equal width.

    Args:
        probability: in [0, 1].
        correct: what came true.
        bins: number of bins, at least 1.

    Raises:
        ValueError: no bin, or a probability outside [0, 1].
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    if not ((probability >= 0) & (probability <= 1)).all():
        low, high = probability.min().item(), probability.max().item()
        raise ValueError(f"probabilities must lie in [0, 1], got {low} to {high}")
    claimed = probability.double()
    place = (claimed * bins).long().clamp(max=bins - 1)
    return Reliability(
        count=torch.bincount(place, minlength=bins),
        # Of no pixels, bincount forgets the type of the weights.
        claimed=torch.bincount(place, weights=claimed, minlength=bins).double(),
        correct=torch.bincount(place[correct], minlength=bins),
    )


def most_trusted(
    confidence: Float[Tensor, "1 1 h w"], share: float = 0.5
) -> Float[Tensor, "1 1 h w"]:
    """Weights in [0, 1] that select the given share of the pixels by confidence.

    Pixels that tie at the border count in equal parts, so that their sum is share * h * w whatever
    the confidences are, and no pixel is preferred for its place: all equal, each counts `share`.

    Args:
        confidence: larger is surer; of any scale.
        share: above 0, at most 1.

    Raises:
        ValueError: a share out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    wanted = share * confidence.numel()
    border = confidence.flatten().sort(descending=True).values[math.ceil(wanted) - 1]
    above, tied = confidence > border, confidence == border
    part = (wanted - above.sum()) / tied.sum()
    return above.float() + part * tied


def _mean_of_ties(values: Float[Tensor, " n"], keys: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Each value replaced by the mean of those whose (neighbouring) keys equal its own."""
    _, group, count = torch.unique_consecutive(keys, return_inverse=True, return_counts=True)
    total = torch.zeros_like(count, dtype=values.dtype).scatter_add_(0, group, values)
    means: Tensor = total / count
    return means[group]


def _means_of_kept(
    sorted_values: Float[Tensor, " n"], removed: Float[Tensor, " k"]
) -> Float[Tensor, " k"]:
    """Mean of the first (1 - removed) n values, at least one."""
    n = len(sorted_values)
    kept = ((1 - removed) * n).round().long().clamp(min=1)
    return sorted_values.cumsum(0)[kept - 1] / kept
