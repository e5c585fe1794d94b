import pytest
import torch

from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.pooling import ContextMean, local_pooling
from bluref.restore.networks.restormer import Restormer, RestormerConfig
from bluref.restore.tiling.survey import given_sums, listening, no_sums, sample


def randomised(network):
    random = torch.Generator().manual_seed(0)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.3
    return network.double().eval()


NETWORKS = [
    randomised(NAFNet(NAFNetConfig(width=4, encoder=(1, 1), middle=1, decoder=(1, 1)))),
    randomised(Restormer(RestormerConfig(width=4, blocks=(1, 1, 1, 1), heads=(1, 2, 1, 1)))),
]


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=["nafnet", "restormer"])
@torch.no_grad()
def test_a_picture_given_its_own_sums_is_as_it_was(network):
    image = torch.rand(1, 3, 32, 48, dtype=torch.float64)
    plain, sums = network(image), no_sums(network)
    with listening(sums):
        torch.testing.assert_close(network(image), plain)
    with given_sums(sums):
        torch.testing.assert_close(network(image), plain)
    assert torch.equal(network(image), plain)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS, ids=["nafnet", "restormer"])
@torch.no_grad()
def test_sums_of_another_picture_matter(network):
    image, other = torch.rand(2, 1, 3, 32, 48, dtype=torch.float64)
    sums = no_sums(network)
    with listening(sums):
        network(other * 0.1)
    with given_sums(sums):
        given = network(image)
    assert not torch.allclose(given, network(image), atol=1e-3)


def test_halves_have_together_the_mean_of_the_whole():
    pool, image = ContextMean(stride=1), torch.rand(1, 2, 6, 8)
    sums = no_sums(pool)
    with listening(sums):
        pool(image[..., :4])
        pool(image[..., 4:])
    with given_sums(sums):
        torch.testing.assert_close(pool(image[..., :4]), image.mean((-2, -1), keepdim=True))


def test_local_pooling_neither_listens_nor_takes_what_is_given():
    pool, image = ContextMean(stride=1), torch.rand(1, 2, 16, 16)
    local_pooling(pool, 4)
    plain, sums = pool(image), no_sums(pool)
    with listening(sums):
        pool(image)
    assert sums == {pool: []}
    with given_sums({pool: [torch.zeros(1, 2, 1, 1)]}):
        assert torch.equal(pool(image), plain)


def test_a_sample_is_spread_evenly_and_never_too_large():
    assert sample(3, 16) == [0, 1, 2]
    assert sample(16, 16) == list(range(16))
    assert sample(160, 16) == list(range(0, 160, 10))
