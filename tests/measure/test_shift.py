import pytest
import torch
from skimage import data

from bluref.measure.shift import mean_shift
from bluref.media.pixels import from_array


def moved(image, x, y):
    """The image with its content moved right by x and down by y pixels, periodic and exact."""
    h, w = image.shape[-2:]
    fy, fx = torch.fft.fftfreq(h)[:, None], torch.fft.fftfreq(w)
    phase = torch.exp(-2j * torch.pi * (fx * x + fy * y))
    return torch.fft.ifft2(torch.fft.fft2(image) * phase).real


@pytest.fixture(scope="module")
def photograph():
    return from_array(data.astronaut()[40:240, 100:340])


@pytest.mark.parametrize("x", [-0.5, -0.1, 0.0, 0.3])
@pytest.mark.parametrize("y", [-0.25, 0.0, 0.02, 0.6])
def test_sub_pixel_shifts_are_found(photograph, x, y):
    output, reference = (
        image[..., 20:-20, 20:-20] for image in (moved(photograph, x, y), photograph)
    )
    found = mean_shift(output, reference)
    torch.testing.assert_close(found, torch.tensor([[x, y]]), atol=0.03, rtol=0)


def test_content_that_lies_farther_right_has_positive_x():
    reference = torch.zeros(1, 3, 30, 30)
    reference[..., 10:20, 10:20] = 1
    x, y = mean_shift(reference.roll(1, dims=-1), reference)[0].tolist()
    assert x == pytest.approx(1, abs=0.15)
    assert y == pytest.approx(0, abs=0.01)


def test_exchanging_the_images_turns_the_sign(photograph):
    output = moved(photograph, 0.4, -0.2)
    there, back = mean_shift(output, photograph), mean_shift(photograph, output)
    torch.testing.assert_close(there, -back)


def test_symmetric_blur_and_noise_are_not_taken_for_a_shift(photograph):
    torch.manual_seed(0)
    blurred = sum(moved(photograph, i, 0) for i in (-3, -2, -1, 0, 1, 2, 3)) / 7
    noisy = blurred + 0.02 * torch.randn_like(blurred)
    assert mean_shift(noisy, photograph).abs().max() < 0.05


def test_each_image_of_a_batch_has_its_own_shift(photograph):
    output = torch.cat([moved(photograph, 0.3, 0), moved(photograph, 0, -0.3)])
    found = mean_shift(output, photograph.expand(2, -1, -1, -1))
    torch.testing.assert_close(found, torch.tensor([[0.3, 0], [0, -0.3]]), atol=0.03, rtol=0)


def test_a_flat_image_has_no_shift():
    image = torch.full((1, 3, 20, 20), 0.5)
    assert mean_shift(image, image).tolist() == [[0, 0]]
    assert mean_shift(image + 0.1, image).abs().max() < 1e-6


def test_an_image_without_room_for_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 11 px"):
        mean_shift(torch.rand(1, 3, 10, 40), torch.rand(1, 3, 10, 40))
