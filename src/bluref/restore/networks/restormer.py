"""Restormer, the larger deblurring network: a U-shape of transformers over channels.

Zamir, Arora, Khan, Hayat, Khan, Yang: Restormer: Efficient Transformer for High-Resolution Image
Restoration, CVPR 2022; written from its formulas. Images of any size go in: right and bottom are
reflected to `multiple` inside and cut off again. Modules carry the names of the published
checkpoints, so that those load by key.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bluref.restore.networks.attention import TransposedAttention
from bluref.restore.networks.nafnet import MAX_BLOCKS, MAX_WIDTH, ChannelNorm
from bluref.restore.networks.padding import pad_to_multiple
from bluref.restore.tiling.reach import receptive_radius

LEVELS = 4
MAX_EXPANSION = 16.0


@dataclass(frozen=True)
class RestormerConfig:
    """The shape of a Restormer; the default is the published one.

    Raises:
        ValueError: a value out of range, or heads that do not divide the channels of their level.
    """

    width: int = 48
    """Channels at full resolution, even; doubled at every level."""
    blocks: tuple[int, ...] = (4, 6, 6, 8)
    """Blocks per level, fine to coarse; the decoder has the same, but none at the coarsest."""
    refinement: int = 4
    """Blocks at full resolution after the decoder."""
    heads: tuple[int, ...] = (1, 2, 4, 8)
    """Heads of attention per level, fine to coarse."""
    expansion: float = 2.66
    """Channels between the two halves of a feed-forward network, per channel of its level."""
    bias: bool = False
    """Of all convolutions but those that change the resolution."""

    def __post_init__(self) -> None:
        if not len(self.blocks) == len(self.heads) == LEVELS:
            found = f"{len(self.blocks)} and {len(self.heads)}"
            raise ValueError(f"blocks and heads must be given for {LEVELS} levels, got {found}")
        if not 2 <= self.width <= MAX_WIDTH or self.width % 2:
            raise ValueError(f"width must be even in [2, {MAX_WIDTH}], got {self.width}")
        for blocks in (*self.blocks, self.refinement):
            if not 1 <= blocks <= MAX_BLOCKS:
                raise ValueError(f"blocks per level must lie in [1, {MAX_BLOCKS}], got {blocks}")
        for channels, heads in zip(self.channels, self.heads, strict=True):
            if heads < 1 or channels % heads:
                raise ValueError(f"heads must divide {channels} channels, got {heads}")
        if not 1 <= self.expansion <= MAX_EXPANSION:
            raise ValueError(f"expansion must lie in [1, {MAX_EXPANSION}], got {self.expansion}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels per level, fine to coarse."""
        return tuple(self.width * 2**level for level in range(LEVELS))


class GatedFeedForward(nn.Module):
    """Gated-Dconv feed-forward network (GDFN), Eqs. 2 and 3: W (gelu(A) * B).

    A and B are the two halves of a 1x1 and then depthwise 3x3 convolution of x.

    Args:
        channels: of input and output.
        hidden: channels of A and of B.
        bias: of the convolutions.
    """

    def __init__(self, channels: int, hidden: int, *, bias: bool = False) -> None:
        super().__init__()
        wide = 2 * hidden
        self.project_in = nn.Conv2d(channels, wide, 1, bias=bias)
        self.dwconv = nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=bias)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Each pixel by itself, but for the 3x3."""
        opening, content = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        out: Tensor = self.project_out(F.gelu(opening) * content)
        return out


class TransformerBlock(nn.Module):
    """Two residual halves: y = x + attention(norm1(x)), out = y + feed_forward(norm2(y)).

    Args:
        config: heads, expansion and bias.
        level: 0 at full resolution.
        channels: of input and output.
    """

    def __init__(self, config: RestormerConfig, level: int, channels: int) -> None:
        super().__init__()
        hidden, bias = int(channels * config.expansion), config.bias
        self.norm1 = _named("body", ChannelNorm(channels, eps=1e-5))
        self.attn = TransposedAttention(channels, config.heads[level], stride=2**level, bias=bias)
        self.norm2 = _named("body", ChannelNorm(channels, eps=1e-5))
        self.ffn = GatedFeedForward(channels, hidden, bias=bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Both halves in turn."""
        y: Tensor = x + self.attn(self.norm1(x))
        out: Tensor = y + self.ffn(self.norm2(y))
        return out


class Restormer(nn.Module):
    """Predicts the difference between a blurry image and the sharp one, and adds it.

    Args:
        config: blocks and channels; the default is the published network.
    """

    multiple = 2 ** (LEVELS - 1)
    """Sides that divide by this need no padding inside."""

    def __init__(self, config: RestormerConfig | None = None) -> None:
        super().__init__()
        self.config = config or RestormerConfig()
        c1, c2, c3, c4 = self.config.channels
        # The finest level of the decoder keeps what it is given by both sides.
        fine, bias = 2 * c1, self.config.bias
        self.patch_embed = _named("proj", nn.Conv2d(3, c1, 3, padding=1, bias=bias))
        self.encoder_level1 = self._level(0)
        self.down1_2 = _down(c1)
        self.encoder_level2 = self._level(1)
        self.down2_3 = _down(c2)
        self.encoder_level3 = self._level(2)
        self.down3_4 = _down(c3)
        self.latent = self._level(3)
        self.up4_3 = _up(c4)
        self.reduce_chan_level3 = nn.Conv2d(2 * c3, c3, 1, bias=bias)
        self.decoder_level3 = self._level(2)
        self.up3_2 = _up(c3)
        self.reduce_chan_level2 = nn.Conv2d(2 * c2, c2, 1, bias=bias)
        self.decoder_level2 = self._level(1)
        self.up2_1 = _up(c2)
        self.decoder_level1 = _blocks(self.config, 0, self.config.blocks[0], fine)
        self.refinement = _blocks(self.config, 0, self.config.refinement, fine)
        self.output = nn.Conv2d(fine, 3, 3, padding=1, bias=bias)

    @property
    def ending(self) -> nn.Conv2d:
        """The last convolution: where its weights are 0, the network does nothing."""
        return self.output

    @property
    def receptive_radius(self) -> int:
        """Pixels of the image on each side of a pixel that it depends on, attention left aside."""
        # Two convolutions in each block, and one before each change of the resolution.
        levels = [(2**level, 2 * n) for level, n in enumerate(self.config.blocks)]
        (_, finest), *coarser = levels
        down = [(stride, n + 1) for stride, n in reversed(levels[:-1])]
        up = [(stride, n + 1) for stride, n in coarser]
        fine = [(1, 1 + 2 * self.config.refinement + finest)]
        return receptive_radius([*fine, *up, *down, (1, 1)])

    def forward(self, blurry: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The sharp image, not clamped."""
        h, w = blurry.shape[-2:]
        return self.restore(pad_to_multiple(blurry, self.multiple))[..., :h, :w]

    def restore(self, padded: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The same for images whose sides divide by `multiple`."""
        skip1 = self.encoder_level1(self.patch_embed(padded))  # b c h w
        skip2 = self.encoder_level2(self.down1_2(skip1))  # b 2c h/2 w/2
        skip3 = self.encoder_level3(self.down2_3(skip2))  # b 4c h/4 w/4
        x = self.latent(self.down3_4(skip3))  # b 8c h/8 w/8
        x = self.reduce_chan_level3(torch.cat([self.up4_3(x), skip3], dim=1))
        x = self.decoder_level3(x)  # b 4c h/4 w/4
        x = self.reduce_chan_level2(torch.cat([self.up3_2(x), skip2], dim=1))
        x = self.decoder_level2(x)  # b 2c h/2 w/2
        x = self.decoder_level1(torch.cat([self.up2_1(x), skip1], dim=1))  # b 2c h w
        sharp: Tensor = padded + self.output(self.refinement(x))
        return sharp

    def _level(self, level: int) -> nn.Sequential:
        config = self.config
        return _blocks(config, level, config.blocks[level], config.channels[level])


def _blocks(config: RestormerConfig, level: int, count: int, channels: int) -> nn.Sequential:
    return nn.Sequential(*(TransformerBlock(config, level, channels) for _ in range(count)))


def _named(name: str, module: nn.Module) -> nn.Sequential:
    """The module under one name more, as published checkpoints have it."""
    return nn.Sequential(OrderedDict({name: module}))


def _down(channels: int) -> nn.Sequential:
    """Half the height and width, twice the channels."""
    conv = nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False)
    return _named("body", nn.Sequential(conv, nn.PixelUnshuffle(2)))


def _up(channels: int) -> nn.Sequential:
    """Twice the height and width, half the channels."""
    conv = nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False)
    return _named("body", nn.Sequential(conv, nn.PixelShuffle(2)))
