"""The learning rate and the curriculum: functions of the step alone."""

import itertools

import pytest

from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.pseudo.bank import Bank
from bluref.pseudo.strategy import STRATEGIES
from bluref.train.batches import Drawing, PseudoBatches, SyntheticBatches
from bluref.train.loop import learning_rate
from bluref.train.recipe import Recipe
from bluref.train.source import Curriculum


def test_the_rate_rises_then_falls_to_its_end():
    recipe = Recipe(steps=1000, ramp=100, learning_rate=2e-4, final_rate=1e-6)
    rates = [learning_rate(recipe, step) for step in range(1001)]
    assert rates[0] == pytest.approx(2e-6)
    assert max(rates) == pytest.approx(2e-4)
    assert rates.index(max(rates)) in (99, 100)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))
    assert rates[550] == pytest.approx((2e-4 + 1e-6) / 2)
    assert rates[1000] == pytest.approx(1e-6)


def test_rounds_begin_after_the_warm_start(tmp_path):
    store, drawing = FrameStore(tmp_path), Drawing(seed=0, batch=1, crop=32)
    strategy = STRATEGIES["robust"]
    bank = Bank(tmp_path, matcher=DISMatcher(), strategy=strategy, threshold=0.3, store=store)
    source = Curriculum(
        SyntheticBatches((), store, drawing),
        PseudoBatches((), store, drawing, bank, round=0),
        None,
        warm_start=10,
        refresh_every=4,
        training_size=32,
    )
    rounds = [source.round_at(step) for step in range(8, 20)]
    assert rounds == [None, None, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert [source.phase(step) for step in (9, 10)] == ["warm", "pseudo"]
