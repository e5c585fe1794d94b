"""Where networks compute."""

import torch

from bluref.errors import UserError


def usable_device(name: str | torch.device) -> torch.device:
    """The device of that name, after something was put there.

    Args:
        name: as torch has it: cpu, cuda, cuda:1, mps.

    Raises:
        UserError: there is no such device.
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot compute on {str(name)!r}: {reason}", "use --device cpu") from None
    return torch.device(name)
