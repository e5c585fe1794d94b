"""Deblurring networks on disk; see `weights.folder`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bluref.errors import UserError
from bluref.restore.networks.backbones import Backbone
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig
from bluref.weights.folder import AGAIN, DESCRIPTION, Description, read_network, write_network

ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "nafnet": (NAFNet, NAFNetConfig),
    "restormer": (Restormer, RestormerConfig),
}


@dataclass(frozen=True)
class SavedNetwork:
    """What `save_network` wrote.

    model: in float32 on the CPU.
    training_size: side of the training crops, px; None where the network saw whole images.
    meta: what the writer wanted to remember.
    source: the folder or file that it was read from; None where it never lay anywhere.
    """

    model: Backbone
    training_size: int | None
    meta: dict[str, object]
    source: Path | None = None


def save_network(
    model: nn.Module, folder: Path, *, training_size: int | None, meta: Mapping[str, object]
) -> None:
    """Write a deblurring network into `folder`; other files there stay.

    Args:
        model: one of ARCHITECTURES.
        folder: made where it is missing.
        training_size: side of the training crops, px, for local pooling; None for whole images.
        meta: anything JSON can hold: data set, step, numbers.

    Raises:
        ValueError: an architecture that has no name here.
        UserError: `folder` cannot be written.
    """
    names = [name for name, (kind, _) in ARCHITECTURES.items() if type(model) is kind]
    if not names or not isinstance(model, Backbone):
        raise ValueError(f"model must be one of {list(ARCHITECTURES)}, got {type(model).__name__}")
    description = {
        "architecture": names[0],
        "config": asdict(model.config),
        "training_size": training_size,
        "meta": dict(meta),
    }
    write_network(model, folder, description)


def load_network(path: Path) -> SavedNetwork:
    """Read a network written by `save_network`.

    Args:
        path: its folder; a run folder, of which `best` is taken, or else `last`; or a
            `.safetensors` file with the `.json` of the same name beside it.

    Raises:
        UserError: nothing there, damaged, of another architecture, with weights missing, unknown,
            misshapen or not finite, or written by a newer version.
    """
    model, told = read_network(path, _build)
    size, meta = told.get("training_size"), told.get("meta", {})
    if not (size is None or (isinstance(size, int) and size > 0)) or not isinstance(meta, dict):
        raise UserError(f"the {DESCRIPTION} of {path} has a wrong training_size or meta", AGAIN)
    return SavedNetwork(model, size, meta, path)


def _build(told: Description, path: Path) -> Backbone:
    """The network described."""
    name, config = told.get("architecture"), told.get("config")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UserError(f"{path} describes an unknown architecture {name!r}", f"known are: {known}")
    network, config_of = ARCHITECTURES[name]
    fields: dict[str, Any] = dict(config) if isinstance(config, dict) else {}
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        built: Backbone = network(config_of(**fields))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} has a wrong {name} configuration: {error}", AGAIN) from error
    return built
