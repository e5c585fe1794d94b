"""A deblurring network as one graph for other engines: any picture in, a sharper one out.

What the `Deblurrer` does around a network is inside: padding, local pooling, cutting, clamping.
Nothing in it branches on the size of the picture, so that one graph serves all sizes.
"""

import copy
from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.restore.engines.graph_block import GraphBlock
from bluref.restore.networks.attention import TransposedAttention
from bluref.restore.networks.backbones import Backbone
from bluref.restore.networks.nafnet import ChannelNorm, NAFBlock
from bluref.restore.networks.pooling import (
    ContextMean,
    Side,
    local_pooling,
    sliding_mean,
)

Size: TypeAlias = tuple[int, int]
"""Height and width, px."""


class Graph(nn.Module):
    """A copy of a network with all that the `Deblurrer` does around it.

    Args:
        network: is left as it is.
        training_size: side of the training crops, px, for local pooling; None for global means.
        size: height and width that all pictures will have, already multiples of what the network
            wants; None for pictures of any size.

    Raises:
        UserError: the network attends in windows, whose number depends on the picture.
    """

    def __init__(
        self, network: nn.Module, training_size: int | None, size: Size | None = None
    ) -> None:
        super().__init__()
        if not isinstance(network, Backbone):
            raise UserError(f"a {type(network).__name__} cannot be exported", "give a network")
        self.network = copy.deepcopy(network).float().cpu().eval().requires_grad_(False)
        self.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.multiple = network.multiple
        local_pooling(self.network, training_size)
        self.size = size
        _make_branchless(self.network, size)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures, [0, 1] in and out."""
        if self.size is not None:
            known: Tensor = self.network.restore(image)
            return known.clamp(0, 1)
        h, w = image.shape[-2:]
        rows, columns = _padded(h, self.multiple), _padded(w, self.multiple)
        padded = image.index_select(-2, rows).index_select(-1, columns)
        sharp: Tensor = self.network.restore(padded)
        return sharp.narrow(-2, 0, h).narrow(-1, 0, w).clamp(0, 1)


class _SlidingMean(nn.Module):
    """`ContextMean` for maps of any size: where the window holds all, the mean is the same."""

    def __init__(self, window: int, *, any_size: bool) -> None:
        super().__init__()
        self.window, self.any_size = window, any_size

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return sliding_mean(x, self.window, any_size=self.any_size)


def _make_branchless(network: nn.Module, size: Size | None) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, NAFBlock):
                setattr(module, name, GraphBlock(child, _pool(child, size)))
            elif isinstance(child, TransposedAttention) and child.window is not None:
                raise UserError(
                    "a Restormer with local pooling cannot be exported",
                    "switch local pooling off (--no-local-pooling), or use the engine eager",
                )
            elif isinstance(child, ChannelNorm):
                setattr(module, name, _Norm(child))


def _pool(block: NAFBlock, size: Size | None) -> nn.Module:
    """Means for maps of any size, or for those that a picture of one size has."""
    pool = block.sca[0]
    if not isinstance(pool, ContextMean) or pool.window is None:
        return pool
    if size is not None and pool.window >= max(size) // pool.stride:
        return ContextMean(pool.stride)
    return _SlidingMean(pool.window, any_size=size is None)


class _Norm(nn.Module):
    """`ChannelNorm` without moving the channels, which other engines would do."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        centred = x - x.mean(dim=1, keepdim=True)
        scale = torch.rsqrt((centred * centred).mean(dim=1, keepdim=True) + self.eps)
        return centred * scale * self.weight[:, None, None] + self.bias[:, None, None]


def _padded(side: Side, multiple: int) -> Int[Tensor, " n"]:
    """Which pixel stands at each place of a padded axis; as `padding.pad_to_multiple` has it."""
    at = torch.arange(side + -side % multiple)  # type: ignore[arg-type]
    mirrored = 2 * (side - 1) - at
    beyond = torch.where(mirrored[-1:] >= 0, mirrored, side - 1)
    return torch.where(at < side, at, beyond)
