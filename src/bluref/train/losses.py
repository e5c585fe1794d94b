"""Masked reconstruction losses: normalised per valid pixel, gated by coverage (paper Sec. 3.4)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

# Mean squared error below which the PSNR loss stops to reward: 80 dB.
FLOOR = 1e-8


def masked_loss(
    output: Float[Tensor, "b 3 h w"],
    target: Float[Tensor, "b 3 h w"],
    weight: Float[Tensor, "b 1 h w"],
    *,
    kind: str,
    min_coverage: float,
    mean: Callable[[Tensor], Tensor] = lambda count: count,
) -> Float[Tensor, ""]:
    """Mean over images of sum(weight * error) / sum(weight).

    The paper's L(D * M, P * M) is a mean over all pixels: with a PSNR loss its gradient would not
    depend on how many pixels are valid, and an empty mask would be a constant. Here every image is
    normalised by its own valid pixels, and counts only if enough of it is covered.

    Args:
        output: what the network made.
        target: the pseudo-sharp image.
        weight: trust in [0, 1], zero where no reference spoke.
        kind: `l1` (mean absolute error), `l2` (mean squared error) or `psnr` (its log, in dB).
        min_coverage: share of pixels with weight above zero below which an image does not count;
            an image without any never does.
        mean: over processes that share a batch, of how many images of each count: the mean of
            their losses is then that of all their images, however many of whose count.

    Returns:
        a scalar; 0 with a zero gradient if no image is covered.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in ("l1", "l2", "psnr"):
        raise ValueError(f"kind must be l1, l2 or psnr, got {kind!r}")
    coverage = (weight > 0).float().mean(dim=(1, 2, 3))
    counts = ((coverage >= min_coverage) & (coverage > 0)).to(output.dtype)
    error = output - target
    error = error.abs() if kind == "l1" else error.square()
    valid = (weight.sum(dim=(1, 2, 3)) * output.shape[1]).clamp(min=1e-6)
    per_image = (error * weight).sum(dim=(1, 2, 3)) / valid
    if kind == "psnr":
        per_image = 10 / math.log(10) * torch.log(per_image + FLOOR)
    counted = mean(counts.sum())
    return (per_image * counts).sum() / counted.where(counted > 0, torch.ones_like(counted))
