"""Large view change: undo it by a homography first, then match what is left.

The multi-scale homography mode of PDC-Net ("H"; Truong et al., "Learning Accurate Dense
Correspondences and When to Trust Them", CVPR 2021), around any matcher. A matcher finds few right
matches across a large change of scale. Those it does find at the best of several sizes of the
reference give a homography, and through it the reference looks much like the target.

A homography M takes pixels of the target to pixels of the reference: p -> M(p).
"""

import itertools
import math
from dataclasses import dataclass, field
from typing import Generic

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import inside, pixel_grid, warp
from bluref.match.protocol import Features, Match, Matcher, Probabilistic

# Matches given to RANSAC: at most so many, and no homography from fewer than so many.
MOST_POINTS = 4000
LEAST_POINTS = 16
# No homography that fewer of the target's pixels agree with. Below lies what wrong matches reach.
LEAST_SHARE = 0.1
# No homography that is worse than this at the edges: divisor there (1 at the centre, 0 at the
# horizon), and how much it enlarges or shrinks the centre.
LEAST_DIVISOR = 0.2
MOST_SCALE = 8.0
# Divisor that stands for all beyond the horizon.
HORIZON = 1e-6

Homography = Float[Tensor, "3 3"]


@dataclass(frozen=True)
class Viewed(Generic[Features]):
    """A picture, to be resampled, and the inner matcher's features of it as it is."""

    image: Float[Tensor, "b 3 h w"]
    features: Features


@dataclass(frozen=True)
class Fit:
    """A homography, and the share of the target's pixels that are confident and agree with it."""

    matrix: Homography
    share: float


@dataclass(frozen=True)
class HomographyMatcher(Generic[Features]):
    """Another matcher, run at several scales of the reference and once more through a homography.

    At every scale, and turned by every angle, the reference is laid about its centre onto a canvas
    of the target's size and matched, and a homography M is fitted to the confident matches. The one
    that most pixels agree with serves to resample the reference; the residual r found in it gives
    flow(p) = M(p + r(p)) - p with the confidence of that pass. Where the direct pass, at scale 1,
    is more confident, its flow and its confidence stay; where no homography is to be believed, it
    is the answer.

    Costs one run of the inner matcher per scale and angle, and one more. Holds one of them at a
    time: beside what the inner matcher needs for one pair, two matches and a few pictures; features
    of changed references are made anew for every match. Where the inner matcher is `Probabilistic`,
    so is this, with R in pixels of the reference as it is resampled onto the target.

    Attributes:
        matcher: the inner one.
        scales: above 0; 1, the direct pass, is among them.
        angles: in degrees, tried at every scale; 0 is among them. PDC-Net turns nothing.
        confident: confidence in (0, 1] from which a match has a say in the homography. Low, since
            RANSAC copes with wrong matches; PDC-Net takes P_1 = 0.1, which is 0.17 of its maximum.
        agree: how far from a homography's a match may lie that agrees with it, in shorter sides of
            the target and seen at the scale in question; above 0. In pixels, small pictures would
            agree by chance.
        radius: of the inner matcher, if it is `Probabilistic`; else there is no such attribute.
        most: see `radius`.
    """

    matcher: Matcher[Features]
    scales: tuple[float, ...] = (0.5, 0.71, 1.0, 1.41, 2.0)
    angles: tuple[float, ...] = (0.0,)
    confident: float = 0.2
    agree: float = 0.01
    radius: float = field(init=False, repr=False, compare=False)
    most: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if min(self.scales, default=0) <= 0 or 1 not in self.scales:
            raise ValueError(f"scales must be above 0 and hold 1, got {self.scales}")
        if 0 not in self.angles:
            raise ValueError(f"angles must hold 0, got {self.angles}")
        if not 0 < self.confident <= 1:
            raise ValueError(f"confident must lie in (0, 1], got {self.confident}")
        if self.agree <= 0:
            raise ValueError(f"agree must be above 0, got {self.agree}")
        if isinstance(self.matcher, Probabilistic):
            object.__setattr__(self, "radius", self.matcher.radius)
            object.__setattr__(self, "most", self.matcher.most)

    @property
    def identity(self) -> str:
        """The inner one's, and every setting."""
        scales, angles = (
            ",".join(f"{value:g}" for value in values) for values in (self.scales, self.angles)
        )
        settings = f"{scales}-{angles}-{self.confident:g}-{self.agree:g}"
        return f"{self.matcher.identity}+homography-{settings}"

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Viewed[Features]:
        """The picture and what the inner matcher makes of it."""
        return Viewed(image, self.matcher.encode(image))

    @torch.no_grad()
    def match(self, target: Viewed[Features], reference: Viewed[Features]) -> Match:
        """Match each target with the reference at the same place in the batch.

        The two may differ in size: the inner matcher sees the target's only.

        Raises:
            ValueError: the two differ in number.
        """
        if len(target.image) != len(reference.image):
            counts = f"{len(target.image)} and {len(reference.image)}"
            raise ValueError(f"need a reference for every target, got {counts}")
        plain = _alike(1.0, 0.0, target, reference)
        direct = self._through(plain, target, reference)
        best = [self._fit(direct, n, 1.0) for n in range(len(target.image))]
        # From the least change on: of equals the first stays.
        for scale, angle in self._changes()[1:]:
            matrices = _alike(scale, angle, target, reference)
            found = self._through(matrices, target, reference)
            fits = (self._fit(found, n, scale) for n in range(len(best)))
            best = [max(pair, key=_share) for pair in zip(best, fits, strict=True)]
        if not any(best):
            return direct
        matrices = [fit.matrix if fit else one for fit, one in zip(best, plain, strict=True)]
        return _surer(self._through(matrices, target, reference), direct)

    def _changes(self) -> list[tuple[float, float]]:
        """Every scale at every angle, the least change first."""
        pairs = itertools.product(self.scales, self.angles)
        return sorted(pairs, key=lambda pair: (abs(pair[1]), abs(math.log(pair[0]))))

    def _through(
        self,
        matrices: list[Homography],
        target: Viewed[Features],
        reference: Viewed[Features],
    ) -> Match:
        """Match with the references resampled through the homographies, as flow into themselves."""
        size = _size(target.image)
        unchanged = all(torch.equal(m, torch.eye(3, dtype=m.dtype)) for m in matrices)
        if unchanged and _size(reference.image) == size:
            return self.matcher.match(target.features, reference.features)
        pairs = zip(reference.image.unbind(), matrices, strict=True)
        seen = torch.cat([resampled(image[None], matrix, size) for image, matrix in pairs])
        residual = self.matcher.match(target.features, self.matcher.encode(seen))
        grid = pixel_grid(*size, residual.flow)
        ends = zip(matrices, (grid + residual.flow).unbind(), strict=True)
        at = torch.cat([_apply(matrix, end[None]) for matrix, end in ends])
        # Far outside, near the horizon, a flow would be too large for half precision.
        h, w = _size(reference.image)
        at = torch.cat((at[:, :1].clamp(-w, 2 * w), at[:, 1:].clamp(-h, 2 * h)), dim=1)
        flow = at - grid
        visible = inside(flow, (h, w))
        # What shows nothing of the reference has confidence 0 by `visible`, what lies off the
        # canvas by the inner matcher.
        return Match(flow, residual.confidence * visible, visible)

    def _fit(self, match: Match, n: int, scale: float) -> Fit | None:
        """The homography of one of the matches, if there is one to be believed."""
        flow, confidence = match.flow[n : n + 1], match.confidence[n : n + 1]
        size = _size(flow)
        grid = pixel_grid(*size, flow)
        start, end = _surest(confidence, grid, grid + flow, least=self.confident)
        if len(start) < LEAST_POINTS:
            return None
        within = self.agree * min(size) / scale  # pixels of the reference
        # USAC brings its own random numbers: the answer depends on the points alone.
        found, _ = cv2.findHomography(start, end, cv2.USAC_MAGSAC, within)
        if found is None or not _is_tame(found, size):
            return None
        matrix = torch.from_numpy(found)
        error = (_apply(matrix, grid) - grid - flow).square().sum(dim=1, keepdim=True).sqrt()
        agrees = (error <= within) & (confidence >= self.confident)
        share = agrees.double().mean().item()
        return Fit(matrix, share) if share >= LEAST_SHARE else None


def similarity(
    scale: float, angle: float, target: tuple[int, int], reference: tuple[int, int]
) -> Homography:
    """The homography under which a resized and turned reference lies on a target's centre.

    Args:
        scale: above 0; 2 shows the middle of the reference twice as large.
        angle: degrees by which the reference is turned, clockwise as one sees it.
        target: (height, width) of the target.
        reference: (height, width) of the reference.
    """
    cos = round(math.cos(math.radians(angle)), 15) / scale
    sin = round(math.sin(math.radians(angle)), 15) / scale
    # Clockwise on the screen is counted from x to y, which points down; back from there for M.
    turn = torch.tensor(((cos, sin), (-sin, cos)), dtype=torch.float64)
    centre, to = (
        torch.tensor(((w - 1) / 2, (h - 1) / 2), dtype=torch.float64)
        for h, w in (target, reference)
    )
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[:2, :2] = turn
    matrix[:2, 2] = to - turn @ centre
    return matrix


def resampled(
    reference: Float[Tensor, "1 c H W"], matrix: Homography, size: tuple[int, int]
) -> Float[Tensor, "1 c h w"]:
    """out(p) = reference(M(p)), clamped to [0, 1]; what lies outside repeats the edge.

    Where the homography shrinks the reference, that is first brought to about the final size with
    an area filter, so that no detail aliases.

    Args:
        reference: what is sampled.
        matrix: from pixels of the result to pixels of the reference.
        size: (height, width) of the result.
    """
    h, w = _size(reference)
    shrink = max(_scale_at_centre(matrix.numpy(), size), 1.0)
    small = (max(round(h / shrink), 1), max(round(w / shrink), 1))
    if small != (h, w):
        reference = F.interpolate(reference, small, mode="bilinear", antialias=True)
        # Pixel i of the small one covers ((i + 0.5) / ratio - 0.5) of the large one.
        x, y = small[1] / w, small[0] / h
        smaller = ((x, 0, (x - 1) / 2), (0, y, (y - 1) / 2), (0, 0, 1))
        matrix = matrix.new_tensor(smaller) @ matrix
    grid = pixel_grid(*size, reference)
    return warp(reference, _apply(matrix, grid) - grid).clamp(0, 1)


def _alike(
    scale: float, angle: float, target: Viewed[Features], reference: Viewed[Features]
) -> list[Homography]:
    """The same similarity for every pair."""
    matrix = similarity(scale, angle, _size(target.image), _size(reference.image))
    return [matrix] * len(target.image)


def _apply(matrix: Homography, at: Float[Tensor, "1 2 h w"]) -> Float[Tensor, "1 2 h w"]:
    """M(p) for every p; beyond the horizon something far away."""
    lifted = torch.einsum("kc,bchw->bkhw", matrix[:, :2].to(at), at)
    lifted = lifted + matrix[:, 2].to(at).view(1, 3, 1, 1)
    return lifted[:, :2] / lifted[:, 2:].clamp(min=HORIZON)


def _surest(
    confidence: Float[Tensor, "1 1 h w"],
    start: Float[Tensor, "1 2 h w"],
    end: Float[Tensor, "1 2 h w"],
    *,
    least: float,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Start and end of the most confident match in every cell of a net over the picture."""
    h, w = _size(confidence)
    cell = min(math.ceil(math.sqrt(h * w / MOST_POINTS)), h, w)
    values, at = F.max_pool2d(confidence, cell, return_indices=True)
    chosen = at[values >= least]
    one, other = (x.flatten(2)[0, :, chosen].T.cpu().numpy() for x in (start, end))
    return one, other


def _is_tame(matrix: Float[np.ndarray, "3 3"], size: tuple[int, int]) -> bool:
    """Whether the target's whole frame lies well before the horizon, unmirrored and to scale."""
    right, bottom = size[1] - 1, size[0] - 1
    corners = ((0, 0, 1), (right, 0, 1), (0, bottom, 1), (right, bottom, 1))
    divisors = np.array(corners) @ matrix[2]
    if not (np.isfinite(matrix).all() and divisors.min() > LEAST_DIVISOR * divisors.mean() > 0):
        return False
    return 1 / MOST_SCALE <= _scale_at_centre(matrix, size) <= MOST_SCALE


def _scale_at_centre(matrix: Float[np.ndarray, "3 3"], size: tuple[int, int]) -> float:
    """Pixels of the reference per pixel of the target; 0 if the picture is mirrored there.

    The map's area element is det(M) / divisor^3.
    """
    divisor = matrix[2] @ ((size[1] - 1) / 2, (size[0] - 1) / 2, 1)
    return math.sqrt(max(np.linalg.det(matrix) / divisor**3, 0))


def _surer(one: Match, other: Match) -> Match:
    """Pixel by pixel the more confident of two matches; of equals the first."""
    first = one.confidence >= other.confidence
    return Match(
        torch.where(first, one.flow, other.flow),
        torch.where(first, one.confidence, other.confidence),
        torch.where(first, one.inside, other.inside),
    )


def _share(fit: Fit | None) -> float:
    return fit.share if fit else 0.0


def _size(x: Float[Tensor, "b c h w"]) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
