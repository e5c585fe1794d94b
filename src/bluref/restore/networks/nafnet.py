"""NAFNet, the deblurring network: a U-shape of blocks without activation functions.

Chen, Chu, Zhang, Sun: Simple Baselines for Image Restoration, ECCV 2022. Images of any size go
in: right and bottom are padded with zeros to `multiple` inside and cut off again. Modules carry
the names of the published checkpoints, so that those load by key.

Fastest as `model.to(memory_format=torch.channels_last)` with inputs in the same format, and there
under bfloat16 autocast where the hardware has it.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bluref.restore.networks.pooling import ContextMean
from bluref.restore.tiling.reach import receptive_radius

STRIP_BYTES = 2 * 2**20
"""What of the widest map in a block a core computes at a time: about what its cache holds."""

_FEWEST_ROWS = 8  # two more are computed for nothing

MAX_WIDTH, MAX_LEVELS, MAX_BLOCKS = 1024, 8, 256


@dataclass(frozen=True)
class NAFNetConfig:
    """The shape of a NAFNet.

    Raises:
        ValueError: a value out of range, or `encoder` and `decoder` differ in length.
    """

    width: int = 32
    """Channels at full resolution, doubled at every level."""
    encoder: tuple[int, ...] = (1, 1, 1, 28)
    """Blocks per level, fine to coarse."""
    middle: int = 1
    """Blocks at the coarsest level."""
    decoder: tuple[int, ...] = (1, 1, 1, 1)
    """Blocks per level, coarse to fine."""

    def __post_init__(self) -> None:
        levels = len(self.encoder)
        if levels != len(self.decoder):
            raise ValueError(f"encoder has {levels} levels, decoder {len(self.decoder)}")
        if not 1 <= levels <= MAX_LEVELS:
            raise ValueError(f"levels must lie in [1, {MAX_LEVELS}], got {levels}")
        if not 1 <= self.width <= MAX_WIDTH:
            raise ValueError(f"width must lie in [1, {MAX_WIDTH}], got {self.width}")
        for blocks in (*self.encoder, self.middle, *self.decoder):
            if not 0 <= blocks <= MAX_BLOCKS:
                raise ValueError(f"blocks per level must lie in [0, {MAX_BLOCKS}], got {blocks}")


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, biased variance.

    Args:
        channels: length of the normalised axis.
        eps: added to the variance; above 0.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise; in channels_last both permutations are views and nothing is copied.

        Where it learns, in single precision: given bfloat16, torch's CPU kernel adds the gradients
        of weight and bias up in bfloat16, over all pixels, and is wrong by half and more.
        """
        pixels = x.permute(0, 2, 3, 1)  # b h w c
        if torch.is_grad_enabled() and x.dtype == torch.bfloat16:
            pixels = pixels.float()
        normal = F.layer_norm(pixels, (x.shape[1],), self.weight, self.bias, self.eps)
        return normal.permute(0, 3, 1, 2)


def gate(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c//2 h w"]:
    """Multiply the first half of the channels by the second (SimpleGate)."""
    first, second = x.chunk(2, dim=1)
    return first * second


def strips_of(x: Float[Tensor, "b c h w"]) -> list[slice]:
    """Rows to work on together, so that what is computed from them stays in the processor's cache.

    All rows at once where gradients or a graph are asked for, and off the CPU.
    """
    h = x.shape[-2]
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return [slice(0, h)]
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return [slice(0, h)]
    row = 2 * x.element_size() * x.numel() // h  # of the widest map in a block
    together = STRIP_BYTES * torch.get_num_threads()  # every strip waits for the slowest core
    rows = max(_FEWEST_ROWS, together // max(1, row))
    return [slice(top, min(top + rows, h)) for top in range(0, h, rows)]


class NAFBlock(nn.Module):
    """Two residual halves, spatial and channel-wise, each scaled by a learned factor from zero.

    y = x + beta * conv3(a * attend(a)), a = gate(conv2(conv1(norm1(x)))), conv2 depthwise 3x3;
    out = y + gamma * conv5(gate(conv4(norm2(y)))). `attend` is a 1x1 convolution of channel means.

    Args:
        channels: of input and output.
        stride: pixels of the image per pixel of the feature map; scales the local pooling.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.norm1 = ChannelNorm(channels)
        self.conv1 = nn.Conv2d(channels, wide, 1)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, groups=wide)
        self.sca = nn.Sequential(ContextMean(stride), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.norm2 = ChannelNorm(channels)
        self.conv4 = nn.Conv2d(channels, wide, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Both halves in turn."""
        strips = strips_of(x)
        spatial = _Scaled(self.conv3, self.beta)
        channelwise = _Scaled(self.conv5, self.gamma)
        if len(strips) == 1:
            a = gate(self.conv2(self.conv1(self.norm1(x))))
            return self._rest(x, a * self.sca(a), spatial, channelwise)
        a = torch.cat([self._gated(x, strip) for strip in strips], dim=2)
        seen = self.sca(a).expand_as(a)
        rest = [
            self._rest(x[:, :, strip], a[:, :, strip] * seen[:, :, strip], spatial, channelwise)
            for strip in strips
        ]
        return torch.cat(rest, dim=2)

    def _gated(self, x: Float[Tensor, "b c h w"], strip: slice) -> Float[Tensor, "b c n w"]:
        """The gated depthwise convolution in some rows; it needs one more above and below."""
        top, bottom, h = strip.start, strip.stop, x.shape[-2]
        wide = self.conv1(self.norm1(x[:, :, max(top - 1, 0) : bottom + 1]))
        if top == 0 or bottom == h:
            wide = F.pad(wide, (0, 0, int(top == 0), int(bottom == h)))
        conv = self.conv2
        return gate(F.conv2d(wide, conv.weight, conv.bias, 1, (0, 1), 1, conv.groups))

    def _rest(
        self,
        x: Float[Tensor, "b c h w"],
        attended: Float[Tensor, "b c h w"],
        spatial: "_Scaled",
        channelwise: "_Scaled",
    ) -> Float[Tensor, "b c h w"]:
        """All that looks at each pixel by itself."""
        y = x + spatial(attended)
        return y + channelwise(gate(self.conv4(self.norm2(y))))


class _Scaled:
    """A convolution times a factor, by scaling its weights: one pass over the map less."""

    def __init__(self, conv: nn.Conv2d, factor: Tensor) -> None:
        scale = factor.flatten()
        self.weight = conv.weight * scale[:, None, None, None]
        self.bias = None if conv.bias is None else conv.bias * scale

    def __call__(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return F.conv2d(x, self.weight, self.bias)


class NAFNet(nn.Module):
    """Predicts the difference between a blurry image and the sharp one, and adds it.

    Args:
        config: blocks and channels; the default is the published network of width 32.
    """

    def __init__(self, config: NAFNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or NAFNetConfig()
        widths = [self.config.width * 2**i for i in range(len(self.config.encoder) + 1)]
        self.intro = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(
            _blocks(n, widths[i], 2**i) for i, n in enumerate(self.config.encoder)
        )
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle_blks = _blocks(self.config.middle, widths[-1], self.multiple)
        coarse_to_fine = widths[::-1]
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, 4 * b, 1, bias=False), nn.PixelShuffle(2))
            for a, b in pairwise(coarse_to_fine)
        )
        self.decoders = nn.ModuleList(
            _blocks(n, c, c // widths[0])
            for n, c in zip(self.config.decoder, coarse_to_fine[1:], strict=True)
        )
        self.ending = nn.Conv2d(widths[0], 3, 3, padding=1)

    @property
    def multiple(self) -> int:
        """Sides that divide by this need no padding inside."""
        return int(2 ** len(self.config.encoder))

    @property
    def receptive_radius(self) -> int:
        """Pixels of the image on each side of a pixel that it depends on, means left aside."""
        encoder = [(2**level, n) for level, n in enumerate(self.config.encoder)]
        decoder = [(2**level, n) for level, n in enumerate(reversed(self.config.decoder))]
        middle = (self.multiple, self.config.middle)
        return receptive_radius([(1, 1), *decoder, middle, *reversed(encoder), (1, 1)])

    def forward(self, blurry: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The sharp image, not clamped."""
        h, w = blurry.shape[-2:]
        padded = F.pad(blurry, (0, -w % self.multiple, 0, -h % self.multiple))
        return self.restore(padded)[..., :h, :w]

    def restore(self, padded: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The same for images whose sides divide by `multiple`."""
        # Images stay in float32 when the network is in another format.
        x = self.intro(padded.to(self.intro.weight.dtype))
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)  # b 2c h/2 w/2
        x = self.middle_blks(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(up(x) + skips.pop())  # b c/2 2h 2w
        sharp: Tensor = padded + self.ending(x)
        return sharp


def _blocks(count: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(channels, stride) for _ in range(count)))
