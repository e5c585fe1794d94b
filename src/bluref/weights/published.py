"""Checkpoints that others have published: opened as tensors, and never run."""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from bluref.errors import UserError, as_command

MAX_BYTES = 4 * 2**30
"""Largest checkpoint that is opened: networks that BluRef knows stay far below, Adam included."""

_AGAIN = "download it again, or use another copy"
_PICKLE = b"\x80"  # the first byte of every pickle that torch writes outside a zip archive

# No single quote of a shell, dollar or backtick: the line serves POSIX shells and Windows alike.
_EXTRACT = (
    "import sys, torch;"
    " w = torch.load(sys.argv[1], map_location='cpu', weights_only=False);"
    " w = next((w[k] for k in ('params_ema', 'params', 'state_dict', 'model') if k in w), w);"
    " torch.save({k: v.detach() for k, v in w.items() if isinstance(v, torch.Tensor)}, sys.argv[2])"
)


def read_published(path: Path, *, limit: int = MAX_BYTES) -> Mapping[str, Any]:
    """Open a checkpoint of PyTorch or a `.safetensors` file as what it must be: named tensors.

    A pickle is a program. It is opened here by an unpickler that knows tensors, numbers, words and
    containers of these, and refuses all else before anything of it has run.

    Args:
        path: `.safetensors`, or whatever `torch.save` has written: `.pth`, `.pt`, `.pth.tar`.
        limit: bytes that it may hold, unpacked.

    Returns:
        what was saved: tensors by name on the CPU, or mappings that hold such ones.

    Raises:
        UserError: missing, too large, damaged, without names, or with objects besides tensors.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise UserError(f"cannot read {path}: it is no file", "name the checkpoint itself")
    try:
        size = _unpacked(path)
        if size > limit:
            problem = f"{path} holds {size} bytes, at most {limit} are expected"
            raise UserError(problem, "give a file that holds the weights alone")
        if path.suffix.lower() == ".safetensors":
            found: object = safetensors.torch.load_file(path)
        else:
            found = _tensors_only(path)
    except OSError as error:  # torch also tells of a truncated archive in this way
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot read {path}: {reason}", "give a checkpoint that is whole"
        ) from error
    except (SafetensorError, KeyError) as error:  # KeyError: a number format torch has not
        raise UserError(f"{path} is damaged: {error}", _AGAIN) from error
    if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
        raise UserError(f"{path} holds no named weights", "give the state dict of a network")
    return found


def _unpacked(path: Path) -> int:
    """Bytes on disk, or those that the members of an archive say they unpack to if that is more."""
    size = path.stat().st_size
    if path.is_file() and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(member.file_size for member in archive.infolist()))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UserError(f"{path} is damaged: {error}", _AGAIN) from error
    return size


def _tensors_only(path: Path) -> object:
    """What `torch.save` has written."""
    try:
        with warnings.catch_warnings():
            # Of archives and pickles of other kinds, which are refused right afterwards.
            warnings.simplefilter("ignore")
            return torch.load(path, weights_only=True, map_location="cpu")  # noqa: TID251 - its job
    except pickle.UnpicklingError as error:
        if not _is_pickle(path):
            raise UserError(f"{path} is not a checkpoint", _AGAIN) from error
        raise UserError(
            f"{path} holds objects besides tensors, and to open those is to run them",
            "if you trust who made it, run this once where the code it was published with can be"
            f" imported, then give its result: {_conversion(path)}",
        ) from error
    except (
        AssertionError, AttributeError, EOFError, LookupError, MemoryError, RecursionError,
        RuntimeError, TypeError, ValueError, struct.error,
    ) as error:  # fmt: skip
        # What torch.load raises for bytes that are none of its own, or not all of them.
        raise UserError(f"{path} is not a checkpoint, or a damaged one", _AGAIN) from error


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == _PICKLE or zipfile.is_zipfile(path)


def _conversion(path: Path) -> str:
    """A command that writes the tensors of `path`, and nothing else, into a file beside it."""
    name = path.name.removesuffix(".tar").removesuffix(path.suffix).removesuffix(".pth")
    target = path.with_name(f"{name}-tensors.pth")
    return f'python -c "{_EXTRACT}" {as_command([path, target])}'
