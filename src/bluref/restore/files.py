"""Networks on disk: weights as safetensors, all else as JSON beside them; no pickle anywhere.

A saved network is a folder of two files. `model.json` names the architecture, its configuration,
the size of the training crops and the SHA-256 of `model.safetensors`, so that a damaged file or a
pair that does not belong together is told and never run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.media.whole import whole_file, write_text_whole
from bluref.restore.nafnet import NAFNet, NAFNetConfig

FORMAT = 1
"""Raised when files of this version could not be read by an older one."""
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
ARCHITECTURES = {"nafnet": (NAFNet, NAFNetConfig)}

_MAX_DESCRIPTION = 4 * 2**20
_HEADER_ROOM = 16 * 2**20
_AGAIN = "save the network again, or use another copy"


@dataclass(frozen=True)
class SavedNetwork:
    """What `save_network` wrote.

    model: in float32 on the CPU.
    training_size: side of the training crops, px; None where the network saw whole images.
    meta: what the writer wanted to remember.
    """

    model: NAFNet
    training_size: int | None
    meta: dict[str, object]


def save_network(
    model: nn.Module, folder: Path, *, training_size: int | None, meta: Mapping[str, object]
) -> None:
    """Write `model.safetensors` and `model.json` into `folder`; other files there stay.

    Each of the two appears whole; the description comes last and holds the digest of the weights,
    so a crash between them is found out by `load_network`.

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
    if not names or not isinstance(model, NAFNet):
        raise ValueError(f"model must be one of {list(ARCHITECTURES)}, got {type(model).__name__}")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    weights = safetensors.torch.save(tensors)
    description = {
        "format": FORMAT,
        "architecture": names[0],
        "config": asdict(model.config),
        "training_size": training_size,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "meta": dict(meta),
    }
    with whole_file(folder / WEIGHTS) as partial:
        partial.write_bytes(weights)
    write_text_whole(folder / DESCRIPTION, json.dumps(description, indent=1) + "\n")


def load_network(path: Path) -> SavedNetwork:
    """Read a network written by `save_network`.

    Args:
        path: its folder; a run folder, of which `best` is taken, or else `last`; or a
            `.safetensors` file with the `.json` of the same name beside it.

    Raises:
        UserError: nothing there, damaged, of another architecture, with weights missing, unknown,
            misshapen or not finite, or written by a newer version.
    """
    weights, description = _locate(Path(path))
    told = _read_description(description)
    model = _build(told, description)
    needed = sum(p.numel() for p in model.parameters())
    # Twice float32: files of double precision are taken too, anything beyond is not this network.
    raw = _read(weights, limit=8 * needed + _HEADER_ROOM)
    if told.get("sha256") not in (None, hashlib.sha256(raw).hexdigest()):
        raise UserError(f"{weights} is not the file that {description} describes", _AGAIN)
    try:
        state = safetensors.torch.load(raw)
    except (SafetensorError, KeyError) as error:  # KeyError: a number format torch has not
        raise UserError(f"{weights} is damaged: {error}", _AGAIN) from error
    _fill(model, state, weights)
    size, meta = told.get("training_size"), told.get("meta", {})
    if not (size is None or (isinstance(size, int) and size > 0)) or not isinstance(meta, dict):
        raise UserError(f"{description} has a wrong training_size or meta", _AGAIN)
    return SavedNetwork(model, size, meta)


def _locate(path: Path) -> tuple[Path, Path]:
    if path.is_dir():
        for folder in (path, path / "best", path / "last"):
            if (folder / WEIGHTS).is_file():
                return folder / WEIGHTS, folder / DESCRIPTION
        raise UserError(f"no {WEIGHTS} in {path}", "give a run folder or a folder of a network")
    if not path.is_file():
        raise UserError(f"no model at {path}", "give a run folder or a .safetensors file")
    if path.suffix != ".safetensors":
        raise UserError(f"{path} is not a .safetensors file", "give one that BluRef has saved")
    return path, path.with_suffix(".json")


def _read(path: Path, *, limit: int) -> bytes:
    """All bytes of a file of at most `limit`, which is checked before reading."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise UserError(f"{path} holds {size} bytes, at most {limit} are expected", _AGAIN)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", _AGAIN) from error


def _read_description(path: Path) -> dict[str, object]:
    try:
        told = json.loads(_read(path, limit=_MAX_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file: {error}", _AGAIN) from error
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise UserError(f"{path} does not describe a network of BluRef", _AGAIN)
    if told["format"] > FORMAT:
        raise UserError(
            f"{path} has format {told['format']}, this version reads up to {FORMAT}",
            "upgrade bluref",
        )
    return told


def _build(told: Mapping[str, object], path: Path) -> NAFNet:
    """The network described, without memory for its weights: a config from outside may be huge."""
    name, config = told.get("architecture"), told.get("config")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UserError(f"{path} describes an unknown architecture {name!r}", f"known are: {known}")
    network, config_of = ARCHITECTURES[name]
    fields: dict[str, Any] = dict(config) if isinstance(config, dict) else {}
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    try:
        with torch.device("meta"):
            return network(config_of(**fields))
    except (TypeError, ValueError) as error:
        raise UserError(f"{path} has a wrong {name} configuration: {error}", _AGAIN) from error


def _fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    for key in sorted(expected.keys() ^ found.keys()):
        kind = "lacks" if key in expected else "has an unknown"
        raise UserError(f"{path} {kind} weight {key!r}", "give the model.json that belongs to it")
    for key, shape in expected.items():
        if found[key] != shape:
            problem = f"{path} has {key!r} of shape {found[key]}, its model.json says {shape}"
            raise UserError(problem, "give the model.json that belongs to it")
    for key, value in state.items():
        if not value.is_floating_point() or not value.to(torch.float32).isfinite().all():
            raise UserError(f"{path} has values in {key!r} that are not finite numbers", _AGAIN)
    model.load_state_dict({k: v.to(torch.float32) for k, v in state.items()}, assign=True)
