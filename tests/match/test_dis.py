from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from bluref.errors import UserError
from bluref.match.dis import MIN_SIDE, DISMatcher, dis_flow
from bluref.match.protocol import Matcher

EDGE = 16


def matched(matcher, target, reference):
    return matcher.match(matcher.encode(target), matcher.encode(reference))


def middle(x):
    return x[..., EDGE:-EDGE, EDGE:-EDGE]


def moved(image, x, y):
    """Everything lies x pixels further right and y further down."""
    return image.roll((y, x), dims=(-2, -1))


@pytest.mark.parametrize("preset", ["fast", "medium"])
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, -2), (-5, 4)])
def test_a_shift_is_found(texture, preset, shift):
    target = texture(0)
    match = matched(DISMatcher(preset), target, moved(target, *shift))
    error = match.flow - torch.tensor(shift).view(1, 2, 1, 1)
    assert middle(error).abs().mean() < 0.1
    assert middle(match.confidence).mean() > 0.95


def test_warping_the_reference_gives_the_target_back(texture):
    target = texture(0)
    reference = moved(target, 4, -3)
    match = matched(DISMatcher(), target, reference)
    error = (match.warp(reference) - target).abs()
    assert middle(error).mean() < 0.1 * middle(reference - target).abs().mean()
    assert match.warp(reference).min() >= 0
    assert match.warp(reference).max() <= 1


def test_a_zoom_is_followed_there_and_back(texture):
    wide = texture(0, 120, 160)
    target, reference = wide[..., 12:108, 16:144], F.interpolate(wide, (96, 128), mode="area")
    match = matched(DISMatcher(), target, reference)
    assert middle(match.flow).abs().max() > 8  # so that coming back starts elsewhere
    assert middle(match.confidence).mean() > 0.9


def test_confidence_is_a_share_and_nothing_is_trusted_outside(texture):
    target = texture(0)
    match = matched(DISMatcher(), target, moved(target, 12, 0))
    assert match.confidence.min() >= 0
    assert match.confidence.max() <= 1
    inside = match.inside.float()
    assert inside[..., -8:].mean() < 0.1  # what has left the picture on the right
    assert middle(inside)[..., :-8].mean() > 0.95
    assert match.confidence[~match.inside].abs().max() == 0


def test_a_round_trip_error_of_the_tolerance_has_the_papers_threshold(texture):
    target = texture(0)
    reference = texture(1) * 0.3 + moved(target, 2, 1) * 0.7
    one, two = (matched(DISMatcher(tolerance=t), target, reference) for t in (1.0, 2.0))
    # confidence = 0.7 ** (e / tolerance) ** 2: doubling the tolerance takes the fourth root.
    torch.testing.assert_close(two.confidence, one.confidence.pow(0.25) * one.inside)
    assert torch.equal(one.flow, two.flow)


def test_what_the_reference_does_not_show_is_not_believed(texture):
    target = texture(0)
    reference = moved(target, 2, 0)
    hidden = (slice(None), slice(None), slice(30, 70), slice(40, 90))
    reference[hidden] = texture(5)[hidden]
    confidence = matched(DISMatcher(), target, reference).confidence
    assert confidence[..., 36:64, 46:84].mean() < 0.6
    assert middle(confidence)[..., :8, :].mean() > 0.9


def test_unrelated_pictures_do_not_match(texture):
    match = matched(DISMatcher(), texture(0), texture(1))
    assert (match.confidence >= 0.7).float().mean() < 0.3


def test_a_batch_is_matched_pair_by_pair(texture):
    targets = torch.cat([texture(0), texture(1)])
    references = torch.cat([moved(texture(0), 2, 0), moved(texture(1), 0, 3)])
    both = matched(DISMatcher(), targets, references)
    for n in range(2):
        one = matched(DISMatcher(), targets[n : n + 1], references[n : n + 1])
        for name in ("flow", "confidence", "inside"):
            assert torch.equal(getattr(both, name)[n : n + 1], getattr(one, name))
    assert torch.equal(dis_flow(targets, references), both.flow)


def test_the_answer_does_not_depend_on_threads_or_on_what_was_matched_before(texture):
    # Pictures so small that DIS lowers its finest scale come in between.
    sizes = [(96, 128), (32, 32), (48, 40), (200, 160)]
    pairs = [(texture(n, *size), moved(texture(n, *size), 2, 1)) for n, size in enumerate(sizes)]
    alone = [matched(DISMatcher(), *pair).flow for pair in pairs]
    again = [matched(DISMatcher(), *pair).flow for pair in reversed(pairs)][::-1]
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(lambda pair: matched(DISMatcher(), *pair).flow, pairs * 6))
    for n, flow in enumerate(alone):
        assert torch.equal(flow, again[n])
        assert all(torch.equal(flow, other) for other in threads[n :: len(pairs)])


@pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (MIN_SIDE, 301), (77, MIN_SIDE), (33, 65)])
@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_every_size_from_the_smallest_on_can_be_matched(texture, size, preset):
    target = texture(0, *size)
    match = matched(DISMatcher(preset), target, target)
    assert match.flow.shape == (1, 2, *size)
    assert match.flow.abs().mean() < 0.1


def test_flat_pictures_have_a_finite_match():
    match = matched(DISMatcher(), torch.zeros(1, 3, 40, 40), torch.zeros(1, 3, 40, 40))
    assert match.flow.isfinite().all()
    assert match.confidence.isfinite().all()


def test_pictures_of_different_sizes_are_misuse(texture):
    with pytest.raises(ValueError, match=r"agree in number and size.*96, 128.*96, 120"):
        matched(DISMatcher(), texture(0), texture(0, 96, 120))
    with pytest.raises(ValueError, match="agree in number and size"):
        matched(DISMatcher(), texture(0), texture(0).expand(2, -1, -1, -1))


@pytest.mark.parametrize("size", [(MIN_SIDE - 1, 100), (100, MIN_SIDE - 1), (1, 1)])
def test_tiny_pictures_are_told(size):
    with pytest.raises(UserError, match=f"{size[1]}x{size[0]} is too small to match"):
        DISMatcher().encode(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("wrong", [{"preset": "ultra"}, {"tolerance": 0.0}, {"tolerance": -1.0}])
def test_settings_out_of_range_are_misuse(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        DISMatcher(**wrong)


def test_every_setting_is_part_of_the_identity():
    matchers = [DISMatcher(), DISMatcher("fast"), DISMatcher(tolerance=2.0)]
    assert len({matcher.identity for matcher in matchers}) == 3
    assert all(isinstance(matcher, Matcher) for matcher in matchers)
