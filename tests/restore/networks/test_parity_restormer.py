import pytest
import torch

from bluref.media.pixels import from_uint8
from bluref.restore.networks.convert import restormer_from_state_dict
from bluref.restore.networks.restormer import RestormerConfig

pytestmark = pytest.mark.slow

COARSE = "latent.0.attn.qkv.weight"


@pytest.fixture(scope="module")
def reference(parity):
    return parity.outputs("deblur/deblur_reference_outputs.npz")


@pytest.fixture(scope="module")
def weights(parity):
    return parity.weights("deblur/restormer_gopro_state_dict.json")


@pytest.fixture(scope="module")
def network(weights):
    return restormer_from_state_dict({"params": weights}).eval()


def largest_error(network, reference):
    """Of any value of the output, in standard deviations of the reference output."""
    answer = reference["restormer_gopro"]
    h, w = answer.shape[-2:]  # the reference saw the picture cut to multiples of 8
    image = from_uint8(reference["image"])[None, :, :h, :w]
    with torch.no_grad():
        output = network(image)[0]
    assert output.shape == answer.shape
    return ((output - answer).abs().max() / answer.std()).item()


def test_the_network_gives_the_answers_of_the_published_one(network, reference):
    assert largest_error(network, reference) < 1e-4


def test_the_names_of_its_weights_are_the_published_ones_in_their_order(network, weights):
    assert list(network.state_dict()) == list(weights)


def test_the_published_shape_is_the_default(network):
    assert network.config == RestormerConfig()


def swap_halves(x):
    return torch.cat(x.chunk(2)[::-1])


def rotate_heads(x):
    """Queries that go to the next of the eight heads."""
    q, k, v = x.chunk(3)
    return torch.cat([q.roll(len(q) // 8, dims=0), k, v])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (COARSE, lambda x: torch.cat(x.chunk(3)[::-1])),  # v, k, q
        (COARSE, rotate_heads),
        ("latent.0.ffn.project_in.weight", swap_halves),  # gelu on the other half
        ("reduce_chan_level2.weight", lambda x: swap_halves(x.mT).mT),  # skip, then upsampled
        ("down1_2.body.0.weight", lambda x: x.roll(1, dims=0)),
        ("decoder_level1.0.attn.temperature", lambda x: 1 / x),
        ("encoder_level1.0.norm1.body.bias", torch.zeros_like),
        ("output.weight", lambda x: x.roll(1, dims=0)),  # blue, red, green
    ],
)
def test_the_fixture_can_tell_every_wrong_order_and_a_forgotten_weight(
    weights, reference, name, wrong
):
    network = restormer_from_state_dict({**weights, name: wrong(weights[name])}).eval()
    assert largest_error(network, reference) > 1e-3
