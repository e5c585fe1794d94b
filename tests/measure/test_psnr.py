import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from bluref.measure.psnr import on_8_bit, psnr


def pair(b=2, h=12, w=17, seed=0):
    random = torch.Generator().manual_seed(seed)
    truth = torch.rand(b, 3, h, w, generator=random)
    return (truth + 0.1 * torch.randn(b, 3, h, w, generator=random)).clamp(0, 1), truth


@settings(max_examples=20, deadline=None, database=None)
@given(h=st.integers(1, 20), w=st.integers(1, 20), seed=st.integers(0, 9))
def test_each_image_gets_what_scikit_image_gives_it(h, w, seed):
    image, truth = pair(h=h, w=w, seed=seed)
    expected = [
        peak_signal_noise_ratio(t.numpy(), i.numpy(), data_range=1)
        for i, t in zip(image, truth, strict=True)
    ]
    np.testing.assert_allclose(psnr(image, truth), expected, rtol=1e-5)


@pytest.mark.parametrize(("error", "expected"), [(1.0, 0.0), (0.1, 20.0), (1 / 255, 48.1308)])
def test_known_errors_give_known_decibels(error, expected):
    image = torch.full((1, 3, 4, 4), error)
    assert psnr(image, torch.zeros_like(image)).item() == pytest.approx(expected, abs=1e-4)


def test_equal_images_are_infinitely_good():
    _, truth = pair()
    assert psnr(truth, truth).tolist() == [math.inf, math.inf]


def test_only_pixels_in_the_mask_count():
    image, truth = pair()
    mask = torch.zeros(2, 1, 12, 17, dtype=torch.bool)
    mask[:, :, 2:9, 3:15] = True
    inside = psnr(image[..., 2:9, 3:15], truth[..., 2:9, 3:15])
    torch.testing.assert_close(psnr(image, truth, mask=mask), inside)
    spoiled = torch.where(mask, image, torch.rand_like(image))
    torch.testing.assert_close(psnr(spoiled, truth, mask=mask), inside)


def test_a_full_mask_changes_nothing_and_an_empty_one_says_nothing():
    image, truth = pair()
    mask = torch.ones(2, 1, 12, 17, dtype=torch.bool)
    torch.testing.assert_close(psnr(image, truth, mask=mask), psnr(image, truth))
    assert psnr(image, truth, mask=~mask).isnan().all()


def test_a_tiny_error_in_a_large_image_keeps_its_digits():
    truth = torch.full((1, 3, 600, 800), 0.5)
    image = truth.clone()
    image[0, 0, 0, 0] += 0.25
    exact = -10 * math.log10(0.0625 / (3 * 600 * 800))
    assert psnr(image, truth).item() == pytest.approx(exact, abs=1e-5)


def test_8_bit_images_are_clamped_and_rounded_to_steps_of_a_255th():
    image = torch.tensor([-0.5, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.02]).view(1, 1, 1, 6)
    steps = on_8_bit(image.expand(1, 3, 1, 6))[0, 0, 0] * 255
    assert steps.tolist() == [0, 0, 0, 1, 255, 255]
