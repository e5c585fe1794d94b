import pytest
import torch

from bluref.errors import UserError
from bluref.restore.networks.backbones import BACKBONES, build_backbone


@pytest.mark.parametrize(
    ("name", "millions"),
    [("nafnet-w32", 17.11), ("nafnet-w64", 67.89), ("light", 8.70), ("restormer", 26.13)],
)
def test_the_networks_have_the_published_number_of_parameters(name, millions):
    with torch.device("meta"):
        network = build_backbone(name)
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("name", ["small", "restormer-small"])
def test_the_small_ones_have_about_a_million(name):
    with torch.device("meta"):
        count = sum(p.numel() for p in build_backbone(name).parameters())
    assert 0.9e6 < count < 1.2e6


@pytest.mark.parametrize("name", BACKBONES)
def test_sides_are_halved_four_times_by_a_nafnet_and_three_times_by_a_restormer(name):
    with torch.device("meta"):
        assert build_backbone(name).multiple == (8 if name.startswith("restormer") else 16)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_ending_is_the_last_convolution(name):
    with torch.device("meta"):
        network = build_backbone(name)
    assert list(network.children())[-1] is network.ending
    assert network.ending.out_channels == 3


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown backbone 'nafnet'") as caught:
        build_backbone("nafnet")
    assert all(name in caught.value.fix for name in BACKBONES)
