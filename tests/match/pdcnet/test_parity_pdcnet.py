"""PDC-Net+ equals the published network: same weights, same pictures, same answers."""

import pytest
import torch
import torch.nn.functional as F

from bluref.match.pdcnet.config import PAPER
from bluref.match.pdcnet.convert import pdcnet_from_state_dict
from bluref.match.pdcnet.matcher import working_size
from bluref.match.pdcnet.mixture import probability_within
from bluref.match.pdcnet.network import PDCNet
from bluref.match.pdcnet.pyramid import unit_length

pytestmark = pytest.mark.slow

BOUND = 1e-4  # of the tensor's standard deviation, root mean square


@pytest.fixture(scope="module")
def network(parity) -> PDCNet:
    return pdcnet_from_state_dict(parity.weights("pdcnet_plus/pdcnet_state_dict.json")).eval()


@pytest.fixture(scope="module")
def outputs(parity):
    return parity.outputs("pdcnet_plus/pdcnet_reference_outputs.npz")


def picture(outputs, name):
    image = outputs[name][None].float() / 255
    taken = working_size(tuple(image.shape[-2:]), least=PAPER.coarse_side)
    return F.interpolate(image, taken, mode="area")


def answers(network, target, source):
    with torch.inference_mode():
        a, b = network.encode(target), network.encode(source)
        found = network(a, b)
        scores = network.global_gocor(unit_length(a.coarse[16]), unit_length(b.coarse[16]))
    given = {"global_gocor_out": scores}
    for level, estimate in found.items():
        given[f"flow{level}"] = estimate.flow
        given[f"log_var{level}"] = estimate.log_variance
        given[f"weight{level}"] = estimate.logits
        given[f"p_r{level}"] = probability_within(estimate, 1.0)
    return given


def deviation(ours, reference):
    return ((ours - reference).square().mean().sqrt() / reference.std()).item()


@pytest.fixture(scope="module")
def ours(network, outputs):
    return answers(network, picture(outputs, "target"), picture(outputs, "source"))


NAMES = [
    f"{what}{level}" for level in (4, 3, 2, 1) for what in ("flow", "log_var", "weight", "p_r")
]


@pytest.mark.parametrize("name", ["global_gocor_out", *NAMES])
def test_parity_of_every_tensor(ours, outputs, name):
    assert deviation(ours[name][0], outputs[name]) < BOUND


def test_parity_holds_within_a_batch(network, outputs):
    target, source = picture(outputs, "target"), picture(outputs, "source")
    both = answers(network, torch.cat((source, target)), torch.cat((target, source)))
    assert deviation(both["flow1"][1], outputs["flow1"]) < BOUND


def test_parity_fails_with_rotated_channels(network, outputs):
    target, source = (picture(outputs, name).roll(1, dims=1) for name in ("target", "source"))
    assert deviation(answers(network, target, source)["flow1"][0], outputs["flow1"]) > 10 * BOUND


def test_parity_weights_make_a_matcher_for_any_size(network, outputs):
    from bluref.match.pdcnet.matcher import PDCMatcher

    matcher = PDCMatcher(network, "reference")
    target, source = (
        F.interpolate(outputs[name][None].float() / 255, (261, 331), mode="bilinear")
        for name in ("target", "source")
    )
    match = matcher.match(matcher.encode(target), matcher.encode(source))
    # Level 1 of the picture at 256 x 328, the next multiples of 8 below, brought back to size.
    small = [F.interpolate(x, (256, 328), mode="area") for x in (target, source)]
    flow = F.interpolate(
        answers(network, *small)["flow1"], (261, 331), mode="bilinear", align_corners=False
    )
    expected = flow * torch.tensor([331 / 328, 261 / 256]).view(1, 2, 1, 1)
    assert deviation(match.flow, expected) < BOUND  # the layout in memory differs
