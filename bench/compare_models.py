"""Models side by side on a paired data set: its test scenes, and its blurry training frames.

    python bench/compare_models.py DATA --model NAME=RUN ... --every 2 --every-train 3

The blurry training frames are those that `alternating` makes blurry; their truth is used by no
training but the supervised one. They are what somebody with footage to mend gets.
"""

import argparse
from pathlib import Path

from bluref.frames.layouts import find_clips
from bluref.frames.split import split_clips
from bluref.restore.deblurrer import Deblurrer
from bluref.train.evaluate import Evaluation, evaluate_pairs, paired_frames


def training_pairs(data: Path, every: int):
    footage = split_clips(find_clips(data, part="train"), "alternating", lambda frame: 0.0)
    return [(frame, footage.truth[frame.key]) for frame in footage.blurry][::every]


def row(name: str, scores) -> str:
    return f"| {name} | {scores.psnr:.2f} | {scores.ssim:.4f} | {scores.ssim3d:.4f} |"


def show(title: str, found: dict[str, Evaluation]) -> None:
    first = next(iter(found.values()))
    print(f"\n{title}, {first.images} images\n\n| model | PSNR dB | SSIM 2-D | SSIM 3-D |")
    print("|---|---|---|---|")
    print(row("identity", first.identity))
    for name, evaluation in found.items():
        print(row(name, evaluation.scores))
    print("\nper clip, PSNR:")
    for clip, (_, identity) in first.per_clip.items():
        gains = [
            f"{name} {evaluation.per_clip[clip][0].psnr - identity.psnr:+.2f}"
            for name, evaluation in found.items()
        ]
        print(f"- {clip}: input {identity.psnr:.2f}; {', '.join(gains)}")
    if {"bluref", "supervised"} <= found.keys():
        base = first.identity.psnr
        gain = found["bluref"].scores.psnr - base
        print(
            f"\nshare of the supervised gain: {gain / (found['supervised'].scores.psnr - base):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", action="append", metavar="NAME=RUN", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--every-train", type=int, default=1)
    options = parser.parse_args()
    models = {
        name: Deblurrer.from_pretrained(Path(run))
        for name, run in (given.split("=", 1) for given in options.model)
    }
    sets = {
        "test scenes": paired_frames(options.data, part="test", layout="auto", every=options.every),
        "blurry training frames": training_pairs(options.data, options.every_train),
    }
    for title, pairs in sets.items():
        show(title, {name: evaluate_pairs(model, pairs) for name, model in models.items()})


if __name__ == "__main__":
    main()
