"""Matchers on disk; see `weights.folder`."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bluref.errors import UserError
from bluref.match.pdcnet.config import PDCNetConfig
from bluref.match.pdcnet.matcher import PDCMatcher
from bluref.match.pdcnet.network import PDCNet
from bluref.weights.folder import AGAIN, Description, read_network, write_network


def save_matcher(
    model: nn.Module, folder: Path, *, meta: Mapping[str, object], half: bool = False
) -> None:
    """Write a PDC-Net into `folder`; other files there stay.

    Args:
        model: a PDCNet.
        folder: made where it is missing.
        meta: anything JSON can hold: data, steps, figures.
        half: keep the weights in 16 bits, to ship them.

    Raises:
        ValueError: another kind of network.
        UserError: `folder` cannot be written.
    """
    if not isinstance(model, PDCNet):
        raise ValueError(f"model must be a PDCNet, got {type(model).__name__}")
    description = {"architecture": "pdcnet", "config": asdict(model.config), "meta": dict(meta)}
    write_network(model, folder, description, half=half)


def load_matcher(
    path: Path,
    *,
    radius: float = 1.0,
    use_bf16: bool = False,
    device: str | torch.device = "cpu",
) -> PDCMatcher:
    """A matcher from what `save_matcher` wrote: a folder, a run folder, or a .safetensors file.

    Args:
        path: where it lies.
        radius: R of the confidence P_R, in pixels.
        use_bf16: compute in bfloat16, for processors that are fast at it.
        device: where to compute, as torch names it.

    Raises:
        UserError: nothing there, damaged, or another kind of network.
    """
    network, told = read_network(path, _build)
    network.eval().to(device)
    return PDCMatcher(network, f"{network.config.name}-{told.get('sha256')}", radius, use_bf16)


def shipped_matcher(
    name: str, *, use_bf16: bool = False, device: str | torch.device = "cpu"
) -> PDCMatcher:
    """A matcher that comes with the package.

    Raises:
        UserError: it does not come with this installation.
    """
    with resources.as_file(resources.files("bluref.weights") / name) as folder:
        return load_matcher(folder, use_bf16=use_bf16, device=device)


def _build(told: Description, path: Path) -> PDCNet:
    if told.get("architecture") != "pdcnet":
        raise UserError(
            f"{path} describes a network of kind {told.get('architecture')!r}, not a matcher",
            "give what `bluref train-matcher` has saved",
        )
    config = told.get("config")
    try:
        return PDCNet(_config(dict(config) if isinstance(config, dict) else {}))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} has a wrong configuration: {error}", AGAIN) from error


def _config(fields: dict[str, Any]) -> PDCNetConfig:
    """From JSON, which has no tuples and whose keys are words."""

    def tuples(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    read = {name: tuples(value) for name, value in fields.items()}
    for name in ("local_steps", "decoder", "refinement"):
        read[name] = {int(level): tuples(value) for level, value in dict(fields[name]).items()}
    return PDCNetConfig(**read)
