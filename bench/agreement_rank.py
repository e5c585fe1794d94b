"""Does the agreement on frames held back rank checkpoints as the true PSNR would?

    python bench/agreement_rank.py DATA WORK [--steps 600] [--looks 15] [--only footage,drifting]

DATA is a paired tree (train|test/SCENE/{blur,sharp}). Its training scenes are trained on as if they
were footage: their truth is only measured here, at every look of the run's own validation, on the
frames held back and on the test scenes. Runs of a kind that goes well and of kinds that go badly;
rank correlation (Spearman) of each figure with the true gain, per run and over all checkpoints of
all runs on the same frames; and what the checkpoint that it chooses is worth beside the best and
the last one.
"""

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path

import torch

from bluref.measure.psnr import on_8_bit, psnr
from bluref.media.picture import read_picture
from bluref.report.watch import Watch
from bluref.restore.deblurrer import Deblurrer
from bluref.train.average import averaged_copy
from bluref.train.evaluate import paired_frames
from bluref.train.recipe import Recipe
from bluref.train.run import train
from bluref.train.validation import HeldOutValidation
from trust_scores import rank_correlation

SMALL = {"batch": 4, "crop": 96, "warm_start": 100, "refresh_every": 200, "ema": 0.98, "ramp": 50}
ALTERNATING = {"hold_out": 0.1}
KINDS = {
    "alternating": ALTERNATING,
    "no gate, average, no anchor": {
        **ALTERNATING, "anchor": 0.0, "gate": 0.0, "strategy": "average", "threshold": 0.05,
        "warm_start": 0, "even": False,
    },
    "rate 20 times as high": {**ALTERNATING, "learning_rate": 2e-2, "grad_norm": 10.0},
    "blurry frames alone": {"layout": "clips"},
}  # fmt: skip
FIGURES = ("agreement", "reblur", "detail")


def true_gain(deblur, pairs):
    gains = []
    for blurry, truth in pairs:
        output = psnr(on_8_bit(deblur(blurry)), truth)
        gains.append((output - psnr(blurry, truth)).item())
    return statistics.fmean(gains)


def truth_of(one, data):
    image = read_picture(data / "train" / one.frame.clip / "sharp" / one.frame.path.name)
    box = one.crop
    return image[..., box.top : box.top + box.height, box.left : box.left + box.width]


def watched(data, tests, looks):
    """A validation that measures the truth beside each look, and how long the look took."""
    real = HeldOutValidation.__call__

    def call(self, step, average):
        started = time.perf_counter()
        look = real(self, step, average)
        seconds = time.perf_counter() - started
        deblur = Deblurrer(averaged_copy(average), training_size=self._judging.training_size)
        held = [(one.blurry, truth_of(one, data)) for one in self._held]
        told = {name: getattr(look, name)[1] - getattr(look, name)[0] for name in FIGURES}
        told["score"] = look.score
        told |= {"step": step, "held": true_gain(deblur, held), "test": true_gain(deblur, tests)}
        looks.append(told | {"seconds": seconds})
        return look

    return call


def study(kind, data, work, options):
    run = work / "runs" / kind.replace(" ", "-").replace(",", "")
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    lent = {"frames": "frames", "motion": f"motion-{KINDS[kind].get('layout', 'pairs')}"}
    for name, where in lent.items():  # what runs on the same footage share
        (work / where).mkdir(parents=True, exist_ok=True)
        (run / name).symlink_to((work / where).resolve())
    settings = {**SMALL, "steps": options.steps, "save_every": options.steps, **KINDS[kind]}
    every = options.steps // options.looks
    recipe = Recipe(**settings, validate_every=every, patience=0, snapshot_every=10**6)
    footage = data
    if settings.get("layout") == "clips":
        footage = work / "clips"
        footage.mkdir(exist_ok=True)
        for scene in (data / "train").iterdir():
            if not (footage / scene.name).exists():
                (footage / scene.name).symlink_to(scene.resolve() / "blur")
    tests = [
        (read_picture(blurry.path), read_picture(truth.path))
        for blurry, truth in paired_frames(data, part="test", layout="auto", every=options.every)
    ]
    looks = []
    real, HeldOutValidation.__call__ = HeldOutValidation.__call__, watched(data, tests, looks)
    try:
        with Watch() as watch:
            result = train(footage, run, recipe, observer=watch)
    finally:
        HeldOutValidation.__call__ = real
    (run / "looks.json").write_text(json.dumps(looks))
    took = statistics.median(look["seconds"] for look in looks)
    print(f"{kind}: {result.seconds:.0f} s, a look takes {took:.2f} s", flush=True)
    return looks


def told(kind, looks):
    columns = {name: torch.tensor([look[name] for look in looks]) for name in looks[0]}
    for truth in ("held", "test"):
        values = columns[truth]
        ranks = "  ".join(
            f"{name} {rank_correlation(columns[name], values):+.2f}" for name in ("score", *FIGURES)
        )
        chosen = values[columns["score"].argmax()].item()
        print(
            f"| {kind} | {truth} | {ranks} | chosen {chosen:+.2f} best {values.max():+.2f}"
            f" last {values[-1]:+.2f} worst {values.min():+.2f} dB |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--looks", type=int, default=15)
    parser.add_argument("--every", type=int, default=1, help="take every n-th test frame")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    kinds = options.only.split(";") if options.only else list(KINDS)
    found = {kind: study(kind, options.data, options.work, options) for kind in kinds}
    for kind, looks in found.items():
        told(kind, looks)
    same = [kind for kind in kinds if "layout" not in KINDS[kind]]
    told(f"{len(same)} runs together", [look for kind in same for look in found[kind]])


if __name__ == "__main__":
    main()
