import pytest
import torch

from bluref.errors import UserError
from bluref.restore.convert import nafnet_from_state_dict
from bluref.restore.nafnet import NAFNet, NAFNetConfig

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
