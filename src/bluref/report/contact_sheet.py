"""Contact sheets: the same few crops, blurry, target, trust and output side by side."""

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.report.flow_picture import beside
from bluref.train.observe import Snapshot


def contact_sheet(snapshot: Snapshot) -> Float[Tensor, "1 3 H W"]:
    """One row per crop: blurry input, target, trust, output."""
    rows = []
    for i in range(snapshot.blurry.shape[0]):
        one = slice(i, i + 1)
        trust = trust_colours(snapshot.trust[one])
        rows.append(
            beside([snapshot.blurry[one], snapshot.target[one], trust, snapshot.output[one]])
        )
    return torch.cat(rows, dim=-2)


def trust_colours(trust: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Trust as brightness; a pixel for which no reference speaks is dark red, not black."""
    silent = trust.new_tensor([0.35, 0.0, 0.0]).view(1, 3, 1, 1)
    grey = 0.25 + 0.75 * trust.expand(-1, 3, -1, -1)
    return torch.where(trust > 0, grey, silent.expand_as(grey))
