"""Structural similarity, in the two variants that tables of deblurring mix up.

Wang, Bovik, Sheikh, Simoncelli: Image Quality Assessment: From Error Visibility to Structural
Similarity, 2004. Both variants weight neighbours by a Gaussian of 11 samples and sigma 1.5; the
volumetric one also blurs across the three colours, and reads some hundredths higher.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.measure.gaussian import filter_planes, gaussian_window

SIZE, SIGMA = 11, 1.5
STABILITY = (0.01**2, 0.03**2)
"""C1 and C2 for a data range of 1."""

PROTOCOL = "SSIM 2-D, RGB, range [0, 1], Gaussian 11 sigma 1.5, windows inside, mean of channels"
PROTOCOL_3D = "SSIM 3-D, RGB, range [0, 1], Gaussian 11x11x11 sigma 1.5, edges repeated"


def ssim(image: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Mean structural similarity of each image, each channel for itself.

    The same as scikit-image with gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    and data_range=1: only windows that lie inside the image count.

    Args:
        image: what is judged, [0, 1].
        truth: what it should be, [0, 1].

    Raises:
        ValueError: a side below 11 px.
    """
    if min(image.shape[-2:]) < SIZE:
        raise ValueError(f"sides must be at least {SIZE} px, got {tuple(image.shape[-2:])}")
    window = gaussian_window(SIZE, SIGMA, image)
    return _similarity(image, truth, lambda x: filter_planes(x, window))


def ssim3d(image: Float[Tensor, "b 3 h w"], truth: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
    """Mean structural similarity of each image as a volume of colour, height and width.

    This is the SSIM of published deblurring tables, NAFNet's among them.

    Args:
        image: what is judged, [0, 1].
        truth: what it should be, [0, 1].
    """
    window = gaussian_window(SIZE, SIGMA, image)
    reach = SIZE // 2

    def blur(x: Tensor) -> Tensor:
        planes = filter_planes(F.pad(x, (reach,) * 4, mode="replicate"), window)
        return torch.einsum("oi,bihw->bohw", _across_colours(x.shape[1], window), planes)

    return _similarity(image, truth, blur)


def _similarity(image: Tensor, truth: Tensor, blur: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean of (2 m_x m_y + C1)(2 s_xy + C2) / ((m_x^2 + m_y^2 + C1)(s_x^2 + s_y^2 + C2))."""
    c1, c2 = STABILITY
    mean_x, mean_y = blur(image), blur(truth)
    both, squares = mean_x * mean_y, mean_x.square() + mean_y.square()
    covariance = blur(image * truth) - both
    variances = blur(image.square() + truth.square()) - squares
    ratio = (2 * both + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return ratio.mean(dim=(1, 2, 3))


def _across_colours(channels: int, window: Tensor) -> Tensor:
    """The window along the channel axis, edges repeated, as a matrix (out, in)."""
    reach = len(window) // 2
    seen = torch.arange(-reach, channels + reach).clamp(0, channels - 1)  # channels + 2 reach
    columns = F.one_hot(seen, channels).to(window)
    return torch.stack([window @ columns[o : o + len(window)] for o in range(channels)])
