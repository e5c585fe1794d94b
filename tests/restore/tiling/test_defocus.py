import pytest
import torch
import torch.nn.functional as F
from skimage import data

from bluref.media.pixels import from_array
from bluref.restore.tiling.defocus import is_out_of_focus
from bluref.restore.tiling.guard import Verdict, guarded


@pytest.fixture(scope="module")
def photograph():
    """Gravel, sharp everywhere, at half its size so that the camera's own softness is gone."""
    grey = torch.from_numpy(data.gravel())
    image = from_array(grey[..., None].expand(-1, -1, 3).numpy())
    return F.avg_pool2d(image, 2).repeat(1, 1, 2, 2)[0]


def rounded(image):
    return (255 * image).round() / 255


def out_of_focus(image, radius):
    side = torch.arange(-radius - 1, radius + 2.0)
    disc = (radius + 0.5 - torch.hypot(side[:, None], side[None])).clamp(0, 1)
    padded = F.pad(image[:, None], (radius + 1,) * 4, mode="circular")
    return rounded(F.conv2d(padded, (disc / disc.sum())[None, None])[:, 0])


def moved(image, length, towards):
    """Along an axis, or along the diagonal where `towards` names both."""
    steps = [image.roll([i] * len(towards), dims=towards) for i in range(length)]
    return rounded(torch.stack(steps).mean(dim=0))


@pytest.mark.parametrize("radius", [4, 5, 8])
def test_what_is_out_of_focus_is_told(photograph, radius):
    assert is_out_of_focus(out_of_focus(photograph, radius))


@pytest.mark.parametrize("towards", [(-1,), (-2,), (-1, -2)])
@pytest.mark.parametrize("length", [5, 9, 20])
def test_what_has_moved_is_not(photograph, length, towards):
    assert not is_out_of_focus(moved(photograph, length, towards))


def test_texture_that_runs_one_way_is_not_taken_for_it(photograph):
    """Soft in every direction, but not alike: a thing that moved behind a soft lens."""
    soft = F.avg_pool2d(photograph[None], 7, 1, 3)[0]
    assert is_out_of_focus(rounded(F.avg_pool2d(soft[None], 5, 1, 2)[0]))
    assert not is_out_of_focus(moved(soft, 25, (-1,)))


def test_what_is_sharp_small_or_flat_is_not(photograph):
    assert not is_out_of_focus(photograph)
    assert not is_out_of_focus(out_of_focus(photograph, 5)[:, :90])
    assert not is_out_of_focus(torch.full((3, 500, 500), 0.5))


def test_the_guard_tells_it_and_keeps_the_result(photograph):
    soft = out_of_focus(photograph, 5)
    result, _, verdict = guarded(soft, lambda tile: tile * 0.99, None)
    assert verdict == Verdict("defocus", "kept")
    assert torch.equal(result, soft * 0.99)
    assert guarded(moved(photograph, 9, (-1,)), lambda tile: tile, None)[2] is None
