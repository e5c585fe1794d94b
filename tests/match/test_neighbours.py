"""What is not believed takes the flow of believed neighbours of the same colour."""

import numpy as np
import pytest

from bluref.match.neighbours import CELL, advised, in_cells, ties

SIZE = (96, 128)


@pytest.fixture
def halves():
    """Two things side by side, red and blue, that move apart."""
    colours = np.zeros((*SIZE, 3), np.float32)
    colours[:, :64, 0] = colours[:, 64:, 2] = 1
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[:, :64], flow[:, 64:] = (5, 0), (-3, 2)
    return colours, flow


def asked(colours, flow, sure, claimed=None):
    claimed = sure if claimed is None else claimed
    return advised(flow, claimed, sure, ties(in_cells(colours)))


def test_what_is_believed_stays_as_it_is(halves):
    colours, flow = halves
    noisy = flow + np.random.default_rng(0).normal(size=flow.shape).astype(np.float32)
    found, claimed = asked(colours, noisy, np.ones(SIZE, np.float32))
    np.testing.assert_allclose(found, noisy, atol=1e-5)
    np.testing.assert_allclose(claimed, 1, atol=1e-5)


def test_a_gap_is_filled_from_its_own_side_of_a_border(halves):
    colours, flow = halves
    sure = np.ones(SIZE, np.float32)
    sure[40:56, 56:72] = 0
    wrong = flow.copy()
    wrong[40:56, 56:72] = 40
    found, claimed = asked(colours, wrong, sure)
    inside = (slice(44, 52), slice(57, 62)), (slice(44, 52), slice(67, 71))
    for part in inside:
        np.testing.assert_allclose(found[part], flow[part], atol=0.2)
        assert claimed[part].min() > 0.9
    # Colours tell the sides apart: of one colour, both would be mixed.
    mixed, _ = asked(np.zeros_like(colours), wrong, sure)
    assert np.abs(mixed[44:52, 60:62] - flow[44:52, 60:62]).max() > 1


def test_neighbours_that_nobody_believes_are_not_heard(halves):
    colours, flow = halves
    sure = np.full(SIZE, 0.9, np.float32)
    sure[:, ::CELL] = sure[::CELL] = 0.0  # some of every cell
    shouting = flow.copy()
    shouting[:, ::CELL] = shouting[::CELL] = 1000
    found, _ = asked(colours, shouting, sure)
    quiet = sure > 0
    assert np.median(np.abs(found - flow)[quiet]) < 1


def test_where_nobody_is_believed_the_mean_of_all_is_the_answer():
    flow = np.full((*SIZE, 2), 7, np.float32)
    nothing = np.zeros(SIZE, np.float32)
    found, claimed = asked(np.zeros((*SIZE, 3), np.float32), flow, nothing)
    np.testing.assert_allclose(found, flow, rtol=1e-5)
    np.testing.assert_array_equal(claimed, 0)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (16, 17)])
def test_any_size_will_do(size):
    flow = np.ones((*size, 2), np.float32)
    sure = np.full(size, 0.5, np.float32)
    found, claimed = asked(np.zeros((*size, 3), np.float32), flow, sure)
    np.testing.assert_allclose(found, flow, rtol=1e-5)
    assert claimed.shape == size
