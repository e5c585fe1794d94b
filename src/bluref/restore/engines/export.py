"""`bluref export`: a network as a file that other programs run, checked before it appears."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from bluref.errors import UserError
from bluref.media.whole import whole_file
from bluref.restore.card import facts_of
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines.engine import Engine
from bluref.restore.engines.graph import Graph
from bluref.restore.engines.graph_files import (
    Card,
    onnx_bytes,
    write_openvino,
    write_torchscript,
)
from bluref.restore.engines.runtimes import OnnxRuntime, OpenVINO
from bluref.restore.files import SavedNetwork
from bluref.restore.models import find_model

Format = Literal["onnx", "openvino", "torchscript"]
SUFFIXES: dict[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "openvino": (".xml",),
    "torchscript": (".pt", ".ts"),
}

BOUND = 1e-4
"""Largest difference to eager, of 1, that an exported network may have in any pixel."""


def export_network(
    name: Path | str, target: Path, kind: Format, *, local_pooling: bool = True
) -> float:
    """Write a network as one file that takes pictures of any size, once it agrees with eager.

    Args:
        name: see `find_model`; not an exported file.
        target: of a suffix that belongs to `kind`; OpenVINO keeps weights in a .bin beside it.
        kind: the format.
        local_pooling: as for the `Deblurrer`; it cannot be changed in the file.

    Returns:
        the largest difference to eager that was found, of 1.

    Raises:
        UserError: no such network, one that cannot be exported, a suffix of another format, or the
            file does not agree with eager or cannot be written.
    """
    if target.suffix not in SUFFIXES[kind]:
        wanted = " or ".join(SUFFIXES[kind])
        raise UserError(f"{target} is no name for {kind}", f"let it end in {wanted}")
    found = find_model(name)
    if found is None:
        raise UserError("the identity has no network to export", "name a network")
    if not isinstance(found, SavedNetwork):
        raise UserError(f"{name} cannot be exported", "give the network that it came from")
    size = found.training_size if local_pooling else None
    card = facts_of(found)
    card["local_pooling"] = size is not None
    graph = Graph(found.model, size)
    eager = Deblurrer(found.model, training_size=size, precision="fp32")
    with whole_file(target) as partial:
        if kind != "openvino":
            _write(graph, partial, kind, card)
            return _largest_difference(partial, kind, eager, size)
        with whole_file(target.with_suffix(".bin")) as weights, _gone(partial) as beside:
            _write(graph, partial, kind, card)
            difference = _largest_difference(partial, kind, eager, size)
            beside.replace(weights)
    return difference


@contextmanager
def _gone(partial: Path) -> Iterator[Path]:
    """The file that OpenVINO writes its weights to beside `partial`; none is left there."""
    beside = partial.with_suffix(".bin")
    try:
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def _write(graph: Graph, path: Path, kind: Format, card: Card) -> None:
    if kind == "onnx":
        path.write_bytes(onnx_bytes(graph, card))
    elif kind == "openvino":
        write_openvino(graph, path, card)
    else:
        write_torchscript(graph, path, card)


def _largest_difference(path: Path, kind: Format, eager: Deblurrer, size: int | None) -> float:
    """Over pictures smaller than the pooling window, about as large, and larger.

    Raises:
        UserError: it is larger than BOUND.
    """
    window = 64 if size is None else min(3 * size // 2, 512)
    exported = _open(path, kind)
    largest = 0.0
    random = torch.Generator().manual_seed(0)
    for height, width in ((1, 7), (33, 50), (window + 5, 40), (window, window + 31)):
        image = torch.rand(2, 3, height, width, generator=random)
        difference = (exported(image) - eager(image)).abs().max().item()
        if not difference <= BOUND:  # NaN is refused as well
            raise UserError(
                f"the exported network differs from eager by {difference:.2g} at {width}x{height}",
                "report it with your versions of torch and of the format's package",
            )
        largest = max(largest, difference)
    return largest


def _open(path: Path, kind: Format) -> Engine:
    if kind == "onnx":
        return OnnxRuntime(path)
    if kind == "openvino":
        return OpenVINO(path, bf16=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        loaded = torch.jit.load(str(path))  # type: ignore[no-untyped-call]

    def run(image: Tensor) -> Tensor:
        with torch.no_grad():
            sharp: Tensor = loaded(image)
        return sharp

    return run
