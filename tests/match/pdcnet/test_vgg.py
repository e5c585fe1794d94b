from dataclasses import replace

import pytest
import torch
from torch import nn

from bluref.errors import UserError
from bluref.match.pdcnet.config import COMPACT, PAPER
from bluref.match.pdcnet.network import PDCNet
from bluref.match.pdcnet.pyramid import VGGPyramid
from bluref.match.pdcnet.vgg import load_imagenet, pyramid_weights

# Simonyan and Zisserman, configuration D, as far as pool4; M stands for a pooling.
LAYERS = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M")


@pytest.fixture(scope="module")
def vgg():
    """The chain that torchvision calls `features`, with random weights."""
    torch.manual_seed(0)
    chain, before = [], 3
    for layer in LAYERS:
        if layer == "M":
            chain.append(nn.MaxPool2d(2, 2))
        else:
            chain += [nn.Conv2d(before, layer, 3, padding=1), nn.ReLU()]
            before = layer
    assert len(chain) == 24
    return nn.Sequential(*chain)


@pytest.fixture(scope="module")
def state(vgg):
    state = {f"features.{name}": value for name, value in vgg.state_dict().items()}
    return {**state, "classifier.0.weight": torch.ones(2, 2), "features.24.weight": torch.ones(1)}


def light(**changes):
    """A network with VGG pyramids and little else."""
    return replace(COMPACT, pyramid=None, **changes)


def after_pooling(vgg, image):
    found, stride = {}, 1
    for layer in vgg:
        image = layer(image)
        if isinstance(layer, nn.MaxPool2d):
            stride *= 2
            found[stride] = image
    return {s: found[s] for s in (4, 8, 16)}


def test_features_after_each_pooling_are_those_of_the_plain_chain(vgg, state):
    pyramid = VGGPyramid()
    pyramid.load_state_dict(pyramid_weights(state))
    image = torch.randn(2, 3, 48, 32)
    with torch.no_grad():
        ours, theirs = pyramid(image), after_pooling(vgg, image)
    assert ours.keys() == theirs.keys()
    for stride, features in theirs.items():
        assert features.std() > 0
        torch.testing.assert_close(ours[stride], features)


@pytest.mark.slow
@pytest.mark.parametrize("own", [True, False])
def test_every_pyramid_is_filled_and_all_else_stays(vgg, state, own):
    network = PDCNet(light(own_coarse_pyramid=own))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    load_imagenet(network, state)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        found = network.encode(image)
        theirs = after_pooling(vgg, VGGPyramid.normalised(image))
    torch.testing.assert_close(found.fine[4], theirs[4])
    torch.testing.assert_close(found.coarse[16], theirs[16])  # 128 is the coarse side as well
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if k.startswith(("pyramid.", "coarse_pyramid."))}


def test_the_papers_network_has_such_pyramids():
    with torch.device("meta"):
        network = PDCNet(PAPER)
    assert isinstance(network.pyramid, VGGPyramid)
    assert isinstance(network.coarse_pyramid, VGGPyramid)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "features.21.bias"}, r"no 'features\.21"),
        (
            lambda s: {**s, "features.5.weight": s["features.2.weight"]},
            r"'features\.5\.weight' has",
        ),
        (lambda s: {**s, "features.0.weight": torch.ones(64, 3, 11, 11)}, r"\(64, 3, 11, 11\)"),
        (lambda _: {}, "no 'features"),
    ],
)
def test_other_weights_are_refused_and_change_nothing(state, spoil, message):
    network = PDCNet(light())
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_imagenet(network, spoil(state))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_a_network_without_vgg_is_misuse(state):
    with pytest.raises(ValueError, match="compact"):
        load_imagenet(PDCNet(COMPACT), state)
