import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.tiling.rows import Rows, in_chunks


class Source:
    """Rows whose values are their numbers; never asked for more than there are."""

    def __init__(self, height):
        self.height, self.at = height, 0

    def read(self, rows):
        assert 0 < rows <= self.height - self.at
        given = torch.arange(self.at, self.at + rows).float()[:, None].expand(2, 3, rows, 4)
        self.at += rows
        return given.clone()


@settings(max_examples=100, deadline=None, database=None)
@given(
    height=st.integers(1, 60),
    chunk=st.integers(1, 20),
    steps=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=8),
)
def test_a_band_holds_the_rows_that_it_names(height, chunk, steps):
    source = Source(height)
    rows = Rows(source.read, height, chunk=chunk)
    assert rows.planes == 2
    rows.reserve(height)
    start = stop = 0
    for skip, more in steps:
        start, stop = min(height, start + skip), min(height, stop + more)
        stop = max(start, stop)
        band = rows.band(start, stop)
        assert band.shape == (2, 3, stop - start, 4)
        assert band[1, 2, :, 3].tolist() == list(range(start, stop))
    assert source.at <= stop + chunk


def test_rows_left_behind_are_gone():
    rows = Rows(Source(20).read, 20, chunk=4)
    rows.reserve(10)
    rows.band(5, 15)
    with pytest.raises(ValueError, match="4 to 15 after 5 to 15"):
        rows.band(4, 15)
    assert rows.band(6, 8)[0, 0, :, 0].tolist() == [6, 7]
    with pytest.raises(ValueError, match="5 to 16"):
        rows.band(5, 16)


def test_chunks_are_memory_of_their_own():
    whole = torch.rand(1, 3, 10, 5)
    chunks = list(in_chunks(whole, 4))
    assert [c.shape[-2] for c in chunks] == [4, 4, 2]
    assert torch.equal(torch.cat(chunks, dim=-2), whole)
    assert all(c.is_contiguous() for c in chunks)
