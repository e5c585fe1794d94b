"""What tells one network from another: a hash of its weights and of how it is run."""

import hashlib
import json

import torch
from torch import nn


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
