import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.blur import blur, convolve
from bluref.degrade.kernels import MotionConfig, random_kernels


def kernels(count: int, size: int = 9, seed: int = 0) -> torch.Tensor:
    config = MotionConfig(length=(0.0, size - 1.0), size=size)
    return random_kernels(torch.Generator().manual_seed(seed), count, config)


def test_convolution_equals_plain_loops():
    light, kernel = torch.rand(1, 3, 6, 8), torch.rand(1, 3, 3)
    result = convolve(light, kernel)
    for y in range(6):
        for x in range(8):
            total = torch.zeros(3)
            for row in range(3):
                for column in range(3):
                    sy, sx = (y - (row - 1)), (x - (column - 1))
                    sy, sx = min(max(sy, 0), 5), min(max(sx, 0), 7)
                    total += kernel[0, row, column] * light[0, :, sy, sx]
            torch.testing.assert_close(result[0, :, y, x], total)


def test_a_point_of_light_draws_the_kernel():
    point = torch.zeros(1, 3, 21, 21)
    point[..., 10, 10] = 1
    kernel = torch.rand(1, 9, 9)
    torch.testing.assert_close(convolve(point, kernel)[0, 0, 6:15, 6:15], kernel[0])


def test_items_are_blurred_each_by_its_own_kernel():
    images, k = torch.rand(4, 3, 17, 23), kernels(4)
    together = blur(images, k)
    for i in range(4):
        torch.testing.assert_close(together[i : i + 1], blur(images[i : i + 1], k[i : i + 1]))


@settings(max_examples=20, deadline=None, database=None)
@given(level=st.floats(0.01, 1), h=st.integers(1, 30), w=st.integers(1, 30))
def test_flat_pictures_stay_flat_up_to_the_border(level, h, w):
    flat = torch.full((1, 3, h, w), level)
    torch.testing.assert_close(blur(flat, kernels(1)), flat, atol=1e-4, rtol=1e-4)


def test_the_delta_changes_nothing():
    image = torch.rand(2, 3, 20, 20)
    delta = torch.zeros(2, 5, 5)
    delta[:, 2, 2] = 1
    torch.testing.assert_close(blur(image, delta), image, atol=2e-3, rtol=0)


def test_light_adds_up_linearly():
    edge = torch.zeros(1, 3, 9, 9)
    edge[..., 5:] = 1
    kernel = torch.zeros(1, 3, 3)
    kernel[:, 1, 1:] = 0.5  # half of the time one pixel to the right
    value = blur(edge, kernel)[0, 0, 4, 5]
    assert value == pytest.approx(0.5 ** (1 / 2.2), abs=1e-4)


def test_blur_agrees_with_a_grouped_convolution():
    image, k = torch.rand(2, 3, 40, 50), torch.rand(2, 11, 11) / 121
    padded = F.pad(image, (5,) * 4, mode="replicate").reshape(1, 6, 50, 60)
    weight = k.flip((1, 2)).repeat_interleave(3, 0)[:, None]
    torch.testing.assert_close(
        convolve(image, k), F.conv2d(padded, weight, groups=6).view(2, 3, 40, 50)
    )


def test_an_even_kernel_has_no_centre_and_is_refused():
    with pytest.raises(ValueError, match="odd, got 4"):
        blur(torch.rand(1, 3, 8, 8), torch.rand(1, 4, 4))
