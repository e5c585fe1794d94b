"""The last tenths of a pixel, and a second look, around a learned matcher.

PDC-Net answers at a quarter of the resolution, from features. Here its flow is polished on the
pictures themselves, by a few steps of the variational method of Brox et al. (ECCV 2004), and what
it found is compared with the target: where the two look different, something else is shown. Goes
beyond the paper; the figures stand in docs/experiments.md.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from bluref.degrade.warp import inside
from bluref.match.luminance import GreyImages, grey_images
from bluref.match.pdcnet.matcher import MOST_PIXELS
from bluref.match.protocol import Features, Match, MatchesMany, ProbabilisticMatcher

# Reductions at which the flow is polished, one after the other. At full size it would gain another
# 0.3 dB, at a quarter of the time that the whole match takes.
SCALES = (4.0, 2.0)
# Sides below which a reduced picture says nothing more.
LEAST = 16
# The blurs, in pixels, before two pictures are compared and before what they differ by is averaged.
LOOK, AROUND = 1.0, 2.0
# Difference (root mean square of the luminance, in [0, 1]) of two pictures that are half alike.
HALF_ALIKE = 0.03
# Change of the mean, as a logarithm, that blur alone may bring about.
BY_BLUR = 0.03
# Every so many rows and columns tell the exposure.
SPARSE = 4
# What is left of a certain match that looks like something else entirely.
CERTAIN = 0.75
# Energy of the target's gradient over that of what the flow leads to: with the first or less the
# flow stays as the network found it, with the second or more it is polished.
BLURRED = (0.4, 0.7)
# The window over which energy is averaged, in pixels of half the size, and what noise amounts to.
NEARBY, NOISE = 4.0, 0.5
# Log-odds beyond which a probability is as good as certain.
FARTHEST = 9.2

Grey = UInt8[np.ndarray, "h w"]
Field = Float32[np.ndarray, "h w 2"]


@dataclass(frozen=True)
class Seen(Generic[Features]):
    """What the inner matcher made of pictures, and their luminance, at Full HD at most."""

    features: Features
    grey: GreyImages


@dataclass(frozen=True)
class PolishedMatcher(Generic[Features]):
    """A probabilistic matcher with its flow polished and its confidence reconsidered.

    A polished flow is right more often than the network says, and one that leads to something
    unlike the target is not. Strong blur tells the network more than it tells the pictures: there
    the flow stays as it is. With P the inner P_R,

        Q = sigmoid(a + b logit P),    confidence = Q (A + c Q (1 - A)),    A = 1 / (1 + (d / s)^2)

    where d is the local root mean square difference of the low-passed luminance of target and
    warped reference, s = `HALF_ALIKE` and c = `CERTAIN`: looks count the more the less sure the
    matcher is, since blur makes right matches look different as well. It is a probability as P_R
    is, of the same R, with a and b fitted on training pairs.

    Attributes:
        matcher: the inner one, `Probabilistic`.
        odds: a and b.
    """

    matcher: ProbabilisticMatcher[Features]
    odds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.odds[1] <= 0:
            raise ValueError(f"b of the odds must be above 0, got {self.odds}")

    @property
    def identity(self) -> str:
        """The inner one's, and every setting."""
        looks = (LOOK, AROUND, HALF_ALIKE, BY_BLUR, CERTAIN)
        settings = (*self.odds, *SCALES, *looks, *BLURRED)
        return f"{self.matcher.identity}+polish-{'-'.join(f'{value:g}' for value in settings)}"

    @property
    def radius(self) -> float:
        """R of the inner one."""
        return self.matcher.radius

    @property
    def most(self) -> float:
        """Looks settle what the network must leave open, so that nothing bounds it but 1."""
        return 1.0

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Seen[Features]:
        """What the inner matcher needs, and the luminance."""
        height, width = image.shape[-2:]
        shrink = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
        size = (round(width * shrink), round(height * shrink))
        grey = tuple(_resized(one, size) for one in grey_images(image))
        return Seen(self.matcher.encode(image), grey)

    def match(self, target: Seen[Features], reference: Seen[Features]) -> Match:
        """Match each target with the reference at the same place in the batch.

        Raises:
            ValueError: as the inner matcher does.
        """
        found = self.matcher.match(target.features, reference.features)
        return self._polished(target, reference, found)

    def match_many(
        self, target: Seen[Features], references: Sequence[Seen[Features]]
    ) -> list[Match]:
        """What `match` gives for each reference; polished on as many threads as torch has.

        Raises:
            ValueError: as the inner matcher does.
        """
        features = [reference.features for reference in references]
        if isinstance(self.matcher, MatchesMany):
            found = self.matcher.match_many(target.features, features)
        else:
            found = [self.matcher.match(target.features, one) for one in features]
        polish = partial(self._polished, target)
        # Each unpolished match is let go of as its turn is over.
        handed_over = (found.pop(0) for _ in references)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return list(pool.map(polish, references, handed_over))

    def _polished(self, target: Seen[Features], reference: Seen[Features], found: Match) -> Match:
        device = found.flow.device
        flows, looks = [], []
        given = found.flow.permute(0, 2, 3, 1).cpu().float().contiguous().numpy()
        trusted = found.confidence[:, 0].cpu().float().numpy()
        for flow, sure, seen, shown in zip(
            given, trusted, target.grey, reference.grey, strict=True
        ):
            field, alike = _polished_and_judged(seen, shown, flow, sure)
            flows.append(torch.from_numpy(field).permute(2, 0, 1).contiguous())
            looks.append(torch.from_numpy(alike)[None])
        flow = torch.stack(flows).to(device)
        visible = inside(flow, (flow.shape[-2], flow.shape[-1]))
        claimed = found.confidence * self.matcher.most
        likely = reconsidered(claimed, torch.stack(looks).to(device), self.odds)
        return Match(flow, likely * visible, visible)


def reconsidered(
    probability: Float[Tensor, "*pixels"],
    alike: Float[Tensor, "*pixels"],
    odds: tuple[float | Tensor, float | Tensor],
) -> Float[Tensor, "*pixels"]:
    """How likely a polished flow is right, as `PolishedMatcher` has it; 0 stays 0.

    Args:
        probability: P_R before the flow was polished.
        alike: likeness of what it leads to now.
        odds: a and b.
    """
    log_odds = torch.logit(probability).clamp(-FARTHEST, FARTHEST)
    q = torch.sigmoid(odds[0] + odds[1] * log_odds)
    return q * (alike + CERTAIN * q * (1 - alike)) * (probability > 0)


def _polished_and_judged(
    target: UInt8[np.ndarray, "m n"],
    reference: UInt8[np.ndarray, "m n"],
    flow: Field,
    sure: Float32[np.ndarray, "h w"],
) -> tuple[Field, Float32[np.ndarray, "h w"]]:
    """Polished flow and likeness; the pictures may be smaller than the flow."""
    size, whole = target.shape[::-1], sure.shape[::-1]
    unit = np.array(size, dtype=np.float32) / np.array(whole, dtype=np.float32)
    before = _resized(flow, size) * unit
    shown = as_exposed(target, reference, before, _resized(sure, size))
    change = polished_flow(target, shown, before) - before
    after = before + sharp_share(target, shown, before)[..., None] * change
    alike = likeness(target, shown, after)
    if size == whole:
        return after, alike
    return flow + _resized((after - before) / unit, whole), _resized(alike, whole)


def polished_flow(target: Grey, reference: Grey, flow: Field) -> Field:
    """The flow moved to where the reference's luminance and its gradient agree with the target's.

    Few steps, and smooth ones, as OpenCV sets them: through blur of 20 px more of them, or less
    smooth ones, lead away from what the network has found.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first, right to a few of them.
    """
    cv2.setNumThreads(1)  # references are spread over threads outside
    height, width = target.shape
    method = cv2.VariationalRefinement.create()
    for scale in SCALES:
        size = (round(width / scale), round(height / scale))
        if min(size) < LEAST:
            continue
        unit = np.array((size[0] / width, size[1] / height), dtype=np.float32)
        before = _resized(flow, size) * unit
        after = method.calc(_resized(target, size), _resized(reference, size), before.copy())
        flow = flow + _resized((after - before) / unit, (width, height))
    return flow


def sharp_share(target: Grey, reference: Grey, flow: Field) -> Float32[np.ndarray, "h w"]:
    """How much of a polish to take, in [0, 1]: none where strong blur leads it astray.

    The energy of the target's gradient over that of the warped reference, at half the size: 1 where
    both are as sharp, whatever they show.

    Args:
        target: luminance.
        reference: luminance, of the same size and exposure.
        flow: pixels, x first, right to a few of them.
    """
    height, width = target.shape
    size = (max(width // 2, 1), max(height // 2, 1))
    unit = np.array((size[0] / width, size[1] / height), dtype=np.float32)
    shown = _warped(_resized(reference, size), _resized(flow, size) * unit)
    kept = _energy(_resized(target, size)) / _energy(shown)
    share = np.clip((kept - BLURRED[0]) / (BLURRED[1] - BLURRED[0]), 0, 1)
    return _resized(share.astype(np.float32), (width, height))


def _energy(picture: Grey) -> Float32[np.ndarray, "h w"]:
    """Mean square of the gradient around each pixel, levels per pixel, and of a little noise."""
    across, down = (
        cv2.Sobel(picture, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    squared = across * across + down * down
    energy: Float32[np.ndarray, "h w"] = cv2.GaussianBlur(squared, (0, 0), NEARBY) + NOISE
    return energy


def as_exposed(
    target: Grey, reference: Grey, flow: Field, sure: Float32[np.ndarray, "h w"]
) -> Grey:
    """The reference, as bright as the target shows it.

    A camera may have changed its exposure between the two: one factor on the encoded luminance, as
    light times a constant is in a power law, taken from the means where the match is sure. Blur
    adds up light, and so changes the mean of encoded values by a little: that is left alone.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first.
        sure: in [0, 1], of the match.
    """
    some = (slice(None, None, SPARSE),) * 2
    shown = _warped(reference, flow[some], every=SPARSE)
    ours, theirs = (float((sure[some] * seen).sum()) for seen in (target[some], shown))
    exposure = (ours + 1) / (theirs + 1)
    if abs(math.log(exposure)) <= BY_BLUR:
        return reference
    return np.asarray(cv2.convertScaleAbs(reference, alpha=exposure))


def likeness(target: Grey, reference: Grey, flow: Field) -> Float32[np.ndarray, "h w"]:
    """How much what the flow leads to looks like the target, in (0, 1]; 1 is the same.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first.
    """
    difference = np.subtract(_warped(reference, flow), target, dtype=np.float32) / 255
    difference = cv2.GaussianBlur(difference, (0, 0), LOOK)
    squared = cv2.GaussianBlur(difference * difference, (0, 0), AROUND)
    alike: Float32[np.ndarray, "h w"] = 1 / (1 + squared / np.float32(HALF_ALIKE**2))
    return alike


def _resized(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """At (width, height): without aliasing where that is smaller, else smoothly."""
    if values.shape[1::-1] == size:
        return values
    smaller = size[0] < values.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=how))


def _warped(
    reference: Grey, flow: Float32[np.ndarray, "m n 2"], *, every: int = 1
) -> UInt8[np.ndarray, "m n"]:
    """What the flow of every so many rows and columns leads to."""
    cv2.setNumThreads(1)
    height, width = reference.shape
    columns = np.arange(0, width, every, dtype=np.float32)
    rows = np.arange(0, height, every, dtype=np.float32)
    x, y = flow[..., 0] + columns, flow[..., 1] + rows[:, None]
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(reference, x, y, cv2.INTER_LINEAR, borderMode=border))
