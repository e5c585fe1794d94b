"""A network's graph in the formats of other engines.

All three formats come from one trace: seconds, where torch.export needs minutes to reason about
the sizes that a U-shape pads and cuts.
"""

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from bluref.errors import UserError
from bluref.restore.engines.graph import Graph

CARD = "bluref"
"""Name of the metadata that holds the card, as JSON."""

_OPSET = 18
_EXAMPLE = (2, 3, 61, 75)  # no side may be 1 or a multiple: those would be taken for constants
_MAX_CARD = 4 * 2**20

Card = Mapping[str, object]


def onnx_bytes(graph: Graph, card: Card | None = None) -> bytes:
    """An ONNX file, any batch and size: input `image`, output `sharp`."""
    axes = {0: "batch", 2: "height", 3: "width"} if graph.size is None else {}
    shape = _EXAMPLE if graph.size is None else (1, 3, *graph.size)
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(
            graph, (torch.rand(shape),), file, dynamo=False, opset_version=_OPSET,
            input_names=["image"], output_names=["sharp"],
            dynamic_axes={"image": axes, "sharp": axes},
        )  # fmt: skip
        exported = file.read_bytes()
    if card is None:
        return exported
    import onnx

    model = onnx.load_model_from_string(exported)
    onnx.helper.set_model_props(model, {CARD: json.dumps(card)})
    told: bytes = model.SerializeToString()
    return told


def write_openvino(graph: Graph, path: Path, card: Card) -> None:
    """OpenVINO's two files: `path`, an .xml, and the weights in the .bin beside it."""
    import openvino

    model = openvino.Core().read_model(onnx_bytes(graph))
    model.set_rt_info(json.dumps(card), [CARD])
    openvino.save_model(model, str(path), compress_to_fp16=False)


def write_torchscript(graph: Graph, path: Path, card: Card) -> None:
    """A file for `torch.jit.load`, in any language that torch speaks."""
    with _quiet(), torch.no_grad():
        traced = torch.jit.trace(graph, (torch.rand(_EXAMPLE),), check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path), _extra_files={CARD: json.dumps(card)})


def read_card(path: Path) -> dict[str, object]:
    """The card inside an exported .onnx or .xml file; empty where another tool has made it.

    Raises:
        UserError: the file cannot be read as what its name says.
    """
    try:
        text = _card_of_onnx(path) if path.suffix.lower() == ".onnx" else _card_of_openvino(path)
        card = json.loads(text[:_MAX_CARD]) if text else {}
    except (OSError, ValueError, RuntimeError) as error:
        raise _damaged(path) from error
    except Exception as error:  # protobuf raises errors of its own
        if type(error).__name__ != "DecodeError":
            raise
        raise _damaged(path) from error
    return card if isinstance(card, dict) else {}


def _card_of_onnx(path: Path) -> str:
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    return next((entry.value for entry in model.metadata_props if entry.key == CARD), "")


def _card_of_openvino(path: Path) -> str:
    import openvino

    model = openvino.Core().read_model(str(path))
    return str(model.get_rt_info([CARD]).value) if model.has_rt_info([CARD]) else ""


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is no exported network, or a damaged one", "export it again")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's notes: that sizes are not baked in is what `export` checks."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
