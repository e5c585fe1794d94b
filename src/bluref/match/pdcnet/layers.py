"""The convolutional parts: decoders of flow and of uncertainty."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LEAK = 0.1


def convolution(
    inputs: int, outputs: int, *, side: int = 3, dilation: int = 1, padded: bool = True, norm: bool
) -> nn.Sequential:
    """Convolution, and batch norm if wished; a 1x1 one has no bias."""
    padding = dilation * (side // 2) if padded else 0
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, side, padding=padding, dilation=dilation, bias=side > 1)
    ]
    if norm:
        parts.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*parts)


def block(
    inputs: int, outputs: int, *, dilation: int = 1, padded: bool = True, norm: bool
) -> nn.Sequential:
    """The same, then a leaky ReLU."""
    layers = convolution(inputs, outputs, dilation=dilation, padded=padded, norm=norm)
    return layers.append(nn.LeakyReLU(LEAK))


def side_by_side(
    first: Float[Tensor, "b _ h w"], *others: Float[Tensor, "b _ h w"]
) -> Float[Tensor, "b c h w"]:
    """Maps as the channels of one, with the precision and the layout in memory of the first.

    That is the large one, of what convolutions gave; a flow of two channels beside it in float32
    would else have all of it copied twice, to float32 and back.
    """
    layout = torch.channels_last if is_channels_last(first) else torch.contiguous_format
    alike = (x.to(first.dtype).contiguous(memory_format=layout) for x in others)
    return torch.cat((first, *alike), dim=1)


def is_channels_last(x: Float[Tensor, "b c h w"]) -> bool:
    """Whether the channels of a pixel lie side by side in memory, and not those of one channel."""
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class Decoder(nn.Module):
    """Scores and what is known so far to features and a flow (or mapping) of two channels.

    A chain of convolutions, each after a leaky ReLU but the first, with 1x1 shortcuts past two of
    them: from what the first gives to what the third does, and from there to the fifth.

    Args:
        inputs: channels of the input.
        widths: channels after each convolution, an odd number of them.
        norm: with batch norm.
    """

    def __init__(self, inputs: int, widths: Sequence[int], *, norm: bool) -> None:
        super().__init__()
        before = (inputs, *widths)
        self.blocks = nn.ModuleList(
            convolution(a, b, norm=norm) for a, b in zip(before[:-1], widths, strict=True)
        )
        self.shortcuts = nn.ModuleList(
            convolution(widths[i], widths[i + 2], side=1, norm=norm)
            for i in range(0, len(widths) - 2, 2)
        )
        self.head = nn.Conv2d(widths[-1], 2, 3, padding=1)

    def forward(
        self, known: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b 2 h w"]]:
        """(features, prediction)."""
        x = self.blocks[0](known)
        for i, shortcut in enumerate(self.shortcuts):
            within = self.blocks[2 * i + 1](F.leaky_relu(x, LEAK))
            x = self.blocks[2 * i + 2](F.leaky_relu(within, LEAK)) + shortcut(x)
        features = F.leaky_relu(x, LEAK)
        return features, self.head(features)


class Refinement(nn.Module):
    """Dilated convolutions that look at a wide neighbourhood, and correct the flow.

    Args:
        inputs: channels of the decoder's features and the flow together.
        widths: channels after each convolution.
        dilations: of each.
        norm: with batch norm.
    """

    def __init__(
        self, inputs: int, widths: Sequence[int], dilations: Sequence[int], *, norm: bool
    ) -> None:
        super().__init__()
        before = (inputs, *widths)
        self.blocks = nn.Sequential(
            *(
                block(a, b, dilation=d, norm=norm)
                for a, b, d in zip(before[:-1], widths, dilations, strict=True)
            )
        )
        self.head = nn.Conv2d(widths[-1], 2, 3, padding=1)

    def forward(
        self, known: Float[Tensor, "b c h w"]
    ) -> tuple[Float[Tensor, "b d h w"], Float[Tensor, "b 2 h w"]]:
        """(features, correction)."""
        x = self.blocks(known)
        return x, self.head(x)


class PatchUncertainty(nn.Module):
    """How peaked a pixel's correlation is: a small network on the patch of its scores.

    Args:
        widths: channels of its three convolutions.
        halve: pool after the first, for a patch of 16 x 16 rather than 9 x 9.
        norm: with batch norm.
    """

    OUTPUTS = 6

    def __init__(self, widths: Sequence[int], *, halve: bool, norm: bool) -> None:
        super().__init__()
        first, second, third = widths
        self.blocks = nn.ModuleList(
            (
                block(1, first, padded=False, norm=norm),
                block(first, second, padded=False, norm=norm),
                block(second, third, padded=False, norm=norm),
            )
        )
        self.pool = nn.MaxPool2d(2) if halve else nn.Identity()
        self.head = nn.Conv2d(third, self.OUTPUTS, 3)

    def forward(self, scores: Float[Tensor, "b o h w"]) -> Float[Tensor, "b 6 h w"]:
        """Each pixel's scores, o = side * side, to six numbers."""
        b, o, h, w = scores.shape
        side = round(o**0.5)
        x = scores.permute(0, 2, 3, 1).reshape(b * h * w, 1, side, side)
        x = self.pool(self.blocks[0](x))
        x = self.head(self.blocks[2](self.blocks[1](x)))
        found: Tensor = x.view(b, h, w, self.OUTPUTS).permute(0, 3, 1, 2)
        return found


class ScoreUncertainty(nn.Module):
    """The same from a pixel's scores as plain channels: a hundredth of the arithmetic.

    Args:
        scores: number of them per pixel.
        width: channels within.
    """

    OUTPUTS = 6

    def __init__(self, scores: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(scores, width, 1), nn.LeakyReLU(LEAK), nn.Conv2d(width, self.OUTPUTS, 1)
        )

    def forward(self, scores: Float[Tensor, "b o h w"]) -> Float[Tensor, "b 6 h w"]:
        """Each pixel's scores to six numbers."""
        found: Tensor = self.layers(scores)
        return found


class Uncertainty(nn.Module):
    """From all that is known to the parameters of the mixture: h, two logits, and perhaps more.

    Args:
        inputs: channels.
        outputs: number of parameters.
        widths: channels of its two convolutions.
        norm: with batch norm.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], *, norm: bool) -> None:
        super().__init__()
        first, second = widths
        self.blocks = nn.Sequential(
            block(inputs, first, norm=norm), block(first, second, norm=norm)
        )
        self.head = nn.Conv2d(second, outputs, 3, padding=1)

    def forward(
        self, features: Float[Tensor, "b _ h w"], *known: Float[Tensor, "b _ h w"]
    ) -> Float[Tensor, "b p h w"]:
        """The parameters from everything, concatenated."""
        found: Tensor = self.head(self.blocks(side_by_side(features, *known)))
        return found


def doubling() -> nn.ConvTranspose2d:
    """Upsamples two channels by two: a learned 4x4 transposed convolution, bilinear at first."""
    layer = nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1)
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(2):
            layer.weight[channel, channel] = tent[:, None] * tent
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
