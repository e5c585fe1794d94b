"""Tiles joined without a seam."""

import torch
from jaxtyping import Float
from torch import Tensor


def fade_weights(width: int) -> Float[Tensor, " {width}"]:
    """How much the later of two tiles weighs at each pixel that they share: 3 t^2 - 2 t^3.

    t are the centres of `width` equal parts of [0, 1]. The earlier tile weighs what is missing to
    1; value and slope of the weights are continuous, so that no line shows where the blend begins.
    They are multiples of 2^-16, so that 1 - w is exact and a mirrored picture blends alike.
    """
    t = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    half = (t * t * (3 - 2 * t))[: (width + 1) // 2].mul(2**16).round().div(2**16)
    return torch.cat([half, 1 - half[: width // 2].flip(0)]).float()


class Weaver:
    """Joins tiles along one axis, in order; where two agree the result is exactly theirs.

    Args:
        axis: -1 for columns, -2 for rows.
        fade: pixels at the start of each tile that are blended with the end of the one before.
    """

    def __init__(self, axis: int, fade: int) -> None:
        self._axis = axis
        weights = fade_weights(fade)
        self._weights = weights if axis == -1 else weights[:, None]
        self._tail: Tensor | None = None

    def add(self, tile: Float[Tensor, "*b h w"], *, last: bool) -> Float[Tensor, "*b H W"]:
        """What is finished once this tile is known: a part of the tile, whose start is blended."""
        fade = len(self._weights.flatten())
        if self._tail is not None:
            head = tile.narrow(self._axis, 0, fade)
            # lerp(a, b, t) is a at t = 0, b at t = 1 and a where a = b, to the bit.
            head.copy_(torch.lerp(self._tail, head, self._weights))
        ready = tile.shape[self._axis] - (0 if last else fade)
        self._tail = None if last else tile.narrow(self._axis, ready, fade).clone()
        return tile.narrow(self._axis, 0, ready)
