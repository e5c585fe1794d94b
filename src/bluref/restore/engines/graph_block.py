"""A NAFBlock for engines that run a graph as it is written: the same numbers in fewer passes.

On a CPU such a graph is bound by how often it walks over the maps. Constants are multiplied into
the weights, halves are made apart so that none has to be cut out, and the mean and variance of a
pixel's channels come out of small convolutions, with which engines join what follows.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bluref.restore.networks.nafnet import ChannelNorm, NAFBlock

_NARROW = 32  # channels up to which a convolution is cheaper than walking over the map once more


class GraphBlock(nn.Module):
    """What `NAFBlock` computes.

    Args:
        block: its weights are copied.
        pool: `b c h w` to means, `b c h w` or `b c 1 1`.
    """

    def __init__(self, block: NAFBlock, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool
        self.norm1, self.norm2 = _Norm(block.norm1), _Norm(block.norm2)
        conv1, conv4 = _after(block.norm1, block.conv1), _after(block.norm2, block.conv4)
        self.conv1, self.conv2 = _halves(conv1), _halves(block.conv2)
        self.conv4 = _halves(conv4)
        attend = block.sca[1]
        if not isinstance(attend, nn.Conv2d):
            raise TypeError(f"the attention ends in a convolution, not {type(attend).__name__}")
        self.attend = attend
        self.conv3, self.conv5 = _times(block.conv3, block.beta), _times(block.conv5, block.gamma)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Both halves in turn."""
        normal = self.norm1(x)
        first, second = (
            deep(point(normal)) for point, deep in zip(self.conv1, self.conv2, strict=True)
        )
        a = first * second
        y: Tensor = x + self.conv3(a * self.attend(self.pool(a)))
        normal = self.norm2(y)
        first, second = (point(normal) for point in self.conv4)
        out: Tensor = y + self.conv5(first * second)
        return out


class _Norm(nn.Module):
    """`ChannelNorm` without its weight and bias, which `_after` gives to the next convolution."""

    centre: Tensor
    mean: Tensor
    eps: Tensor

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        c = len(norm.weight)
        mean = torch.full((c, c, 1, 1), 1 / c)
        self.register_buffer("mean", mean)
        self.register_buffer("centre", torch.eye(c)[:, :, None, None] - mean)
        self.register_buffer("eps", torch.full((c,), norm.eps))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if len(self.eps) <= _NARROW:
            centred = F.conv2d(x, self.centre)
            return centred / F.conv2d(centred * centred, self.mean, self.eps).sqrt()
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return centred / (variance + self.eps[0]).sqrt()


def _after(norm: ChannelNorm, conv: nn.Conv2d) -> nn.Conv2d:
    """The 1x1 convolution that does the norm's weight and bias as well."""
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    matrix = conv.weight[:, :, 0, 0]
    return _conv(conv, conv.weight * norm.weight[:, None, None], bias + matrix @ norm.bias)


def _times(conv: nn.Conv2d, factor: Tensor) -> nn.Conv2d:
    """The convolution times a factor per channel."""
    scale = factor.flatten()
    bias = None if conv.bias is None else conv.bias * scale
    return _conv(conv, conv.weight * scale[:, None, None, None], bias)


def _halves(conv: nn.Conv2d) -> nn.ModuleList:
    """The convolution to the first half of its channels, and that to the second."""
    biases = (None, None) if conv.bias is None else conv.bias.chunk(2)
    parts = zip(conv.weight.chunk(2), biases, strict=True)
    return nn.ModuleList(_conv(conv, weight, bias) for weight, bias in parts)


def _conv(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    depthwise = like.groups > 1
    made = nn.Conv2d(
        len(weight) if depthwise else like.in_channels,
        len(weight),
        (like.weight.shape[2], like.weight.shape[3]),
        padding=(like.weight.shape[2] // 2, like.weight.shape[3] // 2),
        groups=len(weight) if depthwise else 1,
        bias=bias is not None,
    )
    made.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return made
