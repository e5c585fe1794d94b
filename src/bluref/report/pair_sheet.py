"""Training pairs as a picture, so that a person can look at what a matcher is taught."""

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import warp
from bluref.match.pairs import Pairs
from bluref.report.flow_picture import FULL_SATURATION, beside, flow_colours

HIDDEN = (0.55, 0.0, 0.35)  # what the reference does not show, in the flow's picture and the last


def pair_sheet(pairs: Pairs, *, columns: int = 1) -> Float[Tensor, "1 3 H W"]:
    """Every pair in a strip: target, clean, reference, reference warped by the truth, flow, error.

    Flow and error are purple where the reference does not show the target's point. A flow is
    fully saturated at the 95th percentile of its own lengths, at least 1 pixel. The error is the
    absolute difference of clean target and warped reference, four times enlarged.

    Args:
        pairs: at least one.
        columns: strips side by side.

    Raises:
        ValueError: no pair, or less than one column.
    """
    count = pairs.target.shape[0]
    if count < 1 or columns < 1:
        raise ValueError(f"need pairs and columns of at least 1, got {count} and {columns}")
    strips = [_strip(pairs, slice(i, i + 1)) for i in range(count)]
    blank = torch.ones_like(strips[0])
    strips += [blank] * (-count % columns)
    rows = [beside(strips[i : i + columns], gap=12) for i in range(0, len(strips), columns)]
    return torch.cat(rows, dim=-2)


def _strip(pairs: Pairs, one: slice) -> Float[Tensor, "1 3 h w"]:
    flow, valid, clean = pairs.flow[one], pairs.valid[one], pairs.clean[one]
    seen = warp(pairs.reference[one], flow).clamp(0, 1)
    largest = float(flow.norm(dim=1).quantile(FULL_SATURATION))
    hidden = flow.new_tensor(HIDDEN)[:, None, None].expand_as(seen)
    colours = torch.where(valid, flow_colours(flow, largest=max(largest, 1.0)), hidden)
    error = torch.where(valid, (4 * (seen - clean).abs()).clamp(0, 1), hidden)
    return beside([pairs.target[one], clean, pairs.reference[one], seen, colours, error])
