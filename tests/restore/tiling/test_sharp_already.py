import pytest
import torch
import torch.nn.functional as F
from skimage import data

from bluref.media.pixels import from_array
from bluref.restore.tiling.sharp_already import is_sharp_already, noise


@pytest.fixture(scope="module")
def photograph():
    """Gravel, sharp everywhere, at half its size so that the camera's own softness is gone."""
    grey = torch.from_numpy(data.gravel())
    image = from_array(grey[..., None].expand(-1, -1, 3).numpy())
    return F.avg_pool2d(image, 2).repeat(1, 1, 2, 2)[0]


def motion(image, length, axis):
    shifted = [image.roll(i, dims=axis) for i in range(length)]
    return torch.stack(shifted).mean(dim=0)


def with_noise(image, sigma):
    random = torch.Generator().manual_seed(0)
    return (image + sigma * torch.randn(image.shape, generator=random)).clamp(0, 1)


def test_a_sharp_texture_is_sharp_and_a_moved_one_is_not(photograph):
    assert is_sharp_already(photograph)
    for axis in (-1, -2):
        assert not is_sharp_already(motion(photograph, 7, axis))


def test_weak_texture_is_no_blur_and_strong_texture_is_no_sharpness(photograph):
    mean = photograph.mean()
    assert is_sharp_already(mean + 0.3 * (photograph - mean))
    blurred = motion(photograph, 7, -1)
    strong = (mean + 3 * (blurred - mean)).clamp(0, 1)
    assert not is_sharp_already(strong)


def test_a_moving_thing_before_a_sharp_background_is_not_missed(photograph):
    partly = photograph.clone()
    partly[:, :220, :220] = motion(photograph, 9, -1)[:, :220, :220]
    assert not is_sharp_already(partly)


@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.08])
def test_noise_is_not_taken_for_detail(photograph, sigma):
    assert not is_sharp_already(with_noise(motion(photograph, 7, -1), sigma))


def test_nothing_is_said_of_what_has_no_texture_or_is_small(photograph):
    assert not is_sharp_already(torch.full((3, 500, 500), 0.5))
    assert not is_sharp_already(photograph[:, :90, :])


@pytest.mark.parametrize("sigma", [0.02, 0.05, 0.1])
def test_noise_is_measured_on_the_grey_image(sigma):
    random = torch.Generator().manual_seed(0)
    flat = torch.full((1, 300, 301), 0.5).expand(3, -1, -1)
    noisy = flat + sigma * torch.randn((1, 300, 301), generator=random)
    assert noise(noisy) == pytest.approx(sigma, rel=0.02)
    assert noise(flat) == 0
    assert noise(flat[:, :1]) == 0
