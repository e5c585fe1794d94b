import pytest
from torch import nn

from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling import fit
from bluref.restore.tiling.fit import fitted
from bluref.restore.tiling.plan import Task, TooLittleMemory

MIB = 2**20


class Holding(Deblurrer):
    """Keeps plans of so many bytes, until it is told to forget."""

    held = 0

    def forget(self):
        self.held = 0


@pytest.fixture
def holding(monkeypatch):
    holding = Holding(nn.Identity(), training_size=None)
    monkeypatch.setattr(fit, "resident", lambda: 100 * MIB + holding.held)
    return holding


def task(height=600, width=800):
    return Task(
        height=height, width=width, planes=1, layers=3, multiple=4, margin=16,
        cost=lambda pixels: 1000 * pixels,
    )  # fmt: skip


def test_plans_of_earlier_sizes_make_way_where_tiles_would_not_fit(holding):
    fresh = fitted(holding, task(), 200 * MIB)
    holding.held = 99 * MIB
    assert fitted(holding, task(601), 200 * MIB).need >= 0.9 * fresh.need
    assert holding.held == 0


def test_plans_are_kept_where_the_picture_fits_beside_them(holding):
    holding.held = 300 * MIB
    assert fitted(holding, task(), 2000 * MIB).count == 1
    assert holding.held == 300 * MIB


def test_a_picture_of_the_same_size_gets_the_tiles_that_are_planned_for(holding):
    first = fitted(holding, task(), 200 * MIB)
    assert first.count > 1
    holding.held = 60 * MIB
    assert fitted(holding, task(), 200 * MIB) == first
    assert holding.held == 60 * MIB


def test_but_not_where_they_fit_no_more_or_much_larger_ones_would(holding):
    first = fitted(holding, task(), 200 * MIB)
    for budget in (150 * MIB, 400 * MIB):
        holding.held = 60 * MIB
        again = fitted(holding, task(), budget)
        assert again.need <= budget - 100 * MIB
        assert again.need != pytest.approx(first.need, rel=0.1)
        assert holding.held == 0


def test_too_little_memory_is_told_once_nothing_is_held(holding):
    holding.held = 60 * MIB
    with pytest.raises(TooLittleMemory):
        fitted(holding, task(), 101 * MIB)
    assert holding.held == 0
