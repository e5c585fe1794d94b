import pytest
import torch

from bluref.match.farneback import FarnebackMatcher
from bluref.match.named import matcher_named


def test_it_finds_a_shift(texture):
    matcher = FarnebackMatcher()
    wide = texture(0, height=96, width=140)
    target, reference = (matcher.encode(wide[..., x : x + 128]) for x in (5, 0))
    flow = matcher.match(target, reference).flow[..., 16:-16, 16:-16]
    assert flow[:, 0].median() == pytest.approx(5, abs=0.2)
    assert flow[:, 1].median() == pytest.approx(0, abs=0.2)


def test_by_name_it_comes_with_a_check(texture):
    matcher = matcher_named("farneback")
    one, other = (matcher.encode(texture(seed)) for seed in (0, 1))
    assert matcher.match(one, one).confidence[..., 8:-8, 8:-8].median() > 0.9
    assert matcher.match(one, other).confidence.median() < 0.7


def test_sizes_must_agree():
    matcher = FarnebackMatcher()
    a, b = (matcher.encode(torch.rand(1, 3, side, 40)) for side in (40, 48))
    with pytest.raises(ValueError, match="must agree"):
        matcher.match(a, b)
