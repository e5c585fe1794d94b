"""`bluref eval`: measure a model on a paired data set, beside doing nothing."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bluref.cli.options import Input

if TYPE_CHECKING:
    from bluref.train.evaluate import Evaluation

SUMMARY = "Measure a model on a paired data set: PSNR and SSIM, beside doing nothing."


@dataclass(frozen=True)
class Options:
    """What `bluref eval` takes."""

    data: Input
    """A paired data set, such as a tree of SCENE/blur and SCENE/sharp."""

    model: Path
    """A run folder, a folder with model.safetensors, or a .safetensors file with its .json."""

    part: str = "test"
    """Which part of the data set: test or train."""

    layout: str = "auto"
    """How the data folder is read: auto, gopro, rb2v."""

    every: int = 1
    """Take every n-th picture of each clip."""

    local_pooling: bool = True
    """Pool locally, over windows of the training size, instead of over the whole picture."""

    device: str = "cpu"
    """Where the network runs, as torch names it: cpu, cuda."""

    worst: Path | None = None
    """Write a picture there: of each clip, sixteen at most, the place in which the output loses
    most against the input, beside the truth."""

    json: bool = False
    """Print one JSON object: images, psnr, ssim, ssim3d, identity, clips, protocol."""


def run(options: Options) -> int:
    """Measure and print the table."""
    from rich.console import Console
    from rich.progress import Progress

    from bluref.media.picture import refuse_other_suffixes, write_picture
    from bluref.report.worst_sheet import worst_sheet
    from bluref.restore.deblurrer import Deblurrer
    from bluref.train.evaluate import evaluate

    if options.worst is not None:  # before anything is measured for nothing
        refuse_other_suffixes(options.worst)
    deblurrer = Deblurrer.from_pretrained(
        options.model, local_pooling=options.local_pooling, device=options.device
    )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=None)
        found = evaluate(
            deblurrer,
            options.data,
            part=options.part,
            layout=options.layout,
            every=options.every,
            tell=lambda done, total: progress.update(task, completed=done, total=total),
        )
    _tell(found, as_json=options.json)
    if options.worst is not None:
        write_picture(worst_sheet(found), options.worst)
    return 0


def _tell(found: "Evaluation", *, as_json: bool) -> None:
    from bluref.report.worst_sheet import about_clips
    from bluref.train.evaluate import PROTOCOL

    if as_json:
        told = {
            "images": found.images,
            **asdict(found.scores),
            "identity": asdict(found.identity),
            "clips": about_clips(found),
            "protocol": PROTOCOL,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return
    rows = [("all", found.identity, found.scores)]
    rows += [(clip, before, after) for clip, (after, before) in found.per_clip.items()]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'':{width}}  {'PSNR dB':>15}  {'SSIM 2-D':>17}  {'SSIM 3-D':>17}"]
    for name, before, after in rows:
        pairs = [
            f"{before.psnr:6.2f} > {after.psnr:6.2f}",
            f"{before.ssim:7.4f} > {after.ssim:7.4f}",
            f"{before.ssim3d:7.4f} > {after.ssim3d:7.4f}",
        ]
        lines.append("  ".join([f"{name:{width}}", *pairs]))
    lines.append(f"{found.images} images; blurry input > output of the model")
    lines += [f"{name}: {text}" for name, text in PROTOCOL.items()]
    sys.stdout.write("\n".join(lines) + "\n")
