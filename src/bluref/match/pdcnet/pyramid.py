"""Feature pyramids: VGG-16 up to its fourth pooling, and a small one that is trained from scratch.

A pyramid maps a picture to features by stride: {4: ..., 8: ..., 16: ...}. It takes what its own
`normalised` makes of RGB in [0, 1].
"""

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Pyramid = dict[int, Float[Tensor, "b _ _ _"]]

STRIDES = (4, 8, 16)

# Channels of VGG-16's convolutions up to pool4, and the stride after each group.
VGG_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGGPyramid(nn.Module):
    """VGG-16 (Simonyan and Zisserman, 2015) with features taken after each pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = {4: 128, 8: 256, 16: 512}
        self.groups = nn.ModuleList()
        before = 3
        for widths in VGG_GROUPS:
            chain = (before, *widths)
            self.groups.append(
                nn.ModuleList(
                    nn.Conv2d(a, b, 3, padding=1) for a, b in zip(chain[:-1], widths, strict=True)
                )
            )
            before = widths[-1]

    @staticmethod
    def normalised(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """By the mean and deviation of ImageNet."""
        mean = image.new_tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
        std = image.new_tensor(IMAGENET_STD).view(1, 3, 1, 1)
        return (image - mean) / std

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Pyramid:
        """Features after the second, third and fourth pooling."""
        features = {}
        for number, group in enumerate(self.groups, start=1):
            for convolution in group:  # type: ignore[attr-defined]
                x = F.relu(convolution(x))
            x = F.max_pool2d(x, 2)
            features[2**number] = x
        return {stride: features[stride] for stride in STRIDES}


class _Residual(nn.Module):
    """Halves the resolution, then adds what two more convolutions find."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.first = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        x = F.leaky_relu(self.down(x), 0.1)
        found: Tensor = x + self.second(F.leaky_relu(self.first(x), 0.1))
        return found


class SmallPyramid(nn.Module):
    """A few convolutions per stride, features normalised over channels.

    Args:
        widths: channels at strides 2, 4, 8 and 16.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.channels = dict(zip(STRIDES, widths[1:], strict=True))
        self.stem = nn.Conv2d(3, widths[0], 5, stride=2, padding=2)
        self.groups = nn.ModuleList(_Residual(a, b) for a, b in itertools.pairwise(widths))

    @staticmethod
    def normalised(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """To [-1, 1]."""
        return image * 2 - 1

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Pyramid:
        """Features at strides 4, 8 and 16, of zero mean and unit variance over channels."""
        x = F.leaky_relu(self.stem(x), 0.1)
        features = {}
        for stride, group in zip(STRIDES, self.groups, strict=True):
            x = group(x)
            features[stride] = _standardised(x)
        return features


def _standardised(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Zero mean and unit variance over the channels of each pixel."""
    return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2]).permute(0, 3, 1, 2)


def unit_length(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Each pixel's feature divided by its length."""
    return x / (x.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
