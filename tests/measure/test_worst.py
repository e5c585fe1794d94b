import pytest
import torch

from bluref.measure.psnr import psnr
from bluref.measure.worst import SIDE, STEP, worst_window


def pictures(height=200, width=304):
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 3, height, width, generator=generator)
    blurry = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).clamp(0, 1)
    return blurry, truth


@pytest.mark.parametrize(
    ("size", "top", "left"),
    [
        ((200, 304), 0, 0),
        ((200, 304), 48, 104),
        ((203, 309), 203 - SIDE, 309 - SIDE),
        ((103, 97), 103 - SIDE, 97 - SIDE),
    ],
)
def test_it_lies_where_the_output_was_spoilt(size, top, left):
    blurry, truth = pictures(*size)
    output = (blurry + truth) / 2  # better everywhere
    spoilt = output[..., top : top + SIDE, left : left + SIDE]
    spoilt += 0.3
    found = worst_window(output, blurry, truth)
    assert abs(found.top - top) < STEP
    assert abs(found.left - left) < STEP
    assert found.cut(truth).shape == (1, 3, SIDE, SIDE)
    assert found.before == pytest.approx(psnr(found.cut(blurry), found.cut(truth)).item())
    assert found.after == pytest.approx(psnr(found.cut(output), found.cut(truth)).item())
    assert found.after < found.before
    assert found.lost == pytest.approx(
        (found.cut(output) - found.cut(truth)).square().mean().item()
        - (found.cut(blurry) - found.cut(truth)).square().mean().item(),
        rel=1e-4,
    )


def test_the_last_rows_and_columns_are_looked_at():
    blurry, truth = pictures(203, 309)
    output = blurry.clone()
    output[..., -3:, -3:] = 1 - truth[..., -3:, -3:]
    found = worst_window(output, blurry, truth)
    assert (found.top, found.left) == (203 - SIDE, 309 - SIDE)


def test_where_nothing_is_lost_it_is_where_least_is_won():
    blurry, truth = pictures()
    output = truth.clone()
    output[..., 96:192, 200:296] = blurry[..., 96:192, 200:296]
    found = worst_window(output, blurry, truth)
    assert (found.top, found.left) == (96, 200)
    assert found.after == found.before


@pytest.mark.parametrize("size", [(20, 300), (300, 20), (7, 9)])
def test_small_pictures_are_seen_whole(size):
    blurry, truth = pictures(*size)
    found = worst_window(truth, blurry, truth)
    assert (found.height, found.width) == tuple(min(SIDE, side) for side in size)
    assert found.after == 99.0
