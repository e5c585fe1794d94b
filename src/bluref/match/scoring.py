"""What a matcher is worth: where the flow is known, and on real motion with a known truth."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera import only_motion
from bluref.degrade.geometry import GeometryConfig
from bluref.degrade.objects import ObjectConfig
from bluref.frames.clip import Frame
from bluref.frames.randomness import item_generator, randint
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore, check_sizes
from bluref.match.pairs import PairConfig, Pairs, PairSource
from bluref.match.protocol import Match, Matcher, Probabilistic
from bluref.measure.matching import (
    Reliability,
    correct_within,
    end_point_error,
    flow_errors,
    most_trusted,
    reliability,
    share_within,
    sparsification,
)
from bluref.measure.psnr import on_8_bit

# Confidence from which a pixel counts as matched (paper Sec. 3.4).
MATCHED = 0.7

# PSNR of a warp that equals the truth, so that a mean exists.
HIGHEST_PSNR = 99.0


@dataclass(frozen=True)
class SyntheticScore:
    """Figures on pairs of known flow; means over pairs of what holds at their valid pixels.

    Attributes:
        epe: end-point error in pixels.
        pck1: share of pixels with an error of at most 1 px; `pck3` and `pck5` likewise.
        pck3: see `pck1`.
        pck5: see `pck1`.
        ause: area under the sparsification error, see `measure.matching.Sparsification`.
        calibration_error: expected calibration error of P_R, over all pixels of all pairs.
        bins: the counts behind it.
    """

    epe: float
    pck1: float
    pck3: float
    pck5: float
    ause: float
    calibration_error: float
    bins: Reliability


# Written out: a change of what training draws by default must not move the scores.
SCORED = PairConfig(
    crop=256,
    margin=48,
    scale=(0.5, 1.0),
    geometry=GeometryConfig(strength=(0.05, 0.3), max_shift=12.0),
    objects=ObjectConfig(most=3, shift=20.0),
)


@dataclass(frozen=True)
class RealScore:
    """Figures on real motion; means over all matches of a blurry frame with one sharp reference.

    Attributes:
        coverage: share of the frame matched with a confidence of 0.7 or more (paper Table 3).
        psnr_confident: dB, of the warped reference there against the true sharp frame, over the
            matches that have such pixels; NaN if none has.
        psnr_at_half: the same over the half of the frame that the matcher trusts most.
        seconds_per_reference: encoding and matching a reference, and its part of encoding the
            target, which is done once for all references of a frame.
    """

    coverage: float
    psnr_confident: float
    psnr_at_half: float
    seconds_per_reference: float


def blurred_pairs(
    frames: Sequence[Frame], store: FrameStore, length: float, *, count: int, seed: int
) -> Iterator[Pairs]:
    """Pairs whose target is blurred by motion of one length and degraded in no other way.

    Scenes, flows and objects depend on the seed alone, so that pairs of different lengths show the
    same. No seed repeats what a training draws.

    Args:
        frames: sharp, at least one.
        store: holds them.
        length: of the blur's path in pixels, at least 0.
        count: number of pairs.
        seed: of all randomness.
    """
    own = randint(item_generator(seed, "pairs to score matchers on"), 2**31)
    config = replace(SCORED, camera=only_motion(length))
    source = PairSource(frames, store, seed=own, batch=1, config=config)
    return (source(step) for step in range(count))


@torch.no_grad()
def score_synthetic(
    matcher: Matcher[Any],
    pairs: Iterable[Pairs],
    *,
    tell: Callable[[int], None] = lambda done: None,
) -> SyntheticScore:
    """Match degraded targets with their references and compare with the true flow.

    P_R is confidence * most, correct within the matcher's own radius, where it is `Probabilistic`;
    of any other matcher the confidence itself is taken for P_1.

    Args:
        matcher: what is judged.
        pairs: at least one.
        tell: called with the number of pairs done.

    Raises:
        ValueError: no pairs.
    """
    figures: list[tuple[float, ...]] = []
    bins: list[Reliability] = []
    radius, most = 1.0, 1.0
    if isinstance(matcher, Probabilistic):
        radius, most = matcher.radius, matcher.most
    for batch in pairs:
        found = matcher.match(matcher.encode(batch.target), matcher.encode(batch.reference))
        for one in (slice(n, n + 1) for n in range(len(batch.flow))):
            valid = batch.valid[one]
            errors = flow_errors(found.flow[one].to(batch.flow.device), batch.flow[one], valid)
            confidence = found.confidence[one].to(valid.device)[valid]
            pck = (share_within(errors, distance) for distance in (1.0, 3.0, 5.0))
            figures.append((end_point_error(errors), *pck, sparsification(errors, confidence).area))
            bins.append(reliability(confidence * most, correct_within(errors, radius)))
            tell(len(figures))
    if not bins:
        raise ValueError("need at least one pair, got none")
    all_bins = sum(bins[1:], start=bins[0])
    epe, pck1, pck3, pck5, ause = _means(figures)
    return SyntheticScore(epe, pck1, pck3, pck5, ause, all_bins.error, all_bins)


@torch.no_grad()
def score_real(
    matcher: Matcher[Any],
    samples: Sequence[Sample],
    store: FrameStore,
    *,
    tell: Callable[[int], None] = lambda done: None,
) -> RealScore:
    """Match blurry frames with sharp references and compare the warps with the true sharp frames.

    Warps are rounded to 8 bits, as for every published PSNR.

    Args:
        matcher: what is judged.
        samples: at least one, each with its truth, as of `frames.displaced`.
        store: holds the frames.
        tell: called with the number of samples done.

    Raises:
        UserError: a picture cannot be read, or the frames of a clip differ in size.
        ValueError: no samples, or one without a truth.
    """
    if not samples:
        raise ValueError("need at least one sample, got none")
    check_sizes((f for s in samples for f in (s.blurry, *s.references, s.truth) if f), store)
    figures: list[tuple[float, ...]] = []
    seconds = 0.0
    for done, sample in enumerate(samples, start=1):
        if sample.truth is None:
            raise ValueError(f"every sample must have a truth, {sample.blurry} has none")
        truth, target = store.image(sample.truth), store.image(sample.blurry)
        references = [store.image(frame) for frame in sample.references]
        started = time.perf_counter()
        encoded = matcher.encode(target)
        matches = [_here(matcher.match(encoded, matcher.encode(one))) for one in references]
        seconds += time.perf_counter() - started
        for match, reference in zip(matches, references, strict=True):
            figures.append(_on_real_motion(match, reference, truth))
        tell(done)
    coverage, psnr_confident, psnr_at_half = _means(figures)
    return RealScore(coverage, psnr_confident, psnr_at_half, seconds / len(figures))


def _here(match: Match) -> Match:
    """The match on the CPU; getting it there waits for the device, so that seconds are honest."""
    return Match(match.flow.cpu(), match.confidence.cpu(), match.inside.cpu())


def _on_real_motion(
    match: Match, reference: Float[Tensor, "1 3 h w"], truth: Float[Tensor, "1 3 h w"]
) -> tuple[float, float, float]:
    """Coverage, PSNR where confident, PSNR over the most trusted half."""
    squared = (on_8_bit(match.warp(reference)) - truth).square().mean(dim=1, keepdim=True)
    matched = (match.confidence >= MATCHED).float()
    half = most_trusted(match.confidence)
    return matched.mean().item(), _psnr(squared, matched), _psnr(squared, half)


def _psnr(squared: Float[Tensor, "1 1 h w"], weight: Float[Tensor, "1 1 h w"]) -> float:
    """PSNR of the weighted mean of squared errors; NaN where nothing has weight."""
    mean = (squared * weight).double().sum() / weight.double().sum()
    return min((-10 * torch.log10(mean)).item(), HIGHEST_PSNR)


def _means(rows: Sequence[tuple[float, ...]]) -> list[float]:
    """Mean of each column over its values that are not NaN; NaN where there is none."""
    columns = [[x for x in column if not math.isnan(x)] for column in zip(*rows, strict=True)]
    return [statistics.fmean(column) if column else math.nan for column in columns]
