"""Checkpoints: a folder that is complete or absent, whatever happens while it is written.

`model.safetensors` and `model.json` hold the averaged network, which is what people use;
`training.safetensors` the network as it trains; `optimizer.pt` Adam's state, the only file that is
not safetensors and is opened as tensors only; `meta.json` the step and the seed.
"""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from bluref.errors import UserError

FORMAT = 1
# What a file of a checkpoint raises that holds something else than was written.
_DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError),
    *(SafetensorError, pickle.UnpicklingError),
)


@runtime_checkable
class NetworkFiles(Protocol):
    """How a kind of network is kept, as people will load it."""

    def save(self, model: nn.Module, folder: Path, meta: Mapping[str, Any]) -> None:
        """Write `model.safetensors` and `model.json`."""
        ...

    def load(self, folder: Path) -> nn.Module:
        """Read them."""
        ...


@dataclass(frozen=True)
class State:
    """What a run needs to go on exactly.

    Attributes:
        model: the network as it trains.
        average: its averaged copy.
        optimizer: of `model`.
    """

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer


def save(folder: Path, state: State, *, files: NetworkFiles, meta: Mapping[str, Any]) -> None:
    """Write `folder` so that a crash at any instant leaves the old one or the new one.

    Args:
        folder: replaced as a whole.
        state: what to save.
        files: how the averaged network is written.
        meta: what is needed besides to go on exactly: at least `step` and `seed`.

    Raises:
        UserError: the disk is full or the place read-only; the old checkpoint is still there.
    """

    def fill(partial: Path) -> None:
        files.save(state.average, partial, meta)
        weights = {k: v.detach().contiguous() for k, v in state.model.state_dict().items()}
        save_file(weights, partial / "training.safetensors")
        torch.save(state.optimizer.state_dict(), partial / "optimizer.pt")
        text = json.dumps({"format": FORMAT, **meta}, indent=1)
        (partial / "meta.json").write_text(text, "utf-8")

    _replace(folder, fill)


def save_network(
    folder: Path, network: nn.Module, *, files: NetworkFiles, meta: Mapping[str, Any]
) -> None:
    """Write `folder` with a network and no more: what people use, not what training goes on from.

    Args:
        folder: replaced as a whole, as by `save`.
        network: what to save.
        files: how it is written.
        meta: what is to be remembered of it.

    Raises:
        UserError: the disk is full or the place read-only; what was there before still is.
    """
    _replace(folder, lambda partial: files.save(network, partial, meta))


def _replace(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder beside its place and swap it in, whole."""
    partial = folder.with_name(folder.name + ".partial")
    old = folder.with_name(folder.name + ".old")
    try:
        repair(folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        fill(partial)
        for path in (*partial.iterdir(), partial):
            flush(path)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            folder.replace(old)
        partial.replace(folder)
        flush(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError, safetensors as an error of its own.
        raise UserError(
            f"cannot save the checkpoint {folder}: {error}",
            "free some space, then run again with --resume; the previous checkpoint is intact",
        ) from error


def load(folder: Path, state: State, *, files: NetworkFiles) -> dict[str, Any]:
    """Restore in place and return meta; a swap that was torn apart is put together first.

    Args:
        folder: what `save` wrote.
        state: is overwritten.
        files: how the averaged network is read.

    Raises:
        UserError: there is no checkpoint, it is damaged or from a newer version.
    """
    repair(folder)
    try:
        meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
        if meta["format"] > FORMAT:
            raise UserError(
                f"{folder} has format {meta['format']}, this version reads up to {FORMAT}",
                "update bluref",
            )
        state.model.load_state_dict(load_file(folder / "training.safetensors"))
        state.average.load_state_dict(files.load(folder).state_dict())
        state.optimizer.load_state_dict(
            torch.load(  # noqa: TID251
                folder / "optimizer.pt", map_location="cpu", weights_only=True
            )
        )
    except _DAMAGED as error:
        raise UserError(
            f"the checkpoint {folder} cannot be read: {error}", "start a new run in another folder"
        ) from error
    return meta


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to resume from."""
    return folder.exists() or folder.with_name(folder.name + ".old").exists()


def flush(path: Path) -> None:
    """Push a file or the entries of a folder to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder, and journals renames itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def repair(folder: Path) -> None:
    """Bring back the old checkpoint if a swap was cut between its two renames."""
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        old.replace(folder)
