"""ImageNet weights for the VGG pyramids, in torchvision's format but without torchvision.

torchvision's VGG-16 is one chain, `features`, of convolutions, rectifications and poolings that are
numbered from 0; where in it the convolutions of our pyramid lie, is counted here.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from bluref.errors import UserError
from bluref.match.pdcnet.network import PDCNet
from bluref.match.pdcnet.pyramid import VGG_GROUPS, VGGPyramid

_FIX = "give torchvision's weights of VGG-16 without batch norm, vgg16-*.pth"


def _places() -> dict[str, str]:
    """Names of the pyramid's convolutions, and those of torchvision."""
    places = {}
    place = 0
    for group, widths in enumerate(VGG_GROUPS):
        for number in range(len(widths)):
            places[f"groups.{group}.{number}"] = f"features.{place}"
            place += 2  # the convolution and its rectification
        place += 1  # the pooling
    return places


PLACES = _places()
"""Where each convolution of `VGGPyramid` lies in torchvision's VGG-16, features.0 to 21."""


def pyramid_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `VGGPyramid` from torchvision's VGG-16.

    Args:
        state: `features.0.weight` to `features.21.bias`; the rest, such as `classifier.*`, is left.

    Raises:
        UserError: a name is missing or a shape is not VGG-16's.
    """
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in VGGPyramid().state_dict().items()}
    found = {}
    for name, shape in shapes.items():
        convolution, kind = name.rsplit(".", 1)
        theirs = f"{PLACES[convolution]}.{kind}"
        if theirs not in state:
            raise UserError(f"the weights are not those of VGG-16: no {theirs!r}", _FIX)
        value = state[theirs]
        if value.shape != shape:
            problem = f"{theirs!r} has shape {tuple(value.shape)} instead of {tuple(shape)}"
            raise UserError(f"the weights are not those of VGG-16: {problem}", _FIX)
        found[name] = value
    return found


def load_imagenet(network: PDCNet, state: Mapping[str, Tensor]) -> None:
    """Fill the VGG pyramids of a network, be it one or two, as PDC-Net's training begins.

    Args:
        network: with VGG pyramids; all else in it stays.
        state: torchvision's VGG-16, see `pyramid_weights`.

    Raises:
        ValueError: the network has pyramids of its own kind.
        UserError: the weights do not fit; the network is as it was.
    """
    pyramids = [p for p in (network.pyramid, network.coarse_pyramid) if p is not None]
    if not all(isinstance(pyramid, VGGPyramid) for pyramid in pyramids):
        raise ValueError(f"network must have VGG pyramids, got {network.config.name!r}")
    weights = pyramid_weights(state)
    for pyramid in pyramids:
        pyramid.load_state_dict(weights)
