import torch

from bluref.match.named import matcher_named
from bluref.match.protocol import Matcher, Probabilistic
from bluref.match.zero import ZeroMatcher


def test_nothing_moves_and_everything_is_believed():
    images = torch.rand(2, 3, 7, 9)
    matcher = ZeroMatcher()
    match = matcher.match(matcher.encode(images), matcher.encode(images.flip(-1)))
    assert match.flow.shape == (2, 2, 7, 9)
    assert match.flow.abs().max() == 0
    assert (match.confidence == 1).all()
    assert match.inside.all()
    torch.testing.assert_close(match.warp(images), images)


def test_it_is_a_matcher_known_by_its_name():
    matcher = matcher_named("zero")
    assert matcher == ZeroMatcher()
    assert isinstance(matcher, Matcher)
    assert not isinstance(matcher, Probabilistic)


def test_what_a_smaller_reference_lacks_is_not_believed():
    match = ZeroMatcher().match(torch.zeros(1, 3, 7, 9), torch.zeros(1, 3, 5, 20))
    assert match.flow.shape == (1, 2, 7, 9)
    assert torch.equal(match.confidence > 0, match.inside)
    assert match.inside[..., :5, :].all()
    assert not match.inside[..., 5:, :].any()
