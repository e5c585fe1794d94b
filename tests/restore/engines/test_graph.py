import pytest
import torch

from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines.graph import Graph
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.pooling import stages
from bluref.restore.networks.restormer import Restormer, RestormerConfig

# Smaller than the pooling window of 48, as large, larger in one direction and in both.
SIZES = [(1, 1), (1, 70), (5, 8), (48, 48), (33, 100), (97, 61)]


@pytest.fixture
def network():
    random = torch.Generator().manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, encoder=(1, 1, 1), middle=1, decoder=(1, 1, 1)))
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.2
    return network


@pytest.mark.slow
@pytest.mark.parametrize("training_size", [32, 37, None])
def test_the_graph_does_what_the_deblurrer_does_at_any_size(network, training_size):
    graph = Graph(network, training_size)
    eager = Deblurrer(network, training_size=training_size, precision="fp32")
    for size in SIZES:
        image = torch.rand(2, 3, *size)
        torch.testing.assert_close(graph(image), eager(image), atol=1e-5, rtol=0)


def test_the_network_is_left_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    kinds = [type(module) for module in network.modules()]
    Graph(network, 32)
    assert [type(module) for module in network.modules()] == kinds
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_attention_in_windows_is_refused_and_global_attention_is_not():
    config = RestormerConfig(width=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 1, 2, 2))
    network = Restormer(config)
    with pytest.raises(UserError, match="local pooling cannot be exported"):
        Graph(network, 32)
    image = torch.rand(1, 3, 21, 40)
    eager = Deblurrer(network, training_size=None, precision="fp32")
    torch.testing.assert_close(Graph(network, None)(image), eager(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", [*range(1, 200), 576, 997])
def test_short_sums_make_up_the_window(window):
    found = stages(window)
    assert torch.tensor([1, *found]).prod() == window
    assert all(part <= 16 or all(part % d for d in range(2, part)) for part in found)
