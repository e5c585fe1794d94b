"""PDC-Net behind the matcher protocol."""

import pytest
import torch

from bluref.match.pdcnet import matcher as matcher_module
from bluref.match.pdcnet.config import COMPACT
from bluref.match.pdcnet.matcher import MOST_PIXELS, PDCMatcher, working_size
from bluref.match.pdcnet.network import PDCNet
from bluref.match.protocol import Matcher, MatchesMany, Probabilistic


@pytest.fixture(scope="module")
def matcher():
    torch.manual_seed(0)
    return PDCMatcher(PDCNet(COMPACT).eval(), "untrained")


def pictures(count, h=131, w=150):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(1, 3, h, w, generator=generator) for _ in range(count)]


def test_it_is_a_matcher_of_many_with_probabilities(matcher):
    assert isinstance(matcher, Matcher)
    assert isinstance(matcher, MatchesMany)
    assert isinstance(matcher, Probabilistic)


@pytest.mark.slow
def test_many_references_at_a_time_match_as_one_by_one(matcher, monkeypatch):
    target, *references = (matcher.encode(x) for x in pictures(4))
    alone = [matcher.match(target, reference) for reference in references]
    for most in (MOST_PIXELS, 2 * 128 * 144):  # all three at once; two, then one
        monkeypatch.setattr(matcher_module, "MOST_PIXELS", most)
        for one, other in zip(alone, matcher.match_many(target, references), strict=True):
            torch.testing.assert_close(one.flow, other.flow, rtol=1e-4, atol=1e-3)
            torch.testing.assert_close(one.confidence, other.confidence, rtol=1e-3, atol=1e-4)


def test_confidence_lies_in_the_unit_interval_and_is_zero_outside(matcher):
    a, b = (matcher.encode(x) for x in pictures(2))
    match = matcher.match(a, b)
    assert match.flow.shape == (1, 2, 131, 150)
    assert 0 <= match.confidence.min() <= match.confidence.max() <= 1
    assert (match.confidence[~match.inside] == 0).all()


@pytest.mark.parametrize(
    ("size", "taken"),
    [
        ((480, 854), (480, 848)),
        ((64, 1000), (128, 1000)),
        ((2160, 3840), (1080, 1920)),
        ((1080, 1920), (1080, 1920)),
    ],
)
def test_sides_become_multiples_of_eight_and_memory_is_bounded(size, taken):
    assert working_size(size, least=128) == taken


def test_the_radius_is_part_of_the_identity_and_of_the_scale(matcher):
    wide = PDCMatcher(matcher.network, "untrained", radius=3.0)
    assert wide.identity != matcher.identity
    assert wide.most > matcher.most
    with pytest.raises(ValueError, match="radius must be above 0"):
        PDCMatcher(matcher.network, "untrained", radius=0.0)


def test_sizes_that_differ_are_refused(matcher):
    a, b = (matcher.encode(torch.rand(1, 3, h, 140)) for h in (130, 140))
    with pytest.raises(ValueError, match="sizes must be equal"):
        matcher.match(a, b)
