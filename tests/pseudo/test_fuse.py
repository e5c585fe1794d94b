"""Properties of every strategy's fusion, and each one against its formula written as loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.pseudo import fuse
from bluref.pseudo.fuse import AGREEMENT, SELECTIVITY
from bluref.pseudo.strategy import STRATEGIES
from bluref.pseudo.target import Warped

FUSES = {name: strategy.fuse for name, strategy in STRATEGIES.items()}
# None is half of another: `robust` counts those with more than half of the best backing.
CONFIDENCES = torch.tensor([0.0, 0.06, 0.3, 0.45, 0.7, 0.85, 1.0])

every_strategy = pytest.mark.parametrize("name", FUSES)
seeds = st.integers(0, 2**32)
counts = st.integers(1, 6)
thresholds = st.sampled_from([0.0, 0.3, 0.7, 1.0])
few = settings(max_examples=40, deadline=None, database=None)


def stack(seed, n, *, spread=1.0):
    """References that see and doubt different pixels; colours within `spread` of each other."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, n, 1, 3, 4)
    image = torch.rand(2, n, 3, 3, 4, generator=generator)
    image = spread * image + (1 - spread) * image[:, :1]
    confidence = CONFIDENCES[torch.randint(len(CONFIDENCES), shape, generator=generator)]
    return Warped(image, confidence, torch.rand(shape, generator=generator) > 0.2)


def with_image(warped, image):
    return Warped(image.expand_as(warped.image).contiguous(), warped.confidence, warped.inside)


def reordered(warped, order):
    return Warped(warped.image[:, order], warped.confidence[:, order], warped.inside[:, order])


def speaking(warped, threshold):
    """b n 1 h w: who may speak, by the definition in the text of `Warped.votes`."""
    return warped.inside & (warped.confidence >= threshold) & (warped.confidence > 0)


@every_strategy
@few
@given(seed=seeds, n=counts, threshold=thresholds, level=st.floats(0, 1, width=32))
def test_a_constant_picture_stays_constant(name, seed, n, threshold, level):
    warped = stack(seed, n)
    target = FUSES[name](with_image(warped, torch.tensor(level)), threshold=threshold)
    expected = level * target.mask.expand_as(target.image)
    torch.testing.assert_close(target.image, expected, atol=1e-6, rtol=1e-6)


@every_strategy
@few
@given(seed=seeds, n=counts, threshold=thresholds)
def test_brightness_is_kept_where_a_reference_is_missing(name, seed, n, threshold):
    warped = stack(seed, n)
    picture = torch.rand(2, 1, 3, 3, 4, generator=torch.Generator().manual_seed(seed))
    target = FUSES[name](with_image(warped, picture), threshold=threshold)
    somebody = speaking(warped, threshold).any(dim=1)
    assert torch.equal(target.mask, somebody)
    torch.testing.assert_close(target.image, picture[:, 0] * somebody, atol=1e-6, rtol=1e-6)


@every_strategy
@few
@given(seed=seeds, n=counts, threshold=thresholds)
def test_a_pixel_nobody_speaks_for_is_silent_and_trust_is_a_share(name, seed, n, threshold):
    warped = stack(seed, n)
    target = FUSES[name](warped, threshold=threshold)
    somebody = speaking(warped, threshold).any(dim=1)
    assert torch.equal(target.support > 0, somebody)
    assert torch.equal(target.weight > 0, somebody)
    assert target.weight.max() <= 1 + 1e-6
    assert target.support.max() <= n
    assert (target.image * ~somebody == 0).all()


@every_strategy
@few
@given(seed=seeds, n=counts, threshold=thresholds)
def test_the_target_lies_between_the_references_that_speak(name, seed, n, threshold):
    warped = stack(seed, n)
    target = FUSES[name](warped, threshold=threshold)
    speaks = speaking(warped, threshold)
    low = warped.image.where(speaks, torch.tensor(torch.inf)).amin(dim=1)
    high = warped.image.where(speaks, torch.tensor(-torch.inf)).amax(dim=1)
    between = (target.image >= low - 1e-6) & (target.image <= high + 1e-6)
    assert (between | ~target.mask).all()


@every_strategy
@few
@given(seed=seeds, n=counts)
def test_black_pixels_are_still_trusted(name, seed, n):
    warped = stack(seed, n)
    black = FUSES[name](with_image(warped, torch.tensor(0.0)), threshold=0.3)
    grey = FUSES[name](with_image(warped, torch.tensor(0.5)), threshold=0.3)
    assert torch.equal(black.support, grey.support)
    torch.testing.assert_close(black.weight, grey.weight)


@every_strategy
@few
@given(seed=seeds, threshold=thresholds)
def test_a_single_reference_is_given_back_where_it_is_confident(name, seed, threshold):
    warped = stack(seed, 1)
    target = FUSES[name](warped, threshold=threshold)
    speaks = speaking(warped, threshold)[:, 0]
    torch.testing.assert_close(target.image, warped.image[:, 0] * speaks, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(target.weight, warped.confidence[:, 0] * speaks)


@every_strategy
@few
@given(seed=seeds, n=counts)
def test_every_pixel_is_fused_by_itself(name, seed, n):
    warped = stack(seed, n)
    whole = FUSES[name](warped, threshold=0.3)
    box = (..., slice(1, 3), slice(2, 4))
    cut = Warped(warped.image[box], warped.confidence[box], warped.inside[box])
    part = FUSES[name](cut, threshold=0.3)
    for field in ("image", "weight", "support"):
        torch.testing.assert_close(getattr(part, field), getattr(whole, field)[box])


@every_strategy
@few
@given(seed=seeds, n=st.integers(2, 6), threshold=thresholds)
def test_a_reference_that_may_not_speak_changes_nothing(name, seed, n, threshold):
    warped = stack(seed, n)
    warped.inside[:, -1] = False
    without = Warped(warped.image[:, :-1], warped.confidence[:, :-1], warped.inside[:, :-1])
    one, other = (FUSES[name](w, threshold=threshold) for w in (warped, without))
    for field in ("image", "weight", "support"):
        torch.testing.assert_close(getattr(one, field), getattr(other, field))


@every_strategy
def test_no_reference_is_misuse(name):
    nothing = torch.zeros(1, 0, 1, 3, 4)
    with pytest.raises(ValueError, match="at least one reference"):
        FUSES[name](Warped(torch.zeros(1, 0, 3, 3, 4), nothing, nothing > 0), threshold=0.5)


@every_strategy
@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_out_of_range_is_misuse(name, threshold):
    with pytest.raises(ValueError, match=rf"threshold must lie in \[0, 1\], got {threshold}"):
        FUSES[name](stack(0, 2), threshold=threshold)


@pytest.mark.parametrize("name", ["average", "robust"])
@few
@given(seed=seeds, n=counts, threshold=thresholds, shuffle=st.randoms(use_true_random=False))
def test_the_order_of_references_does_not_matter(name, seed, n, threshold, shuffle):
    warped, order = stack(seed, n), list(range(n))
    shuffle.shuffle(order)
    one = FUSES[name](warped, threshold=threshold)
    other = FUSES[name](reordered(warped, order), threshold=threshold)
    for field in ("image", "weight", "support"):
        torch.testing.assert_close(getattr(one, field), getattr(other, field), atol=1e-5, rtol=1e-5)


@few
@given(seed=seeds, n=counts)
def test_order_matters_to_progressive_only_where_references_disagree(seed, n):
    # Any two colours are within the distance of agreement, so that whoever comes first is joined.
    warped = stack(seed, n, spread=AGREEMENT)
    one = fuse.progressive(warped, threshold=0.3)
    other = fuse.progressive(reordered(warped, list(range(n))[::-1]), threshold=0.3)
    for field in ("image", "weight", "support"):
        torch.testing.assert_close(getattr(one, field), getattr(other, field), atol=1e-5, rtol=1e-5)


def pixel(*references):
    """One pixel: (grey level, confidence) of each reference; all inside."""
    levels, confidences = zip(*references, strict=True)
    image = torch.tensor(levels).view(1, -1, 1, 1, 1).expand(1, -1, 3, 1, 1).contiguous()
    confidence = torch.tensor(confidences).view(1, -1, 1, 1, 1)
    return Warped(image, confidence, torch.ones_like(confidence, dtype=torch.bool))


def fused(strategy, *references, threshold=0.3):
    target = strategy(pixel(*references), threshold=threshold)
    return target.image[0, 0].item(), target.weight.item(), target.support.item()


def test_sequential_overwrites_with_whoever_is_confident_last():
    assert fused(fuse.sequential, (0.1, 1.0), (0.9, 0.5)) == pytest.approx((0.9, 0.5, 1))
    assert fused(fuse.sequential, (0.9, 0.5), (0.1, 1.0)) == pytest.approx((0.1, 1.0, 1))
    assert fused(fuse.sequential, (0.1, 1.0), (0.9, 0.2)) == pytest.approx((0.1, 1.0, 1))


def test_progressive_fills_what_is_silent():
    assert fused(fuse.progressive, (0.1, 0.2), (0.9, 0.5)) == pytest.approx((0.9, 0.5, 1))


def test_progressive_keeps_the_first_where_a_later_one_disagrees():
    assert fused(fuse.progressive, (0.1, 0.5), (0.9, 1.0)) == pytest.approx((0.1, 0.5, 1))


def test_progressive_averages_where_a_later_one_agrees():
    near = 0.5 + 0.9 * AGREEMENT
    image, weight, support = fused(fuse.progressive, (0.5, 1.0), (near, 0.5), (0.9, 1.0))
    assert image == pytest.approx((0.5 + 0.5 * near) / 1.5)
    assert (weight, support) == pytest.approx((0.75, 2))


def test_progressive_counts_black_as_having_spoken():
    assert fused(fuse.progressive, (0.0, 0.5), (0.9, 1.0)) == pytest.approx((0.0, 0.5, 1))


def test_robust_rejects_one_outlier_among_five():
    image, weight, support = fused(fuse.robust, *[(0.4, 0.8)] * 4, (0.9, 1.0))
    assert image == pytest.approx(0.4, abs=0.005)
    assert support == 4
    assert weight == pytest.approx(0.8 * 4 / 5, abs=0.01)
    plain, _, _ = fused(fuse.average, *[(0.4, 0.8)] * 4, (0.9, 1.0))
    assert plain > 0.5


def test_robust_is_the_plain_mean_where_all_agree_closely():
    references = [(0.5 + 0.1 * AGREEMENT * i, c) for i, c in enumerate([1.0, 0.5, 0.8, 0.9])]
    robust, average = (fused(f, *references) for f in (fuse.robust, fuse.average))
    assert robust[0] == pytest.approx(average[0], abs=0.001)
    assert robust[1] == pytest.approx(average[1], rel=0.05)
    assert robust[2] == average[2]


def test_robust_lets_nobody_be_backed_by_being_doubted():
    speakers = [(0.44, 1.0), (0.56, 1.0)]
    assert fused(fuse.robust, *speakers, (0.5, 0.1)) == pytest.approx(fused(fuse.robust, *speakers))


def test_robust_trusts_disagreement_less():
    agreed = fused(fuse.robust, (0.4, 1.0), (0.4, 1.0))
    torn = fused(fuse.robust, (0.1, 1.0), (0.9, 1.0))
    assert agreed[1] == pytest.approx(1.0)
    assert torn[1] == pytest.approx(0.5, abs=0.01)


def by_loops(strategy, warped, threshold):
    """The target pixel by pixel, from the docstrings' formulas in plain numbers."""
    b, n, _, h, w = warped.image.shape
    image, weight, support = (
        torch.zeros(b, 3, h, w),
        torch.zeros(b, 1, h, w),
        torch.zeros(b, 1, h, w),
    )
    for i in range(b):
        for y in range(h):
            for x in range(w):
                said = [
                    (warped.image[i, k, :, y, x].tolist(), warped.confidence[i, k, 0, y, x].item())
                    for k in range(n)
                    if speaking(warped, threshold)[i, k, 0, y, x]
                ]
                if said:
                    colour, weight[i, 0, y, x], support[i, 0, y, x] = strategy(said)
                    image[i, :, y, x] = torch.tensor(colour)
    return image, weight, support


def mean_of(said, votes):
    return [
        sum(v * c[k] for (c, _), v in zip(said, votes, strict=True)) / sum(votes) for k in range(3)
    ]


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 3)


def average_by_hand(said):
    votes = [m for _, m in said]
    return mean_of(said, votes), sum(votes) / len(votes), len(votes)


def sequential_by_hand(said):
    return *said[-1], 1


def progressive_by_hand(said):
    joined = said[:1]
    for colour, m in said[1:]:
        if distance(colour, average_by_hand(joined)[0]) <= AGREEMENT:
            joined.append((colour, m))
    return average_by_hand(joined)


def robust_by_hand(said):
    backing = [
        sum(m * math.exp(-((distance(mine, other) / AGREEMENT) ** 2)) for other, m in said)
        for mine, _ in said
    ]
    shares = [each / max(backing) for each in backing]
    votes = [m * share**SELECTIVITY for (_, m), share in zip(said, shares, strict=True)]
    return mean_of(said, votes), max(backing) / len(said), sum(share > 0.5 for share in shares)


BY_HAND = {
    "average": average_by_hand,
    "sequential": sequential_by_hand,
    "progressive": progressive_by_hand,
    "robust": robust_by_hand,
}


@every_strategy
@pytest.mark.parametrize("spread", [1.0, 0.2])
@settings(max_examples=6, deadline=None, database=None)
@given(seed=seeds, n=counts, threshold=thresholds)
def test_fusion_is_the_formula_pixel_by_pixel(name, spread, seed, n, threshold):
    warped = stack(seed, n, spread=spread)
    target = FUSES[name](warped, threshold=threshold)
    image, weight, support = by_loops(BY_HAND[name], warped, threshold)
    torch.testing.assert_close(target.image, image, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(target.weight, weight, atol=1e-5, rtol=1e-4)
    assert torch.equal(target.support, support)
