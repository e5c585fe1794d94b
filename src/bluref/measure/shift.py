"""How far one image is shifted against another: the drift that a deblurring network can learn."""

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.measure.gaussian import filter_planes, gaussian_window

SIZE, SIGMA = 9, 1.5


def mean_shift(
    output: Float[Tensor, "b 3 h w"], reference: Float[Tensor, "b 3 h w"]
) -> Float[Tensor, "b 2"]:
    """The translation (x, y) in pixels of what `output` shows against `reference`.

    Positive x: the content of `output` lies farther right. With output(p) = reference(p - d) and
    the gradient g of both images' mean, output - reference = -g . d to first order; d is the least
    squares solution over all pixels (Lucas and Kanade, 1981), on grey images smoothed so that the
    linearisation reaches a pixel or two. An image without gradients has shift 0.

    Args:
        output: what may have drifted.
        reference: what it is compared with, of the same size.

    Raises:
        ValueError: a side below 11 px.
    """
    if min(output.shape[-2:]) < SIZE + 2:
        raise ValueError(f"sides must be at least {SIZE + 2} px, got {tuple(output.shape[-2:])}")
    window = gaussian_window(SIZE, SIGMA, output)
    a, b = (filter_planes(x.mean(dim=1, keepdim=True), window) for x in (output, reference))
    middle = (a + b) / 2
    gx = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    gy = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2
    gradient = torch.stack((gx.flatten(1), gy.flatten(1)), dim=1).double()  # b 2 n
    change = (b - a)[..., 1:-1, 1:-1].flatten(1)[..., None].double()  # b n 1
    normal = gradient @ gradient.mT
    # Keeps a flat image solvable; no image with a visible edge notices it.
    ridge = 1e-9 * torch.eye(2, device=normal.device, dtype=normal.dtype)
    shift: Tensor = torch.linalg.solve(normal + ridge, gradient @ change)
    return shift[..., 0].to(output.dtype)
