"""What became of the detail of a sharp picture in a blurry one, direction by direction.

Blur along a line takes the differences along that line and leaves those across it; a lens out of
focus takes all alike; noise adds to all. Texture has directions of its own, so that a blurry
picture alone tells little; beside a sharp picture of the same thing the texture cancels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

PATCH = 48
"""Side of the patches that are compared, px."""
KNOWN = 0.6
"""Share of a patch that must be known."""
TEXTURE, WEAKEST = 4e-5, 1e-5
"""Mean square of the sharp patch's differences of brightness: of all, and along the direction that
has least. Patches below say nothing."""
_FLOOR = 2e-6  # about what rounding to 8 bits adds to a mean square
_AROUND = 2  # pixels around what is not known that do not count


def attenuation(
    blurry: Float[Tensor, "1 3 h w"],
    sharp: Float[Tensor, "1 3 h w"],
    known: Bool[Tensor, "1 1 h w"],
) -> Float[Tensor, "n 2"]:
    """Per patch the share of the sharp picture's gradient energy that the blurry one keeps.

    With T the structure tensor of a patch, the mean of g g^T over its gradients g, the least and
    the largest of v^T T_blurry v / v^T T_sharp v over all directions v: the generalised eigenvalues
    of the two. About (1, 1) where both are equally sharp, (small, larger) under motion, (small, a
    bit larger) out of focus, above 1 under noise.

    Args:
        blurry: a picture.
        sharp: what it shows, sharp and in the same place.
        known: where that is so.

    Returns:
        one row (least, largest) for each of the n patches that are known and have texture.
    """
    if min(blurry.shape[-2:]) < PATCH + 2:
        return blurry.new_zeros(0, 2)
    grey = [image.mean(dim=1, keepdim=True) for image in (blurry, sharp)]
    inner = known[..., 1:-1, 1:-1].float()
    inner = 1 - F.max_pool2d(1 - inner, 2 * _AROUND + 1, 1, _AROUND)
    share = F.avg_pool2d(inner, PATCH).flatten()
    ours, theirs = (_tensors(image, inner)[share >= KNOWN] for image in grey)
    mass = share[share >= KNOWN, None]
    floor = blurry.new_tensor([_FLOOR, 0, _FLOOR])
    ours, theirs = ours / mass + floor, theirs / mass + floor
    telling = (theirs[:, 0] + theirs[:, 2] > TEXTURE) & (_eigenvalues(theirs)[:, 0] > WEAKEST)
    return _relative(ours[telling], theirs[telling])


def _tensors(grey: Float[Tensor, "1 1 h w"], inner: Float[Tensor, "1 1 H W"]) -> Tensor:
    """Structure tensors (xx, xy, yy) of every patch, summed over what is known: `m 3`."""
    x = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) * inner
    y = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) * inner
    means = F.avg_pool2d(torch.cat((x * x, x * y, y * y), dim=1), PATCH)
    return means.flatten(2)[0].T


def _relative(ours: Float[Tensor, "n 3"], theirs: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
    """Eigenvalues of theirs^-1 ours, by the trace and the determinant of that product."""
    (a, b, c), (p, q, r) = ours.unbind(dim=1), theirs.unbind(dim=1)
    scale = p * r - q * q
    return _roots((r * a - 2 * q * b + p * c) / scale, (a * c - b * b) / scale)


def _eigenvalues(tensors: Float[Tensor, "n 3"]) -> Float[Tensor, "n 2"]:
    a, b, c = tensors.unbind(dim=1)
    return _roots(a + c, a * c - b * b)


def _roots(trace: Float[Tensor, "n"], determinant: Float[Tensor, "n"]) -> Float[Tensor, "n 2"]:
    """Eigenvalues, the smaller first, from what they add and multiply to."""
    apart = (trace.square() / 4 - determinant).clamp(min=0).sqrt()
    return torch.stack((trace / 2 - apart, trace / 2 + apart), dim=1)
