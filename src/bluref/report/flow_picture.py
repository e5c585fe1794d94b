"""A match as a picture: target, reference, warped reference, confidence and flow, side by side."""

import colorsys
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.match.protocol import Match, Matcher

# Displacement in pixels that is drawn at full saturation is this quantile of the trusted ones.
FULL_SATURATION = 0.95
# Pixels that are enough to tell it.
ENOUGH = 1_000_000


# Confidence from which a pixel counts as matched (paper Sec. 3.4).
MATCHED = 0.7


@dataclass(frozen=True)
class DrawnMatch:
    """A match, drawn.

    Attributes:
        picture: see `match_picture`.
        coverage: share of the target matched with a confidence of 0.7 or more.
        median_motion: median length of the flow there in pixels; 0 if nothing matched.
    """

    picture: Float[Tensor, "1 3 H W"]
    coverage: float
    median_motion: float


def match_pair(
    target: Float[Tensor, "1 3 h w"],
    reference: Float[Tensor, "1 3 H W"],
    matcher: Matcher[Any],
) -> DrawnMatch:
    """Match two pictures and draw the result.

    Raises:
        UserError: they differ in size.
    """
    if target.shape != reference.shape:
        (h, w), (rh, rw) = target.shape[-2:], reference.shape[-2:]
        raise UserError(
            f"the target is {w}x{h}, the reference {rw}x{rh}", "give two pictures of one size"
        )
    match = matcher.match(matcher.encode(target), matcher.encode(reference))
    matched = match.confidence >= MATCHED
    lengths = match.flow.norm(dim=1, keepdim=True)[matched]
    return DrawnMatch(
        picture=match_picture(target, reference, match),
        coverage=matched.float().mean().item(),
        median_motion=lengths.median().item() if lengths.numel() else 0.0,
    )


def flow_colours(flow: Float[Tensor, "b 2 h w"], *, largest: float) -> Float[Tensor, "b 3 h w"]:
    """Direction as hue, length as saturation: white is no motion.

    Args:
        flow: pixels, x first.
        largest: length in pixels that is fully saturated, above 0.
    """
    wheel = torch.tensor([colorsys.hsv_to_rgb(i / 255, 1.0, 1.0) for i in range(256)])
    hue = torch.atan2(-flow[:, 1], -flow[:, 0]) / (2 * torch.pi) + 0.5
    length = (flow.norm(dim=1, keepdim=True) / largest).clamp(0, 1)
    pure = wheel[(hue * 255).round().long().clamp(0, 255)].permute(0, 3, 1, 2)
    coloured: Tensor = 1 - length * (1 - pure)
    return coloured


def match_picture(
    target: Float[Tensor, "1 3 h w"], reference: Float[Tensor, "1 3 h w"], match: Match
) -> Float[Tensor, "1 3 H W"]:
    """Two rows: target, reference, flow; warped reference, its trusted part, confidence.

    Flow is shown where the match is believed at all and fades to grey elsewhere.
    """
    lengths = match.flow.norm(dim=1, keepdim=True)
    trusted = lengths[match.confidence > 0.5]
    trusted = trusted[:: max(1, trusted.numel() // ENOUGH)]
    largest = float(trusted.quantile(FULL_SATURATION)) if trusted.numel() else 1.0
    confidence = match.confidence
    colours = flow_colours(match.flow, largest=max(largest, 1.0))
    flow = confidence * colours + (1 - confidence) * 0.5
    warped = match.warp(reference)
    rows = [
        [target, reference, flow],
        [warped, warped * confidence, confidence.expand_as(warped)],
    ]
    return torch.cat([beside(row) for row in rows], dim=-2)


def beside(pictures: list[Float[Tensor, "1 3 h w"]], *, gap: int = 4) -> Float[Tensor, "1 3 H W"]:
    """Pictures of one height in a row, with a white gap."""
    white = pictures[0].new_ones(1, 3, pictures[0].shape[-2], gap)
    parts = [part for picture in pictures for part in (picture, white)][:-1]
    row = torch.cat(parts, dim=-1)
    return torch.cat((row, row.new_ones(1, 3, gap, row.shape[-1])), dim=-2)
