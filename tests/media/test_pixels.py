import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bluref.media.pixels import from_array, from_uint8, to_array, to_uint8

BYTE_PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@settings(deadline=None, database=None)
@given(pixels=BYTE_PICTURES)
def test_bytes_survive_the_way_to_an_image_and_back(pixels):
    np.testing.assert_array_equal(to_array(from_array(pixels)), pixels)


def test_every_byte_value_returns_exactly():
    values = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert torch.equal(to_uint8(from_uint8(values)), values)


@settings(deadline=None, database=None)
@given(level=st.floats(-10, 10, width=32))
def test_a_level_becomes_the_nearest_byte_and_never_wraps_around(level):
    byte = to_uint8(torch.full((1, 3, 1, 1), level)).unique().item()
    assert abs(byte - 255 * min(max(level, 0.0), 1.0)) <= 0.5 + 1e-4


def test_slightly_more_than_white_stays_white():
    assert to_uint8(torch.full((3, 1, 1), 1.02)).unique().tolist() == [255]


def test_rows_columns_and_colours_keep_their_places():
    pixels = np.zeros((2, 5, 3), np.uint8)
    pixels[1, 3, 0] = 255
    image = from_array(pixels)
    assert image.shape == (1, 3, 2, 5)
    assert image.nonzero().tolist() == [[0, 0, 1, 3]]


@pytest.mark.parametrize("turn", [np.flipud, np.fliplr, np.rot90])
def test_views_with_negative_strides_are_taken(turn):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(to_array(from_array(turn(pixels))), turn(pixels))


def test_an_image_that_needs_gradients_is_taken():
    assert to_array(torch.ones(1, 3, 2, 2, requires_grad=True)).min() == 255
