"""`bluref export`: a model for other programs."""

import json
import sys
from dataclasses import dataclass
from typing import Literal

import tyro

from bluref.cli.options import Output

SUMMARY = "Write a model as ONNX, OpenVINO or TorchScript, for pictures of any size."


@dataclass(frozen=True)
class Options:
    """The file is checked against the model before it appears, and carries its card."""

    model: tyro.conf.Positional[str]
    """As for `bluref deblur`: a run folder, a .safetensors file, a name, a repository."""
    output: Output
    """The file to write: .onnx, .xml (with a .bin beside it) or .pt."""
    format: Literal["onnx", "openvino", "torchscript"] = "onnx"
    """Input `image`, output `sharp`: batch x 3 x height x width, RGB, 0 to 1."""
    local_pooling: bool = True
    """Take means around each pixel as wide as in training; fixed in the file."""
    json: bool = False
    """Print one JSON object: file, format, largest_difference (to the model, of 1)."""


def run(options: Options) -> int:
    """Export and tell how close it is."""
    from bluref.restore.engines.export import export_network

    difference = export_network(
        options.model, options.output, options.format, local_pooling=options.local_pooling
    )
    if options.json:
        told = {
            "file": str(options.output),
            "format": options.format,
            "largest_difference": difference,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(
            f"{options.output}: differs from the model by {difference:.1g} at most, of 1\n"
        )
    return 0
