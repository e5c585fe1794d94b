"""Flow fields: the one convention, and resampling along them.

A flow is `b 2 h w`, in pixels of the target, x first, pixel centres at integers: what the target
shows at pixel p is seen in the reference at p + flow(p).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "1 2 h w"]:
    """Coordinates (x, y) of every pixel centre, with the device and dtype of `like`."""
    y = torch.arange(height, device=like.device, dtype=like.dtype)
    x = torch.arange(width, device=like.device, dtype=like.dtype)
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns, rows))[None]


def warp(
    reference: Float[Tensor, "b c H W"],
    flow: Float[Tensor, "b 2 h w"],
    *,
    mode: str = "bicubic",
) -> Float[Tensor, "b c h w"]:
    """Resample the reference onto the target: out(p) = reference(p + flow(p)).

    Samples outside the reference repeat its edge; `inside` says where that happened. Bicubic
    resampling may overshoot [0, 1] at edges, as every sharp interpolator does.

    Args:
        reference: what is sampled; may differ from the target in size.
        flow: pixels of the target, x first.
        mode: `bicubic`, `bilinear` or `nearest`, as in `torch.nn.functional.grid_sample`.
    """
    h, w = flow.shape[-2:]
    rh, rw = reference.shape[-2:]
    # grid_sample with align_corners=False: pixel centre i lies at (2 i + 1) / size - 1.
    x, y = (
        torch.arange(n, device=flow.device, dtype=flow.dtype) * (2 / size) + (1 / size - 1)
        for n, size in ((w, rw), (h, rh))
    )
    across = torch.add(x, flow[:, 0], alpha=2 / rw)
    down = torch.add(y[:, None], flow[:, 1], alpha=2 / rh)
    # Side by side in memory as two planes, which grid_sample reads as fast, and which are cheaper.
    grid = torch.stack((across, down), dim=1).to(reference.dtype)
    return F.grid_sample(
        reference,
        grid.permute(0, 2, 3, 1),
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )


def inside(
    flow: Float[Tensor, "b 2 h w"], reference_size: tuple[int, int]
) -> Bool[Tensor, "b 1 h w"]:
    """Where p + flow(p) lies between the outermost pixel centres of the reference.

    Args:
        flow: pixels of the target, x first.
        reference_size: (height, width) of the reference.
    """
    at = pixel_grid(flow.shape[-2], flow.shape[-1], flow) + flow
    x, y = at[:, :1], at[:, 1:]
    height, width = reference_size
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
