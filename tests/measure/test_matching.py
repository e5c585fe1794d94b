"""Figures of dense matches, held against what is known by construction and against plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.measure.matching import (
    correct_within,
    end_point_error,
    flow_errors,
    most_trusted,
    reliability,
    share_within,
    sparsification,
)

EVERYWHERE = torch.ones(1, 1, 20, 30, dtype=torch.bool)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def laplacian(n, scale, seed=0):
    """Errors whose x and y are Laplacian with E|x| = scale."""
    generator = torch.Generator().manual_seed(seed)
    size = -torch.rand(n, 2, generator=generator).clamp(min=1e-9).log() * scale
    return size * (torch.randint(2, (n, 2), generator=generator) * 2 - 1)


def test_a_perfect_flow_has_no_error():
    flow = random(1, 2, 20, 30)
    errors = flow_errors(flow, flow, EVERYWHERE)
    assert errors.shape == (600, 2)
    assert end_point_error(errors) == 0
    assert share_within(errors, 1.0) == share_within(errors, 0.0) == 1
    assert correct_within(errors, 0.0).all()
    assert sparsification(errors, random(600)).area == 0


def test_a_constant_error_is_its_length_and_within_every_longer_radius():
    truth = random(1, 2, 20, 30)
    off = torch.tensor([3.0, -4.0])
    errors = flow_errors(truth + off.view(1, 2, 1, 1), truth, EVERYWHERE)
    torch.testing.assert_close(errors, off.expand(600, 2), atol=1e-5, rtol=0)
    errors = off.expand(600, 2)
    assert end_point_error(errors) == 5
    assert [share_within(errors, r) for r in (3.0, 4.9, 5.0, 6.0)] == [0, 0, 1, 1]


def test_a_probability_is_over_a_square_where_pck_is_over_a_disc():
    corner = torch.tensor([[0.9, -0.9]])
    assert share_within(corner, 1.0) == 0
    assert correct_within(corner, 1.0).item()
    assert not correct_within(torch.tensor([[0.1, -1.1]]), 1.0).item()


def test_only_valid_pixels_count():
    flow, truth = random(1, 2, 20, 30), torch.zeros(1, 2, 20, 30)
    valid = random(1, 1, 20, 30, seed=1) > 0
    flow[:, :1][~valid] = torch.inf
    errors = flow_errors(flow, truth, valid)
    assert len(errors) == valid.sum()
    rows = [flow[0, :, y, x] for y in range(20) for x in range(30) if valid[0, 0, y, x]]
    assert torch.equal(errors, torch.stack(rows))


def test_no_pixels_have_no_figures():
    nothing = torch.zeros(0, 2)
    assert math.isnan(end_point_error(nothing))
    assert math.isnan(share_within(nothing, 1.0))
    assert math.isnan(sparsification(nothing, nothing[:, 0]).area)
    assert math.isnan(reliability(nothing[:, 0], nothing[:, 0] > 0).error)


def test_the_best_order_has_no_area_and_the_worst_the_largest():
    errors = laplacian(5000, 1.0)
    length = errors.norm(dim=1)
    areas = [sparsification(errors, c).area for c in (-length, random(5000), length)]
    assert areas[0] == pytest.approx(0, abs=1e-12)
    assert 0.1 < areas[1] < areas[2]


def test_a_sparsification_curve_is_the_mean_error_of_what_is_kept():
    errors, confidence = laplacian(1000, 1.0), random(1000, seed=3)
    found = sparsification(errors, confidence, thresholds=50)
    length = errors.norm(dim=1)
    for k in range(50):
        kept = 1000 - 20 * k
        by_confidence = sorted(range(1000), key=lambda i: -confidence[i].item())[:kept]
        assert found.removed[k] == pytest.approx(k / 50)
        expected = length[by_confidence].mean() / length.mean()
        assert found.curve[k].item() == pytest.approx(expected.item(), rel=1e-5)
        expected = length.sort().values[:kept].mean() / length.mean()
        assert found.oracle[k].item() == pytest.approx(expected.item(), rel=1e-5)
    steps = [(found.curve - found.oracle)[k : k + 2].mean().item() / 50 for k in range(49)]
    assert found.area == pytest.approx(sum(steps))


def test_a_constant_confidence_has_a_flat_curve_wherever_the_errors_lie():
    errors = laplacian(1000, 1.0)
    one = sparsification(errors, torch.ones(1000))
    torch.testing.assert_close(one.curve, torch.ones_like(one.curve))
    ordered = errors[errors.norm(dim=1).argsort()]
    assert sparsification(ordered, torch.ones(1000)).area == pytest.approx(one.area)


@settings(max_examples=30, deadline=None, database=None)
@given(
    lengths=st.lists(st.floats(0, 100, width=32), min_size=1, max_size=40),
    levels=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_no_order_beats_the_oracle_and_pixels_may_come_in_any_order(lengths, levels, seed):
    errors = torch.tensor([[length, 0.0] for length in lengths])
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.randint(levels, (len(lengths),), generator=generator).float()
    found = sparsification(errors, confidence)
    assert found.area >= -1e-9
    assert (found.curve >= found.oracle - 1e-9).all()
    shuffled = torch.randperm(len(lengths), generator=generator)
    again = sparsification(errors[shuffled], confidence[shuffled])
    torch.testing.assert_close(again.curve, found.curve)


def test_too_few_thresholds_are_misuse():
    with pytest.raises(ValueError, match="at least 50, got 49"):
        sparsification(torch.zeros(3, 2), torch.zeros(3), thresholds=49)


def test_the_exact_probability_of_a_laplacian_error_is_calibrated():
    radius = 1.0
    scale = torch.rand(200_000, 1, generator=torch.Generator().manual_seed(1)) * 3 + 0.2
    errors = laplacian(200_000, scale)
    probability = (1 - (-radius / scale[:, 0]).exp()).square()  # one factor each for x and y
    found = reliability(probability, correct_within(errors, radius))
    assert found.error < 0.01
    assert found.count.sum() == 200_000
    assert reliability(probability.sqrt(), correct_within(errors, radius)).error > 0.1


def test_reliability_is_what_plain_counting_finds():
    probability = torch.tensor([0.0, 0.1, 0.2, 0.29, 0.3, 0.9, 1.0])
    correct = torch.tensor([False, True, False, True, True, True, False])
    found = reliability(probability, correct, bins=4)
    assert found.count.tolist() == [3, 2, 0, 2]
    assert found.correct.tolist() == [1, 2, 0, 1]
    expected = torch.tensor([0.1, 0.295, math.nan, 0.95], dtype=torch.float64)
    torch.testing.assert_close(found.probability, expected, equal_nan=True)
    expected = torch.tensor([1 / 3, 1, math.nan, 0.5], dtype=torch.float64)
    torch.testing.assert_close(found.frequency, expected, equal_nan=True)
    by_hand = (3 * abs(0.1 - 1 / 3) + 2 * (1 - 0.295) + 2 * (0.95 - 0.5)) / 7
    assert found.error == pytest.approx(by_hand)


def test_counts_of_parts_add_up_to_those_of_the_whole():
    probability, correct = random(100).sigmoid(), random(100, seed=1) > 0
    whole = reliability(probability, correct)
    parts = reliability(probability[:30], correct[:30]) + reliability(
        probability[30:], correct[30:]
    )
    assert torch.equal(parts.count, whole.count)
    assert torch.equal(parts.correct, whole.correct)
    assert parts.error == pytest.approx(whole.error)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_what_is_no_probability_is_misuse(wrong):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        reliability(torch.tensor([0.5, wrong]), torch.tensor([True, True]))
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability(torch.tensor([0.5]), torch.tensor([True]), bins=0)


@settings(max_examples=50, deadline=None, database=None)
@given(
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    levels=st.integers(1, 20),
    share=st.sampled_from([0.1, 0.5, 0.75, 1.0]),
)
def test_the_most_trusted_share_is_exact_and_holds_the_largest_confidences(h, w, levels, share):
    generator = torch.Generator().manual_seed(h * w + levels)
    confidence = torch.randint(levels, (1, 1, h, w), generator=generator) / levels
    weight = most_trusted(confidence, share)
    assert weight.sum().item() == pytest.approx(share * h * w, rel=1e-5)
    assert weight.min() >= 0
    assert weight.max() <= 1 + 1e-6
    least_chosen = confidence[weight > 0].min()
    assert (weight[confidence > least_chosen] == 1).all()
    for level in confidence.unique():
        assert len(weight[confidence == level].unique()) == 1


def test_distinct_confidences_choose_the_upper_half():
    confidence = random(1, 1, 20, 30)
    assert torch.equal(most_trusted(confidence), (confidence > confidence.median()).float())


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1])
def test_a_share_out_of_range_is_misuse(wrong):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        most_trusted(torch.zeros(1, 1, 2, 2), wrong)
