import pytest
import torch

from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig
from bluref.restore.tiling.reach import receptive_radius
from bluref.restore.tiling.survey import given_sums, listening, no_sums

SHAPES = [
    NAFNet(NAFNetConfig(width=2, encoder=(1, 2), middle=1, decoder=(2, 1))),
    NAFNet(NAFNetConfig(width=2, encoder=(1, 0, 1), middle=2, decoder=(1, 0, 1))),
    Restormer(RestormerConfig(width=2, blocks=(1, 1, 1, 1), refinement=2, heads=(1, 1, 1, 1))),
]


def randomised(network):
    random = torch.Generator().manual_seed(0)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.5
    return network.double().eval()


def reached(network, image, pixel):
    """How far from `pixel` of a row in the middle the output depends on the input."""
    image = image.clone().requires_grad_()
    network(image)[..., image.shape[-2] // 2, pixel].sum().backward()
    told = image.grad.abs().sum(dim=(0, 1, 2)).nonzero()[:, 0]
    return max(pixel - told.min().item(), told.max().item() - pixel)


@pytest.mark.slow
@pytest.mark.parametrize("network", SHAPES, ids=["nafnet", "uneven nafnet", "restormer"])
def test_no_pixel_farther_than_the_radius_matters_and_one_at_it_does(network):
    network = randomised(network)
    side = 2 * network.multiple * (network.receptive_radius // network.multiple + 2)
    image = torch.rand(1, 3, 2 * network.multiple, side, dtype=torch.float64)
    sums = no_sums(network)
    with listening(sums), torch.no_grad():
        network(image)
    with given_sums(sums):  # means of the whole map would reach everywhere
        found = [reached(network, image, side // 2 + i) for i in range(network.multiple)]
    assert max(found) == network.receptive_radius


def test_a_chain_of_convolutions_reaches_one_pixel_each():
    assert receptive_radius([(1, 3)]) == 3
    assert receptive_radius([(1, 1), (2, 1), (1, 1)]) == 5
