import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.warp import inside, pixel_grid
from bluref.frames.crops import Crop
from bluref.match.protocol import Match
from bluref.pseudo.compact import CELL, CompactMatches, compact, expand


def whole(size):
    return Crop(0, 0, *size)


def match(flow):
    visible = inside(flow, (flow.shape[-2], flow.shape[-1]))
    return Match(flow, visible.float(), visible)


def believed_everywhere(flow):
    everywhere = torch.ones_like(flow[:, :1])
    return Match(flow, everywhere, everywhere > 0)


def wave(size, *, length, amplitude=3.0):
    """A flow that swings with this wavelength in pixels, along both axes."""
    at = pixel_grid(*size, torch.zeros(1)) * 2 * math.pi / length
    return amplitude * torch.cat((at[:, :1].sin(), at[:, 1:].cos()), dim=1)


@pytest.mark.parametrize("size", [(64, 80), (61, 83), (5, 7)])
def test_one_value_stands_for_a_cell_whatever_the_size(size):
    kept = compact([match(torch.zeros(1, 2, *size))] * 3)
    cells = (-(-size[0] // CELL), -(-size[1] // CELL))
    assert kept.flow.shape == (3, 2, *cells)
    assert kept.flow.dtype == torch.float16
    assert kept.confidence.shape == (3, 1, *cells)
    assert kept.confidence.dtype == torch.uint8
    assert kept.size == size


@settings(max_examples=40, deadline=None, database=None)
@given(
    x=st.floats(-30, 30, width=32),
    y=st.floats(-30, 30, width=32),
    level=st.floats(0, 1, width=32),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_constant_match_survives(x, y, level, size):
    flow = torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *size).contiguous()
    everywhere = torch.ones(1, 1, *size, dtype=torch.bool)
    found = Match(flow, torch.full((1, 1, *size), level), everywhere)
    dense = expand(compact([found]), whole(size))
    assert (dense.flow - flow).abs().max() <= 2**-11 * 32  # half a step of half precision
    trusted = dense.confidence[dense.inside]
    assert not trusted.numel() or (trusted - level).abs().max() <= 0.51 / 255


@pytest.mark.parametrize("length", [48, 96, 200])
@pytest.mark.parametrize("size", [(96, 128), (91, 125)])
def test_a_smooth_flow_survives(length, size):
    flow = wave(size, length=length)
    dense = expand(compact([believed_everywhere(flow)]), whole(size))
    error = (dense.flow - flow).abs()[..., CELL:-CELL, CELL:-CELL]
    # Curvature times (cell^2 / 8 by interpolating + cell^2 / 24 by averaging), plus half precision.
    curvature = 3.0 * (2 * math.pi / length) ** 2
    assert error.max() <= curvature * CELL**2 / 6 + 2**-11 * 4
    # The outermost half cell repeats the nearest centre's value.
    slope = 3.0 * 2 * math.pi / length
    assert (dense.flow - flow).abs().max() <= slope * CELL + 0.1


def test_a_cell_across_a_motion_boundary_takes_the_side_that_is_believed():
    flow = torch.zeros(1, 2, 16, 16)
    flow[..., 6:] = 8.0
    confidence = torch.ones(1, 1, 16, 16)
    confidence[..., 6:] = 0.0
    everywhere = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    kept = compact([Match(flow, confidence, everywhere)])
    assert kept.flow[..., 1].abs().max() < 0.05
    assert kept.confidence[0, 0, 0].tolist() == [255, 128, 0, 0]


def test_nothing_is_trusted_outside_the_reference():
    size = (24, 32)
    flow = torch.zeros(1, 2, *size)
    flow[:, 0] = 10.0
    dense = expand(compact([match(flow)]), whole(size))
    assert torch.equal(dense.inside, inside(flow, size))
    assert dense.confidence[~dense.inside].abs().max() == 0
    assert dense.confidence[..., :18].min() > 0.9


def test_a_lie_about_what_is_inside_is_not_believed():
    size = (16, 16)
    nowhere = torch.zeros(1, 1, *size, dtype=torch.bool)
    kept = compact([Match(torch.zeros(1, 2, *size), torch.ones(1, 1, *size), nowhere)])
    assert kept.confidence.max() == 0


@st.composite
def matches_and_boxes(draw):
    """Any content of the bank, and any box of its frame."""
    size = draw(st.tuples(st.integers(1, 45), st.integers(1, 45)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    cells = (-(-size[0] // CELL), -(-size[1] // CELL))
    reach = draw(st.sampled_from([0.0, 2.0, 30.0]))
    flow = (reach * torch.randn(2, 2, *cells, generator=generator)).to(torch.float16)
    confidence = torch.randint(256, (2, 1, *cells), generator=generator)
    confidence *= torch.rand(2, 1, *cells, generator=generator) > 0.5
    top, left = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    box = Crop(top, left, draw(st.integers(1, size[0] - top)), draw(st.integers(1, size[1] - left)))
    return CompactMatches(flow, confidence.to(torch.uint8), size), box


@pytest.mark.slow
@settings(max_examples=200, deadline=None, database=None)
@given(both=matches_and_boxes())
def test_expanding_a_box_is_expanding_the_frame_and_cutting_the_box_out(both):
    matches, box = both
    part, frame = expand(matches, box), expand(matches, whole(matches.size))
    cut = (..., slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
    torch.testing.assert_close(part.flow, frame.flow[cut], atol=1e-5, rtol=0)
    torch.testing.assert_close(part.confidence, frame.confidence[cut], atol=1e-5, rtol=0)
    assert torch.equal(part.inside, frame.inside[cut])


@settings(max_examples=100, deadline=None, database=None)
@given(both=matches_and_boxes())
def test_the_reach_holds_every_sample_of_a_trusted_pixel(both):
    matches, box = both
    dense = expand(matches, box)
    at = pixel_grid(box.height, box.width, dense.flow) + dense.flow
    at = at + torch.tensor([box.left, box.top]).view(1, 2, 1, 1)
    trusted = (dense.confidence > 0).expand_as(at)
    left, top, right, bottom = dense.reach
    low, high = torch.tensor([left, top]), torch.tensor([right, bottom])
    within = (at >= low.view(1, 2, 1, 1) - 1e-3) & (at <= high.view(1, 2, 1, 1) + 1e-3)
    assert (within | ~trusted).all()
    height, width = matches.size
    assert left >= -1e-3
    assert top >= -1e-3
    assert right <= width - 1 + 1e-3
    assert bottom <= height - 1 + 1e-3
