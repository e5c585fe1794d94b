"""The networks that can be asked for by name."""

from typing import TypeAlias

from bluref.errors import UserError
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig

Backbone: TypeAlias = NAFNet | Restormer

BACKBONES: dict[str, NAFNetConfig | RestormerConfig] = {
    "nafnet-w32": NAFNetConfig(width=32),
    "nafnet-w64": NAFNetConfig(width=64),
    "light": NAFNetConfig(width=32, encoder=(1, 1, 1, 10)),
    "small": NAFNetConfig(width=16, encoder=(1, 1, 1, 1)),
    "restormer": RestormerConfig(),
    "restormer-small": RestormerConfig(width=16, blocks=(1, 1, 2, 2), refinement=1),
}
"""17.11, 67.89, 8.70, 1.14, 26.13 and 1.11 million parameters; the small ones train on a CPU."""


def build_backbone(name: str) -> Backbone:
    """A fresh network, initialised from torch's global random state.

    Raises:
        UserError: no network of that name.
    """
    if name not in BACKBONES:
        raise UserError(f"unknown backbone {name!r}", f"choose one of: {', '.join(BACKBONES)}")
    config = BACKBONES[name]
    return NAFNet(config) if isinstance(config, NAFNetConfig) else Restormer(config)
