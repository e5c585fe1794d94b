import pytest
import torch

from bluref.errors import UserError
from bluref.match.checked import CheckedMatcher
from bluref.match.dis import DISMatcher
from bluref.match.homography import HomographyMatcher
from bluref.match.named import matcher_named
from bluref.match.protocol import Match, Matcher, Probabilistic
from bluref.match.zero import ZeroMatcher


class Shifting:
    """Sees its features, a number, as the place of a picture; as sure as it is told to be."""

    radius, most, identity = 1.0, 0.5, "shifting"

    def __init__(self, confidence=1.0, drift=0.0):
        self.confidence, self.drift = confidence, drift

    def encode(self, image):
        return image.mean().item()

    def match(self, target, reference):
        flow = torch.full((1, 2, 6, 8), reference - target + self.drift / 2)
        visible = torch.ones(1, 1, 6, 8) > 0
        visible[..., 0] = False
        return Match(flow, self.confidence * visible, visible)


def matched(matcher, target, reference):
    return matcher.match(matcher.encode(target), matcher.encode(reference))


def test_confidence_falls_to_the_papers_threshold_at_the_tolerance():
    # Each way drifts by half of `drift` along both axes.
    for tolerance, drift, kept in ((1, 0.5**0.5, 0.7), (2, 2**0.5, 0.7), (1, 2**0.5, 0.7**4)):
        matcher = CheckedMatcher(Shifting(0.8, drift), float(tolerance))
        found = matcher.match(2.0, 5.0)
        torch.testing.assert_close(found.confidence, 0.8 * kept * found.inside)
        assert torch.equal(found.flow, Shifting(0.8, drift).match(2.0, 5.0).flow)


def test_a_round_trip_that_returns_costs_nothing():
    plain, checked = (m.match(1.0, 3.0) for m in (Shifting(), CheckedMatcher(Shifting())))
    for name in ("flow", "confidence", "inside"):
        torch.testing.assert_close(getattr(plain, name), getattr(checked, name))


def test_what_the_reference_does_not_show_is_not_believed(texture):
    target = texture(0)
    reference = target.roll(2, dims=-1)
    hidden = (slice(None), slice(None), slice(30, 70), slice(40, 90))
    reference[hidden] = texture(5)[hidden]
    inner = DISMatcher(tolerance=1e6)  # believes everything
    checked, plain = (matched(m, target, reference) for m in (CheckedMatcher(inner), inner))
    assert plain.confidence[..., 36:64, 46:84].mean() > 0.99
    assert checked.confidence[..., 36:64, 46:84].mean() < 0.6
    assert checked.confidence[..., 16:24, 16:-16].mean() > 0.9


def test_a_batch_is_matched_pair_by_pair(texture):
    targets = torch.cat([texture(0), texture(1)])
    references = torch.cat([texture(0).roll(2, dims=-1), texture(2)])
    both = matched(CheckedMatcher(DISMatcher()), targets, references)
    for n in range(2):
        pair = (targets[n : n + 1], references[n : n + 1])
        one = matched(CheckedMatcher(DISMatcher()), *pair)
        assert torch.equal(both.flow[n : n + 1], one.flow)
        assert torch.equal(both.confidence[n : n + 1], one.confidence)


def test_it_is_the_check_that_dis_has(texture):
    # With a tolerance without end DIS checks nothing, so that the check around it is the same.
    target, reference = texture(0, 70, 90), texture(0, 70, 90).roll(3, dims=-1)
    outer = matched(CheckedMatcher(DISMatcher(tolerance=1e9)), target, reference)
    own = matched(DISMatcher(), target, reference)
    torch.testing.assert_close(outer.confidence, own.confidence)


def test_a_reference_of_another_size_is_checked_too():
    found = matched(CheckedMatcher(ZeroMatcher()), torch.rand(2, 3, 9, 12), torch.rand(2, 3, 7, 15))
    assert torch.equal(found.confidence > 0, found.inside)
    assert found.confidence[..., :7, :].min() == 1


def test_the_product_is_no_probability():
    assert isinstance(Shifting(), Probabilistic)
    assert isinstance(CheckedMatcher(Shifting()), Matcher)
    assert not isinstance(CheckedMatcher(Shifting()), Probabilistic)


def test_the_identity_holds_the_inner_one_and_the_tolerance():
    matchers = [CheckedMatcher(DISMatcher(), t) for t in (1.0, 2.0)]
    matchers += [DISMatcher(), CheckedMatcher(DISMatcher("fast"))]
    assert len({matcher.identity for matcher in matchers}) == 4


def test_modes_are_named_after_a_plus_the_last_outermost():
    dis = DISMatcher()
    named = {
        "dis+check": CheckedMatcher(dis),
        "dis+homography": HomographyMatcher(dis),
        "dis+homography+check": CheckedMatcher(HomographyMatcher(dis)),
        "dis+check+homography": HomographyMatcher(CheckedMatcher(dis)),
        "zero+check": CheckedMatcher(ZeroMatcher()),
    }
    assert all(matcher_named(name) == matcher for name, matcher in named.items())


@pytest.mark.parametrize("name", ["dis+chek", "dis+", "dis+chek+check", "nowhere/of+dis"])
def test_an_unknown_mode_is_told_with_those_there_are(name):
    with pytest.raises(UserError, match=r"unknown mode '.*' of the matcher.*\n.*\+check, \+homogr"):
        matcher_named(name)


@pytest.mark.parametrize("tolerance", [0.0, -1.0])
def test_a_tolerance_of_nothing_is_misuse(tolerance):
    with pytest.raises(ValueError, match=f"tolerance must be above 0, got {tolerance}"):
        CheckedMatcher(DISMatcher(), tolerance)
