import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.blur import blur
from bluref.degrade.warp import warp
from bluref.match.named import matcher_named
from bluref.match.pictures import as_exposed, likeness, polished_flow, sharp_share
from bluref.match.polish import CERTAIN, PolishedMatcher
from bluref.match.protocol import Match, MatchesMany, Probabilistic

SIZE = (128, 160)


class Told:
    """Answers with the flow and the sureness that it was told."""

    radius, most, identity = 1.0, 0.9, "told"

    def __init__(self, flow, confidence=0.8):
        self.flow, self.confidence = flow, confidence

    def encode(self, image):
        return image.shape

    def match(self, target, reference):
        visible = torch.ones(len(self.flow), 1, *SIZE) > 0
        visible[..., :3] = False
        return Match(self.flow, self.confidence * visible, visible)


def grey(image):
    array = (image[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return cv2.cvtColor(array, cv2.COLOR_RGB2GRAY)


def shifted(texture, x, y, seed=0):
    """A picture, and the same seen from a place `x`, `y` pixels away."""
    wide = ((texture(seed, SIZE[0] + 32, SIZE[1] + 32) - 0.5) * 4 + 0.5).clamp(0, 1)
    target = wide[..., 16 + y : 16 + y + SIZE[0], 16 + x : 16 + x + SIZE[1]]
    return target.contiguous(), wide[..., 16 : 16 + SIZE[0], 16 : 16 + SIZE[1]].contiguous()


def constant(x, y):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous()


def unsteady(x, y, by, cells=12):
    """A flow that is off by something else every few pixels, as networks are."""
    generator = torch.Generator().manual_seed(5)
    off = torch.randn(1, 2, cells, cells, generator=generator)
    return constant(x, y) + by * F.interpolate(off, SIZE, mode="bicubic")


def field(flow):
    return flow[0].permute(1, 2, 0).contiguous().numpy()


def matched(matcher, target, reference):
    return matcher.match(matcher.encode(target), matcher.encode(reference))


EVERYWHERE = np.ones(SIZE, np.float32)


def error(found):
    return np.abs(found - np.float32([3, -2]))[16:-16, 16:-16].mean()


@pytest.mark.parametrize("by", [0.3, 0.8])
def test_a_flow_that_is_a_little_off_is_put_right(texture, by):
    target, reference = shifted(texture, 3, -2)
    begun = field(unsteady(3, -2, by))
    assert error(polished_flow(grey(target), grey(reference), begun)) < error(begun) / 2


def test_through_blur_it_still_gets_nearer(texture):
    target, reference = shifted(texture, 3, -2)
    blurry = blur(target, torch.full((1, 7, 7), 1 / 49))
    begun = field(unsteady(3, -2, 0.8))
    assert error(polished_flow(grey(blurry), grey(reference), begun)) < error(begun) * 0.7


def smeared(image, side):
    return blur(image, torch.full((1, side, side), 1 / side**2))


def test_a_polish_is_taken_from_what_is_sharp_and_not_from_what_is_smeared(texture):
    target, reference = shifted(texture, 3, -2)
    inner = (slice(24, -24), slice(24, -24))
    shares = [
        sharp_share(grey(seen), grey(reference), field(constant(3, -2)))[inner]
        for seen in (target, smeared(target, 3), smeared(target, 15))
    ]
    assert shares[0].min() == 1
    assert shares[1].mean() > 0.5
    assert shares[2].mean() < 0.1


def test_a_flat_picture_is_not_taken_for_a_blurred_one(texture):
    target, _ = shifted(texture, 0, 0)
    flat = 0.5 + 0.002 * target
    assert sharp_share(grey(flat), grey(flat), field(constant(0, 0))).min() == 1


def test_half_of_a_picture_is_smeared_and_the_flow_moves_in_the_other(texture):
    target, reference = shifted(texture, 3, -2)
    half = torch.cat((smeared(target, 15)[..., :80], target[..., 80:]), dim=-1)
    begun = unsteady(3, -2, 0.8)
    match = matched(PolishedMatcher(Told(begun)), half, reference)
    change = (match.flow - begun).norm(dim=1)[0]
    assert change[20:-20, 20:50].mean() < change[20:-20, -50:-20].mean() / 5


def test_what_is_right_is_left_alone_and_what_is_given_is_not_written_to(texture):
    target, _ = shifted(texture, 0, 0)
    begun = field(constant(0, 0))
    kept = begun.copy()
    found = polished_flow(grey(target), grey(target), begun)
    assert np.abs(found).max() < 0.02
    np.testing.assert_array_equal(begun, kept)


@pytest.mark.parametrize("size", [(5, 200), (40, 48), (33, 129)])
def test_any_size_will_do(texture, size):
    picture = grey(texture(1, 64, 256)[..., : size[0], : size[1]])
    found = polished_flow(picture, picture, np.zeros((*size, 2), np.float32))
    assert found.shape == (*size, 2)
    assert likeness(picture, picture, found).shape == size


def test_pictures_beyond_full_hd_are_polished_at_its_size(texture, monkeypatch):
    import bluref.match.polish as room
    from bluref.match import pictures

    target, reference = shifted(texture, 3, -2)
    begun = unsteady(3, -2, 0.8)
    seen = []
    monkeypatch.setattr(room, "MOST_PIXELS", SIZE[0] * SIZE[1] // 4)
    resize = cv2.resize
    monkeypatch.setattr(
        pictures.cv2, "resize", lambda p, size, **how: seen.append(size) or resize(p, size, **how)
    )
    match = matched(PolishedMatcher(Told(begun)), target, reference)
    assert min(seen) == (SIZE[1] // 8, SIZE[0] // 8)
    assert error(field(match.flow)) < error(field(begun))
    assert match.confidence.shape == (1, 1, *SIZE)
    assert match.confidence[..., 20:-20, 20:-20].median() > 0.5


def test_the_same_is_alike_and_something_else_is_not(texture):
    one, _ = shifted(texture, 0, 0)
    other, _ = shifted(texture, 0, 0, seed=7)
    still = field(constant(0, 0))
    assert likeness(grey(one), grey(one), still).min() > 0.999
    assert np.median(likeness(grey(one), grey(other), still)) < 0.3


def test_likeness_looks_where_the_flow_leads(texture):
    target, reference = shifted(texture, 5, 4)
    inner = (slice(16, -16), slice(16, -16))
    right, wrong = (
        likeness(grey(target), grey(reference), field(constant(*flow)))[inner]
        for flow in ((5, 4), (-5, 4))
    )
    assert right.min() > 0.95
    assert np.median(wrong) < 0.5


def test_a_half_alike_difference_is_half_alike():
    dark = np.full(SIZE, 100, np.uint8)
    alike = likeness(dark, dark + np.uint8(8), np.zeros((*SIZE, 2), np.float32))
    np.testing.assert_allclose(alike, 1 / (1 + (8 / 255 / 0.03) ** 2), rtol=1e-4)


@pytest.mark.parametrize("exposure", [0.8, 1.25])
def test_another_exposure_is_undone(texture, exposure):
    target, reference = shifted(texture, 5, 4)
    target, reference = grey(0.75 * exposure * target), grey(0.75 * reference)
    found = as_exposed(target, reference, field(constant(5, 4)), EVERYWHERE)
    assert found.mean() == pytest.approx(exposure * reference.mean(), rel=0.05)


def test_exposure_is_told_by_what_is_sure_alone(texture):
    one, _ = shifted(texture, 0, 0)
    brighter = (0.7 * one, 0.9 * one)
    target = grey(torch.cat((brighter[1][..., :80], brighter[0][..., 80:]), dim=-1))
    right = EVERYWHERE.copy()
    right[:, :80] = 0
    still = field(constant(0, 0))
    found = as_exposed(target, grey(brighter[0]), still, right)
    assert np.abs(found.astype(int) - grey(brighter[0])).max() <= 1
    nothing = as_exposed(target, grey(brighter[0]), still, 0 * right)
    np.testing.assert_array_equal(nothing, grey(brighter[0]))


@pytest.mark.parametrize("exposure", [0.8, 1.2])
def test_a_change_of_exposure_costs_neither_flow_nor_confidence(texture, exposure):
    target, reference = (0.8 * picture for picture in shifted(texture, 3, -2))
    matcher = PolishedMatcher(Told(unsteady(3, -2, 0.3)))
    plain, other = (matched(matcher, seen, reference) for seen in (target, exposure * target))
    inner = (..., slice(20, -20), slice(20, -20))
    errors = [error(field(found.flow)) for found in (plain, other)]
    assert errors[1] < 1.3 * errors[0]
    kept = other.confidence[inner].mean() / plain.confidence[inner].mean()
    assert kept == pytest.approx(1, abs=0.03)


def test_a_match_that_looks_right_keeps_its_odds(texture):
    target, reference = shifted(texture, 3, -2)
    inner = Told(constant(3, -2))
    plain = matched(PolishedMatcher(inner), target, reference)
    inner_p = 0.8 * inner.most
    assert plain.confidence[..., 20:-20, 20:-20].median() == pytest.approx(inner_p, abs=0.005)
    surer = matched(PolishedMatcher(inner, (0.5, 2.0)), target, reference)
    odds = np.exp(0.5) * (inner_p / (1 - inner_p)) ** 2
    expected = odds / (1 + odds)
    assert surer.confidence[..., 20:-20, 20:-20].median() == pytest.approx(expected, abs=0.005)


def test_looks_count_the_more_the_less_sure_the_matcher_is(texture):
    target, _ = shifted(texture, 0, 0)
    other = 1 - target
    kept = []
    for sure in (0.999999, 0.5):
        inner = Told(constant(0, 0), sure / Told.most)
        found = matched(PolishedMatcher(inner), target, other).confidence[..., 20:-20, 20:-20]
        kept.append((found / sure).median().item())
    assert kept[0] == pytest.approx(CERTAIN, abs=0.1)
    assert kept[1] < kept[0] - 0.2


def test_where_nothing_can_be_seen_nothing_is_believed(texture):
    target, reference = shifted(texture, 0, 0)
    found = matched(PolishedMatcher(Told(constant(30, 0))), target, reference)
    assert not found.inside[..., -25:].any()
    assert found.confidence[..., -25:].max() == 0
    assert found.confidence[..., :3].max() == 0  # where the inner one believes nothing
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1


@pytest.mark.slow
def test_many_are_what_each_of_them_is(texture):
    matcher = matcher_named("compact")
    assert isinstance(matcher, PolishedMatcher)
    assert isinstance(matcher, MatchesMany)
    target, first = shifted(texture, 3, -2)
    second, _ = shifted(texture, -4, 1)
    seen = matcher.encode(target)
    references = [matcher.encode(picture) for picture in (first, second)]
    for one, many in zip(references, matcher.match_many(seen, references), strict=True):
        alone = matcher.match(seen, one)
        torch.testing.assert_close(many.flow, alone.flow, atol=0.05, rtol=0)
        torch.testing.assert_close(many.confidence, alone.confidence, atol=0.05, rtol=0)


def test_a_matcher_that_cannot_do_many_is_asked_one_by_one(texture):
    target, reference = shifted(texture, 3, -2)
    matcher = PolishedMatcher(Told(constant(3, -2)))
    seen, shown = matcher.encode(target), matcher.encode(reference)
    many = matcher.match_many(seen, [shown, shown])
    assert len(many) == 2
    assert torch.equal(many[1].flow, matcher.match(seen, shown).flow)


def test_batches_are_polished_item_by_item(texture):
    pairs = [shifted(texture, 3, -2, seed) for seed in range(2)]
    target, reference = (torch.cat(pictures) for pictures in zip(*pairs, strict=True))
    begun = unsteady(3, -2, 0.5)
    both = matched(PolishedMatcher(Told(begun.repeat(2, 1, 1, 1))), target, reference)
    for n, (one, other) in enumerate(pairs):
        alone = matched(PolishedMatcher(Told(begun)), one, other)
        assert torch.equal(both.flow[n : n + 1], alone.flow)
        assert torch.equal(both.confidence[n : n + 1], alone.confidence)


def test_it_stays_a_probability_of_the_same_radius():
    matcher = PolishedMatcher(Told(constant(0, 0)))
    assert isinstance(matcher, Probabilistic)
    assert (matcher.radius, matcher.most) == (1.0, 1.0)


def test_odds_that_turn_the_order_around_are_refused():
    with pytest.raises(ValueError, match="above 0"):
        PolishedMatcher(Told(constant(0, 0)), (0.0, 0.0))


def test_settings_key_what_is_cached():
    inner = Told(constant(0, 0))
    names = {PolishedMatcher(inner, odds).identity for odds in ((0.0, 1.0), (0.5, 1.0), (0.0, 2.0))}
    assert len(names | {inner.identity}) == 4


def test_warps_get_nearer_to_the_truth_with_the_network_that_ships(texture):
    target, reference = shifted(texture, 6, 3)
    errors = []
    for name in ("compact-plain", "compact"):
        found = matched(matcher_named(name), target, reference)
        warped = warp(reference, found.flow)
        errors.append((warped - target).square()[..., 16:-16, 16:-16].mean().item())
    assert errors[1] < errors[0]
