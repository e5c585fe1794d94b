import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from skimage import data
from skimage.metrics import structural_similarity

from bluref.measure.ssim import ssim, ssim3d
from bluref.media.pixels import from_array


def pair(h, w, seed=0):
    random = torch.Generator().manual_seed(seed)
    truth = torch.rand(2, 3, h, w, generator=random)
    return (truth + 0.2 * torch.randn(2, 3, h, w, generator=random)).clamp(0, 1), truth


def photograph():
    truth = from_array(data.astronaut()[:160, :200])
    blurry = truth.cumsum(-1)[..., 9:] - truth.cumsum(-1)[..., :-9]
    return (blurry / 9).clamp(0, 1), truth[..., 5:-4]


def by_scikit_image(image, truth):
    return structural_similarity(
        truth.numpy(),
        image.numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=0,
    )


def by_scipy_volume(image, truth):
    """The definition over the volume (c, h, w), with a full 11 x 11 x 11 kernel in float64."""
    x, y = image.double().numpy(), truth.double().numpy()
    line = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    kernel = np.einsum("i,j,k->ijk", *[line / line.sum()] * 3)

    def blur(volume):
        return convolve(volume, kernel, mode="nearest")

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    top, bottom = (2 * mx * my + c1) * (2 * cov + c2), (mx**2 + my**2 + c1) * (vx + vy + c2)
    return (top / bottom).mean()


@settings(max_examples=15, deadline=None, database=None)
@given(h=st.integers(11, 30), w=st.integers(11, 30), seed=st.integers(0, 9))
def test_flat_ssim_is_that_of_scikit_image(h, w, seed):
    image, truth = pair(h, w, seed)
    expected = [by_scikit_image(i, t) for i, t in zip(image, truth, strict=True)]
    np.testing.assert_allclose(ssim(image, truth), expected, atol=2e-6)


@settings(max_examples=10, deadline=None, database=None)
@given(h=st.integers(1, 20), w=st.integers(1, 20), seed=st.integers(0, 9))
def test_volumetric_ssim_is_its_definition_at_any_size(h, w, seed):
    image, truth = pair(h, w, seed)
    expected = [by_scipy_volume(i, t) for i, t in zip(image, truth, strict=True)]
    np.testing.assert_allclose(ssim3d(image, truth), expected, atol=2e-6)


@pytest.mark.slow
def test_both_agree_with_their_oracles_on_a_blurred_photograph():
    image, truth = photograph()
    assert ssim(image, truth).item() == pytest.approx(by_scikit_image(image[0], truth[0]), abs=2e-6)
    volume = by_scipy_volume(image[0], truth[0])
    assert ssim3d(image, truth).item() == pytest.approx(volume, abs=2e-6)


@pytest.mark.parametrize("measure", [ssim, ssim3d])
def test_an_image_is_wholly_similar_to_itself_and_the_order_does_not_matter(measure):
    image, truth = pair(16, 20)
    torch.testing.assert_close(measure(truth, truth), torch.ones(2))
    torch.testing.assert_close(measure(image, truth), measure(truth, image))
    assert (measure(image, truth) < 1).all()


def test_an_image_smaller_than_the_window_has_no_flat_ssim():
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(torch.rand(1, 3, 10, 40), torch.rand(1, 3, 10, 40))
