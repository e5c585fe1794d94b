"""Networks on disk: weights as safetensors, all else as JSON beside them; no pickle anywhere.

A saved network is a folder of two files. `model.json` names the architecture, its configuration,
whatever its kind needs besides and the SHA-256 of `model.safetensors`, so that a damaged file or a
pair that does not belong together is told and never run.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.media.whole import whole_file, write_text_whole

FORMAT = 1
"""Raised when files of this version could not be read by an older one."""
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"

AGAIN = "save the network again, or use another copy"
_MAX_DESCRIPTION = 4 * 2**20
_HEADER_ROOM = 16 * 2**20

Network = TypeVar("Network", bound=nn.Module)
Description = Mapping[str, object]


def write_network(
    model: nn.Module, folder: Path, description: Description, *, half: bool = False
) -> None:
    """Write `model.safetensors` and `model.json` into `folder`; other files there stay.

    Each of the two appears whole; the description comes last and holds the digest of the weights,
    so a crash between them is found out by `read_network`.

    Args:
        model: its state dict is saved.
        folder: made where it is missing.
        description: what `build` of `read_network` will need; anything JSON can hold.
        half: keep fractions in 16 bits, to ship a network.

    Raises:
        UserError: `folder` cannot be written.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
    weights = safetensors.torch.save(tensors)
    digest = {"sha256": hashlib.sha256(weights).hexdigest()}
    with whole_file(folder / WEIGHTS) as partial:
        partial.write_bytes(weights)
    text = json.dumps({"format": FORMAT, **description, **digest}, indent=1)
    write_text_whole(folder / DESCRIPTION, text + "\n")


def read_network(
    path: Path, build: Callable[[Description, Path], Network]
) -> tuple[Network, Description]:
    """Read a network written by `write_network`.

    Args:
        path: its folder; a run folder, of which `best` is taken, or else `last`; or a
            `.safetensors` file with the `.json` of the same name beside it.
        build: makes the network that a description tells of, or raises; called where tensors take
            no memory, since a description from outside may be huge.

    Returns:
        the network in float32 on the CPU, and its description.

    Raises:
        UserError: nothing there, damaged, with weights missing, unknown, misshapen or not finite,
            or written by a newer version.
    """
    weights, description = locate(Path(path))
    told = _read_description(description)
    with torch.device("meta"):
        model = build(told, description)
    needed = sum(v.numel() for v in model.state_dict().values())
    # Twice float32: files of double precision are taken too, anything beyond is not this network.
    raw = _read(weights, limit=8 * needed + _HEADER_ROOM)
    if told.get("sha256") not in (None, hashlib.sha256(raw).hexdigest()):
        raise UserError(f"{weights} is not the file that {description} describes", AGAIN)
    try:
        state = safetensors.torch.load(raw)
    except (SafetensorError, KeyError) as error:  # KeyError: a number format torch has not
        raise UserError(f"{weights} is damaged: {error}", AGAIN) from error
    _fill(model, state, weights)
    return model, told


def locate(path: Path) -> tuple[Path, Path]:
    """Where weights and description lie: of a folder, a run folder or a `.safetensors` file.

    Raises:
        UserError: nothing there.
    """
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
            raise UserError(f"{path} holds {size} bytes, at most {limit} are expected", AGAIN)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", AGAIN) from error


def _read_description(path: Path) -> dict[str, object]:
    try:
        told = json.loads(_read(path, limit=_MAX_DESCRIPTION))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file: {error}", AGAIN) from error
    if not isinstance(told, dict) or not isinstance(told.get("format"), int):
        raise UserError(f"{path} does not describe a network of BluRef", AGAIN)
    if told["format"] > FORMAT:
        raise UserError(
            f"{path} has format {told['format']}, this version reads up to {FORMAT}",
            "upgrade bluref",
        )
    return told


def _fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    for key in sorted(expected.keys() ^ state.keys()):
        kind = "lacks" if key in expected else "has an unknown"
        raise UserError(f"{path} {kind} weight {key!r}", "give the model.json that belongs to it")
    for key, value in state.items():
        found, shape = tuple(value.shape), tuple(expected[key].shape)
        if found != shape:
            problem = f"{path} has {key!r} of shape {found}, its model.json says {shape}"
            raise UserError(problem, "give the model.json that belongs to it")
    for key, value in state.items():
        counts = not expected[key].is_floating_point()
        if value.is_floating_point() == counts or not value.to(torch.float32).isfinite().all():
            raise UserError(f"{path} has values in {key!r} that are not finite numbers", AGAIN)
    loaded = {k: v.to(expected[k].dtype) for k, v in state.items()}
    model.load_state_dict(loaded, assign=True)
