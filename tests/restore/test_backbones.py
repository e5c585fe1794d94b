import pytest
import torch

from bluref.errors import UserError
from bluref.restore.backbones import BACKBONES, build_backbone


@pytest.mark.parametrize(
    ("name", "millions"), [("nafnet-w32", 17.11), ("nafnet-w64", 67.89), ("light", 8.70)]
)
def test_the_networks_have_the_published_number_of_parameters(name, millions):
    with torch.device("meta"):
        network = build_backbone(name)
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == millions


@pytest.mark.parametrize("name", BACKBONES)
def test_all_have_four_levels(name):
    with torch.device("meta"):
        assert build_backbone(name).multiple == 16


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="unknown backbone 'nafnet'") as caught:
        build_backbone("nafnet")
    assert all(name in caught.value.fix for name in BACKBONES)
