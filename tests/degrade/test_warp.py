import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.warp import inside, pixel_grid, warp


def constant_flow(x: float, y: float, h: int = 6, w: int = 8) -> torch.Tensor:
    return torch.tensor((x, y))[None, :, None, None].expand(1, 2, h, w).contiguous()


@pytest.mark.parametrize("mode", ["bicubic", "bilinear", "nearest"])
def test_what_the_target_shows_at_p_is_seen_in_the_reference_at_p_plus_flow(mode):
    target = torch.rand(1, 3, 6, 8)
    reference = torch.zeros(1, 3, 6, 8)
    reference[..., :, 1:] = target[..., :, :-1]  # everything has moved one pixel to the right
    warped = warp(reference, constant_flow(1.0, 0.0), mode=mode)
    torch.testing.assert_close(warped[..., :-1], target[..., :-1])


def test_x_comes_first_and_y_points_down():
    reference = torch.rand(1, 3, 6, 8)
    warped = warp(reference, constant_flow(-2.0, 3.0))
    torch.testing.assert_close(warped[..., :3, 2:], reference[..., 3:, :-2])


def test_no_flow_returns_the_reference():
    reference = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(warp(reference, torch.zeros(2, 2, 9, 7)), reference)


@settings(max_examples=20, deadline=None, database=None)
@given(x=st.floats(-3, 3, width=32), y=st.floats(-3, 3, width=32))
def test_a_ramp_is_sampled_exactly_between_pixels(x, y):
    ramp = (pixel_grid(20, 20, torch.zeros(1)) * torch.tensor((1.0, 2.0))[:, None, None]).sum(1)
    warped = warp(ramp[:, None], constant_flow(x, y, 20, 20), mode="bilinear")
    expected = ramp[:, None] + x + 2 * y
    inner = slice(6, -6)
    torch.testing.assert_close(
        warped[..., inner, inner], expected[..., inner, inner], atol=1e-3, rtol=0
    )


def test_the_reference_may_have_another_size_than_the_target():
    reference = torch.rand(1, 3, 12, 20)
    warped = warp(reference, constant_flow(5.0, 4.0))
    assert warped.shape == (1, 3, 6, 8)
    torch.testing.assert_close(warped, reference[..., 4:10, 5:13])


def test_beyond_the_border_the_edge_repeats():
    reference = torch.rand(1, 3, 6, 8)
    warped = warp(reference, constant_flow(100.0, 0.0))
    torch.testing.assert_close(warped, reference[..., -1:].expand(1, 3, 6, 8))


def test_inside_ends_at_the_outermost_pixel_centres():
    flow = constant_flow(0.0, 0.0, 1, 5)
    flow[:, 0] = torch.tensor([-0.01, 0.0, 0.0, 0.0, 0.01])
    seen = inside(flow, (1, 5))
    assert seen.flatten().tolist() == [False, True, True, True, False]


def test_inside_counts_in_pixels_of_the_reference():
    assert inside(constant_flow(5.0, 4.0), (12, 20)).all()
    seen = inside(constant_flow(5.0, 4.0), (6, 8))
    assert seen[0, 0].nonzero().tolist() == [[y, x] for y in range(2) for x in range(3)]
