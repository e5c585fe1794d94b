"""The networks that can be asked for by name."""

from bluref.errors import UserError
from bluref.restore.nafnet import NAFNet, NAFNetConfig

BACKBONES = {
    "nafnet-w32": NAFNetConfig(width=32),
    "nafnet-w64": NAFNetConfig(width=64),
    "light": NAFNetConfig(width=32, encoder=(1, 1, 1, 10)),
    "small": NAFNetConfig(width=16, encoder=(1, 1, 1, 1)),
}
"""17.11, 67.89, 8.70 and 1.14 million parameters; `small` trains on a CPU."""


def build_backbone(name: str) -> NAFNet:
    """A fresh network, initialised from torch's global random state.

    Raises:
        UserError: no network of that name.
    """
    if name not in BACKBONES:
        raise UserError(f"unknown backbone {name!r}", f"choose one of: {', '.join(BACKBONES)}")
    return NAFNet(BACKBONES[name])
