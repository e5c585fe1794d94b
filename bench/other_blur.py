"""What networks are worth on blur that was made otherwise than theirs.

    python bench/other_blur.py FOLDER [FOLDER ...] --model NAME=RUN [--model ...] [--every 9]

Sharp pictures are blurred by random-walk kernels of 0 to 30 px, with
noise, as the warm start of `--blur kernels` does it; no network of motion transfer or of true pairs
has seen any of these. Prints the mean gain in dB over the input with its standard error, and the
worst image, of each network.
"""

import argparse
import math
import statistics
from pathlib import Path

import torch

from bluref.degrade.synthesis import SynthesisConfig, synthetic_pair
from bluref.frames.randomness import item_generator
from bluref.measure.psnr import psnr
from bluref.media.picture import list_pictures, read_picture
from bluref.restore.deblurrer import Deblurrer


def pairs(pictures, seed):
    """(blurry, sharp) of each picture, without the margin that kernels bring things in from."""
    for number, path in enumerate(pictures):
        generator = item_generator(seed, "other blur", str(number))
        yield synthetic_pair(read_picture(path), [generator], SynthesisConfig())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", action="append", metavar="NAME=RUN", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = [p for place in options.folders for p in list_pictures(place)][:: options.every]
    models = dict(told.split("=", 1) for told in options.model)
    networks = {name: Deblurrer.from_pretrained(Path(run)) for name, run in models.items()}
    before: list[float] = []
    gains: dict[str, list[float]] = {name: [] for name in networks}
    for blurry, sharp in pairs(found, options.seed):
        base = float(psnr(blurry.clamp(0, 1), sharp))
        before.append(base)
        for name, network in networks.items():
            with torch.no_grad():
                gains[name].append(float(psnr(network(blurry.clamp(0, 1)), sharp)) - base)
    print(f"{len(found)} pictures, {statistics.fmean(before):.2f} dB\n")
    print("| network | gain, dB | standard error | worst |\n|---|---|---|---|")
    for name, values in gains.items():
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        print(f"| {name} | {statistics.fmean(values):+.2f} | {error:.2f} | {min(values):+.2f} |")


if __name__ == "__main__":
    main()
