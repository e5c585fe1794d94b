from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.tiling.spans import Overlap, even_spans, up_to


@st.composite
def axes(draw):
    multiple = draw(st.sampled_from([1, 2, 8, 16]))
    overlap = Overlap(draw(st.integers(0, 40)), draw(st.sampled_from([2, 8, 32])))
    shared = overlap.on_grid(multiple)
    tile = 2 * shared + up_to(overlap.fade, multiple) + multiple * draw(st.integers(0, 20))
    return draw(st.integers(1, 3000)), tile, overlap, multiple, draw(st.booleans())


@pytest.mark.slow
@settings(max_examples=300, deadline=None, database=None)
@given(axes())
def test_spans_cover_the_axis_once_but_for_fades_and_keep_their_margins(axis):
    length, tile, overlap, multiple, mirrored = axis
    spans = even_spans(length, tile, overlap, multiple, mirrored=mirrored)
    assert (spans[0].first, spans[-1].last) == (0, length)
    for span in spans:
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length
        assert span.stop - span.start <= max(tile, 0) or len(spans) == 1
        grid = length - span.stop if mirrored else span.start
        assert grid % multiple == 0
    for before, after in pairwise(spans):
        assert before.last - after.first == overlap.fade
        assert after.first - after.start >= overlap.margin
        assert before.stop - before.last >= overlap.margin
    for first, third in zip(spans, spans[2:], strict=False):
        assert first.last <= third.first


@settings(max_examples=100, deadline=None, database=None)
@given(axes())
def test_tiles_are_of_one_size_but_for_the_picture_that_ends_off_the_grid(axis):
    length, tile, overlap, multiple, mirrored = axis
    spans = even_spans(length, tile, overlap, multiple, mirrored=mirrored)
    sizes = {s.stop - s.start for s in (spans[1:] if mirrored else spans[:-1])}
    assert len(sizes) <= 1
    odd = spans[0] if mirrored else spans[-1]
    if sizes:
        assert 0 <= sizes.pop() - (odd.stop - odd.start) < multiple


def test_mirrored_spans_are_the_mirror_image():
    there = even_spans(1000, 256, Overlap(20, 16), 16)
    back = even_spans(1000, 256, Overlap(20, 16), 16, mirrored=True)
    ends = [(1000 - s.stop, 1000 - s.start, 1000 - s.last, 1000 - s.first) for s in reversed(back)]
    assert ends == [(s.start, s.stop, s.first, s.last) for s in there]


def test_a_tile_must_be_larger_than_what_it_shares():
    with pytest.raises(ValueError, match="above 64 px, got 64"):
        even_spans(500, 64, Overlap(16, 32), 16)
    with pytest.raises(ValueError, match="no room for fades"):
        even_spans(500, 80, Overlap(16, 32), 16)
    with pytest.raises(ValueError, match="fade >= 1"):
        Overlap(0, 0)
