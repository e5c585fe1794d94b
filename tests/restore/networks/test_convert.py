from dataclasses import replace

import pytest
import torch

from bluref.errors import UserError
from bluref.restore.networks.convert import nafnet_from_state_dict, restormer_from_state_dict
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig

CONFIG = NAFNetConfig(width=4, encoder=(2, 0, 1), middle=3, decoder=(1, 2, 0))


@pytest.mark.parametrize("nested", [False, True])
def test_shape_and_weights_come_from_the_state_dict(nested):
    network = NAFNet(CONFIG)
    state = network.state_dict()
    again = nafnet_from_state_dict({"params": state} if nested else state)
    assert again.config == CONFIG
    assert all(torch.equal(again.state_dict()[key], value) for key, value in state.items())


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: {},
        lambda _: {"params": torch.ones(3)},
        without("intro.weight"),
        without("middle_blks.1.conv3.bias"),
        lambda state: {**state, "encoders.0.0.extra": torch.ones(1)},
        lambda state: {**state, "ending.weight": torch.ones(1)},
        lambda state: {**state, "intro.weight": torch.ones(4096, 3, 3, 3)},
        lambda state: {**state, "encoders.0.999999999.beta": torch.ones(1)},
    ],
)
def test_foreign_weights_are_refused(spoil):
    with pytest.raises(UserError, match="not those of a NAFNet"):
        nafnet_from_state_dict(spoil(NAFNet(CONFIG).state_dict()))


RESTORMER = RestormerConfig(width=4, blocks=(2, 1, 1, 3), refinement=2, heads=(1, 2, 1, 4))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        RESTORMER,
        RestormerConfig(width=6, blocks=(1, 1, 1, 1), refinement=1, expansion=2.0, bias=True),
    ],
    ids=["published", "other"],
)
def test_a_restormers_shape_and_weights_come_from_the_state_dict(config, nested):
    config = replace(config, heads=(1, 2, 1, 4))
    state = Restormer(config).state_dict()
    again = restormer_from_state_dict({"params": state} if nested else state)
    hidden = [int(c * again.config.expansion) for c in config.channels]
    assert hidden == [int(c * config.expansion) for c in config.channels]
    assert replace(again.config, expansion=config.expansion) == config
    assert all(torch.equal(again.state_dict()[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: {},
        lambda _: {"params": torch.ones(3)},
        without("patch_embed.proj.weight"),
        without("latent.0.ffn.project_in.weight"),
        without("encoder_level2.0.norm1.body.bias"),  # the norms of its denoisers have none
        lambda state: {**state, "skip_conv.weight": torch.ones(1)},
        lambda state: {**state, "patch_embed.proj.weight": torch.ones(4, 6, 3, 3)},
        lambda state: {**state, "patch_embed.proj.weight": torch.ones(4096, 3, 3, 3)},
        lambda state: {**state, "latent.0.attn.temperature": torch.tensor(1.0)},
        lambda state: {**state, "latent.0.norm1.body.weight": torch.ones(0)},
        lambda state: {**state, "refinement.999999999.attn.temperature": torch.ones(1, 1, 1)},
    ],
)
def test_weights_foreign_to_a_restormer_are_refused(spoil):
    with pytest.raises(UserError, match="not those of a Restormer"):
        restormer_from_state_dict(spoil(Restormer(RESTORMER).state_dict()))
