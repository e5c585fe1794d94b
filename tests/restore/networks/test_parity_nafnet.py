import pytest
import torch

from bluref.media.pixels import from_uint8
from bluref.restore.networks.convert import nafnet_from_state_dict
from bluref.restore.networks.nafnet import NAFNetConfig
from bluref.restore.networks.pooling import local_pooling

pytestmark = pytest.mark.slow

TRAINING_SIZE = 48
CASES = [("nafnet_w32", None), ("nafnet_w32_local_tlc", TRAINING_SIZE)]


@pytest.fixture(scope="module")
def reference(parity):
    return parity.outputs("deblur/deblur_reference_outputs.npz")


@pytest.fixture(scope="module")
def network(parity):
    return nafnet_from_state_dict(parity.weights("deblur/nafnet_w32_state_dict.json")).eval()


def largest_error(network, reference, name, dtype):
    """Of any value of the output, in standard deviations of the reference output."""
    image, answer = from_uint8(reference["image"])[None].to(dtype), reference[name].to(dtype)
    with torch.no_grad():
        output = network.to(dtype)(image)[0]
    assert output.shape == answer.shape
    return ((output - answer).abs().max() / answer.std()).item()


# In float64 the error left is that of the fixtures, which are float32.
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 3e-5)])
@pytest.mark.parametrize(("name", "training_size"), CASES)
def test_the_network_gives_the_answers_of_the_published_one(
    network, reference, name, training_size, dtype, bound
):
    local_pooling(network, training_size)
    assert largest_error(network, reference, name, dtype) < bound


def test_the_two_fixtures_can_tell_local_from_global_pooling(network, reference):
    local_pooling(network, None)
    assert largest_error(network, reference, "nafnet_w32_local_tlc", torch.float32) > 1e-3


def test_the_shape_of_the_network_is_read_from_its_weights(network):
    assert network.config == NAFNetConfig(width=32, encoder=(1, 1, 1, 28))
