"""Where networks compute, and whether they can be compiled there."""

import os
import shutil
import sys

import torch

from bluref.errors import UserError

COMPILERS = {"darwin": "clang++", "win32": "cl"}
"""What torch compiles with for the CPU, by platform, unless CXX names another; elsewhere g++."""


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


def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` finds what it needs; beyond the CPU it is taken on trust."""
    compiler = os.environ.get("CXX", COMPILERS.get(sys.platform, "g++"))
    return device.type != "cpu" or shutil.which(compiler) is not None


def require_compiler(device: torch.device) -> None:
    """Refuse to compile where it cannot be done.

    Raises:
        UserError: there is no C++ compiler.
    """
    if not can_compile(device):
        raise UserError(
            "compile needs a C++ compiler",
            "install g++ or what CXX names; a new run may leave --compile out",
        )
