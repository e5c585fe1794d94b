"""What tells one network or file from another: hashes of weights, of how they run, of bytes."""

import hashlib
import json
from pathlib import Path

import torch
from torch import nn

from bluref.errors import UserError

_CHUNK = 1 << 20


def fingerprint(model: nn.Module, **how: object) -> str:
    """Hexadecimal digits that change with any weight, shape or name of `model`, and with `how`.

    Args:
        model: a network.
        how: anything else that changes what it gives: precision, device.
    """
    digest = hashlib.sha256(type(model).__name__.encode())
    digest.update(json.dumps({k: str(v) for k, v in sorted(how.items())}).encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(flat.numpy().tobytes())
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        UserError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_CHUNK):
                digest.update(block)
    except OSError as error:
        problem = f"cannot read {path}: {(error.strerror or 'unknown reason').lower()}"
        raise UserError(problem, "check its permissions and the disk") from error
    return digest.hexdigest()
