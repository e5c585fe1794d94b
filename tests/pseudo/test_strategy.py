from types import SimpleNamespace

import pytest
import torch

from bluref.errors import UserError
from bluref.match.dis import DISMatcher
from bluref.match.protocol import Match
from bluref.pseudo.strategy import (
    STRATEGIES,
    match_independent,
    match_sequential,
    strategy_named,
)
from bluref.train.recipe import CHOICES

SIZE = (6, 8)


class Halves:
    """Believes the left half of the first reference and the right half of all others."""

    identity = "halves"

    def __init__(self):
        self.seen = []

    def encode(self, image):
        return image

    def match(self, target, reference):
        self.seen.append(target)
        confidence = torch.zeros(1, 1, *SIZE)
        confidence[..., slice(4) if len(self.seen) == 1 else slice(4, None)] = 0.9
        return Match(torch.zeros(1, 2, *SIZE), confidence, torch.ones_like(confidence) > 0)


def reference(level):
    image = torch.full((1, 3, *SIZE), level)
    return SimpleNamespace(image=image, features=image)


TARGET = torch.full((1, 3, *SIZE), 0.5)
REFERENCES = [reference(0.1), reference(0.2), reference(0.3)]


def test_independent_matching_always_shows_the_target():
    matcher = Halves()
    assert len(match_independent(matcher, TARGET, REFERENCES, 0.7)) == 3
    assert all(torch.equal(seen, TARGET) for seen in matcher.seen)


def test_sequential_matching_shows_the_running_composite():
    matcher = Halves()
    assert len(match_sequential(matcher, TARGET, REFERENCES, 0.7)) == 3
    levels = [(s[0, 0, 0, 0].item(), s[0, 0, 0, -1].item()) for s in matcher.seen]
    assert levels == [
        pytest.approx((0.5, 0.5)),
        pytest.approx((0.1, 0.5)),
        pytest.approx((0.1, 0.2)),
    ]


def test_what_is_not_confident_enough_does_not_enter_the_composite():
    matcher = Halves()
    match_sequential(matcher, TARGET, REFERENCES, 0.95)
    assert all(torch.equal(seen, TARGET) for seen in matcher.seen)


def test_strategies_are_found_by_name():
    for name, strategy in STRATEGIES.items():
        assert strategy_named(name) is strategy
        assert strategy.name == name
        assert 0 <= strategy.threshold <= 1
    with pytest.raises(UserError, match="unknown strategy 'best'"):
        strategy_named("best")


def test_recipes_offer_the_strategies_there_are():
    assert set(CHOICES["strategy"]) == set(STRATEGIES)


def test_a_probability_is_held_to_the_papers_threshold():
    class Sure(DISMatcher):
        radius, most = 1.0, 1.0

    assert STRATEGIES["robust"].threshold_for(DISMatcher()) == 0.3
    assert STRATEGIES["robust"].threshold_for(Sure()) == 0.7
