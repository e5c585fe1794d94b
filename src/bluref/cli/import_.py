"""`bluref import`: a network that others have published, to work with."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bluref.cli.options import Input, MaybeOutput
from bluref.errors import as_command

SUMMARY = "Convert a published NAFNet, Restormer, PDC-Net(+) or VGG-16 to BluRef's format."


@dataclass(frozen=True)
class Options:
    """What `bluref import` takes. What the checkpoint is, its weights' names tell."""

    checkpoint: Input
    """A .pth, .pt, .pth.tar or .safetensors file; of pickles, only tensors are ever opened."""

    output: MaybeOutput = None
    """A new folder for model.safetensors and model.json; if not given, one here that bears the
    checkpoint's name."""

    vgg: Path | None = None
    """VGG-16 of torchvision, for a PDC-Net that was saved without its feature pyramid."""

    json: bool = False
    """Print one JSON object: kind, parameters, folder, use (the command that runs it)."""


USES = {
    "NAFNet": "bluref deblur PICTURES --model {folder}",
    "Restormer": "bluref deblur PICTURES --model {folder}",
    "PDC-Net": "bluref match TARGET REFERENCE -o PICTURE --matcher {folder}",
    "PDC-Net+": "bluref match TARGET REFERENCE -o PICTURE --matcher {folder}",
    "VGG-16": "bluref train-matcher SHARP -o RUN --network pdcnet-plus --init {folder}",
}
"""What to do with a network of each kind."""


def run(options: Options) -> int:
    """Convert and tell what it was."""
    from bluref.train.imported import import_checkpoint

    folder = options.output or _named_after(options.checkpoint)
    imported = import_checkpoint(options.checkpoint, folder, vgg=options.vgg)
    parameters = sum(p.numel() for p in imported.network.parameters())
    use = USES[imported.kind].format(folder=as_command([folder]))
    if options.json:
        told = {
            "kind": imported.kind,
            "parameters": parameters,
            "folder": str(folder),
            "use": use,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stderr.write(
            f"{options.checkpoint} is a {imported.kind}; {folder} holds a network of"
            f" {parameters / 1e6:.2f} M parameters\nuse it: {use}\n"
        )
    return 0


def _named_after(checkpoint: Path) -> Path:
    """A folder where we stand; a name without suffix takes one, or it would be the file itself."""
    bare = checkpoint.name.removesuffix(".tar").removesuffix(checkpoint.suffix)
    bare = bare.removesuffix(".pth")
    return Path(bare if bare and bare != checkpoint.name else f"{checkpoint.name}-imported")
