"""Fusion of warped references into one target: the paper's strategies in our reading, and `robust`.

Every function takes the same arguments and is pure, pixel by pixel. The printed equations, which
fail as they stand, are in `literal.py`; `docs/faithfulness.md` says how and why these depart.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.pseudo.target import PseudoSharp, Warped, from_sums

# Colour distance (root mean square over RGB, in [0, 1]) within which two references agree.
AGREEMENT = 0.08
# How sharply `robust` prefers the majority: at 2 against 1 the minority keeps 2^-3 of its vote.
SELECTIVITY = 3


def average(warped: Warped, *, threshold: float) -> PseudoSharp:
    """Mean of the references that are confident (paper Sec. 3.3, Weighted Average).

    target = sum_n P_n M_n / sum_n M_n, where M_n is the confidence where it reaches the threshold.
    The paper divides by N, which darkens every pixel that some reference cannot see.

    Args:
        warped: references on the blurry frame.
        threshold: smallest confidence that may speak, in [0, 1].

    Raises:
        ValueError: `threshold` outside [0, 1], or no reference.
    """
    votes = warped.votes(threshold)
    support = (votes > 0).sum(dim=1).to(votes.dtype)
    return from_sums((votes * warped.image).sum(dim=1), votes.sum(dim=1), support)


def sequential(warped: Warped, *, threshold: float) -> PseudoSharp:
    """The running composite: each confident reference overwrites those before (paper Eq. 4).

    Eq. 4 returns the last warp alone; what earlier references gave would survive only through the
    matching. We keep the composite, so that the support is the union. References must have been
    matched to the running composite (`strategy.match_sequential`) for this to be the paper's.

    Args:
        warped: references on the blurry frame, in the order in which they were matched.
        threshold: smallest confidence that may speak, in [0, 1].

    Raises:
        ValueError: `threshold` outside [0, 1], or no reference.
    """
    votes = warped.votes(threshold)
    image = torch.zeros_like(warped.image[:, 0])
    weight = torch.zeros_like(votes[:, 0])
    for n in range(votes.shape[1]):
        speaks = votes[:, n] > 0
        image = torch.where(speaks, warped.image[:, n], image)
        weight = torch.where(speaks, votes[:, n], weight)
    return PseudoSharp(image, weight, (weight > 0).to(votes.dtype))


def progressive(warped: Warped, *, threshold: float) -> PseudoSharp:
    """References fill what is still silent, and are averaged where they agree (paper Eq. 5).

    Eq. 5 blanks for reference n what reference n - 1 matched, then averages: no pixel can reach a
    mean mask of 0.7. Here the first confident reference settles a pixel; a later one joins the
    average where it agrees with what stands there, and fills what is still silent.

    Args:
        warped: references on the blurry frame, the most trusted (nearest in time) first.
        threshold: smallest confidence that may speak, in [0, 1].

    Raises:
        ValueError: `threshold` outside [0, 1], or no reference.
    """
    votes = warped.votes(threshold)
    weighted = torch.zeros_like(warped.image[:, 0])
    total = torch.zeros_like(votes[:, 0])
    support = torch.zeros_like(total)
    for n in range(votes.shape[1]):
        silent = support == 0
        standing = weighted / total.clamp(min=1e-6)
        agrees = _distance(warped.image[:, n], standing) <= AGREEMENT
        vote = votes[:, n] * (silent | agrees)
        weighted = weighted + vote * warped.image[:, n]
        total = total + vote
        support = support + (vote > 0).to(support.dtype)
    return from_sums(weighted, total, support)


def robust(warped: Warped, *, threshold: float) -> PseudoSharp:
    """Mean of the confident references, each counted by how many others agree with it.

    The affinity of two references is exp(-(d / AGREEMENT)^2), d the distance of their colours: it
    saturates, so that an outlier pulls nothing. The backing of a reference is the confidence of all
    that speak, weighed by their affinity to it. It votes with its confidence times the
    `SELECTIVITY`-th power of its backing over the best one: an average where all agree, the
    majority where they do not. Trust is the best backing over the number that speak: the mean
    confidence, lowered by the share that disagrees. Goes beyond the paper.

    Args:
        warped: references on the blurry frame, in any order.
        threshold: smallest confidence that may speak, in [0, 1].

    Raises:
        ValueError: `threshold` outside [0, 1], or no reference.
    """
    votes = warped.votes(threshold)[:, :, 0]  # b n h w
    backing = _backing(warped.image, votes)
    best = backing.amax(dim=1, keepdim=True)  # b 1 h w
    speaking = (votes > 0).sum(dim=1, keepdim=True).to(votes.dtype)
    spoken = speaking > 0
    share = backing / best.where(spoken, torch.ones_like(best))
    weights = votes * share**SELECTIVITY
    total = weights.sum(dim=1, keepdim=True)
    image = (weights[:, :, None] * warped.image).sum(dim=1)
    image = image / total.where(spoken, torch.ones_like(total))
    support = ((votes > 0) & (share > 0.5)).sum(dim=1, keepdim=True).to(votes.dtype)
    return PseudoSharp(image * spoken, best / speaking.clamp(min=1), support)


def _distance(a: Float[Tensor, "b 3 h w"], b: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    """Root mean square over the colour channels."""
    return (a - b).square().mean(dim=-3, keepdim=True).sqrt()


def _backing(
    image: Float[Tensor, "b n 3 h w"], votes: Float[Tensor, "b n h w"]
) -> Float[Tensor, "b n h w"]:
    """Confidence behind each reference that speaks, its own included; 0 for one that does not."""
    n = votes.shape[1]
    first, second = torch.triu_indices(n, n, offset=1)
    affinity = (image[:, first] - image[:, second]).square_().mean(dim=2)  # b pairs h w
    affinity = affinity.mul_(-1 / AGREEMENT**2).exp_()
    backing = votes.clone()
    backing.index_add_(1, first, affinity * votes[:, second])
    backing.index_add_(1, second, affinity * votes[:, first])
    return backing * (votes > 0)
