"""Does the agreement tell good pictures from bad ones, of any kind? Outputs spoilt on purpose.

    python bench/agreement_variants.py RUN DATA

RUN is a run on the paired tree DATA with frames held back (`bench/agreement_rank.py` leaves some).
Every frame held back is deblurred by its best network and by the one that comes with BluRef, more
or less of it is added, and it is sharpened, smoothed, shifted, brightened or made noisy. Gains over
the blurry frame, in dB, and their rank correlation (Spearman) with the gain of the true PSNR.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F

from agreement_rank import truth_of
from bluref.frames.store import FrameStore
from bluref.measure.psnr import on_8_bit, psnr
from bluref.restore.deblurrer import Deblurrer
from bluref.train.agreement import agreement, detail, reblurred
from bluref.train.banks import bank_of
from bluref.train.data import find_training_data
from bluref.train.held import hold_ready
from bluref.train.moving import find_moving
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_run_recipe
from bluref.train.validation import SHARE
from trust_scores import rank_correlation

FIGURES = ("agreement", "reblur", "detail", "truth")


def smooth(image):
    return F.avg_pool2d(F.pad(image, (1,) * 4, mode="replicate"), 3, stride=1)


def noisy(image, strength):
    return image + strength * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))


def variants(blurry, own, general):
    made = {"input": blurry}
    for share in (-0.5, 0.5, 1, 2, 3, 5):
        made[f"run x {share:g}"] = blurry + share * (own - blurry)
    for share in (0.5, 1, 2):
        made[f"general x {share:g}"] = blurry + share * (general - blurry)
    for share in (0.5, 2):
        made[f"input, unsharp mask {share:g}"] = blurry + share * (blurry - smooth(blurry))
    made["run, smoothed"] = smooth(own)
    made["run, noise 0.02"] = noisy(own, 0.02)
    made["run, noise 0.05"] = noisy(own, 0.05)
    made["run, 1 px aside"] = own.roll(1, dims=-1)
    made["run, 2 % brighter"] = own * 1.02
    made["run, pixels of 2 px"] = F.interpolate(F.avg_pool2d(own, 2), scale_factor=2)
    return {name: image.clamp(0, 1) for name, image in made.items()}


def held_back(run, data):
    recipe = read_run_recipe(run, Recipe)
    store = FrameStore(run / "frames")
    found = find_training_data(data, recipe, store)
    bank = bank_of(run, recipe, store)
    moving = find_moving(run, recipe, found, bank, Observer(), Alone()) if recipe.gate else None
    return hold_ready(run, recipe, found, bank, moving, Observer())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    own = Deblurrer.from_pretrained(options.run)
    general = Deblurrer.from_pretrained("general")
    figures: dict[str, list[list[float]]] = {}
    for one in held_back(options.run, options.data):
        blurry, truth = one.blurry, truth_of(one, options.data)
        for name, image in variants(blurry, own(blurry), general(blurry)).items():
            against = agreement(image, one.target.image, one.target.weight)
            again = reblurred(image, blurry, one.reblur)
            told = (against, again, detail(image), psnr(on_8_bit(image), truth))
            figures.setdefault(name, []).append([value.item() for value in told])
    means = {name: torch.tensor(rows).nanmean(dim=0) for name, rows in figures.items()}
    print(f"| output | {' | '.join(FIGURES)} |\n|---|---|---|---|---|")
    for name, mean in means.items():
        gains = (mean - means["input"]).tolist()
        print(f"| {name} | {' | '.join(f'{gain:+.2f}' for gain in gains)} |")
    table = torch.stack([mean - means["input"] for mean in means.values()]).T
    score = torch.minimum(table[0], SHARE * table[1])
    ranks = [rank_correlation(row, table[3]) for row in (*table[:3], score)]
    print(f"| rank correlation | {' | '.join(f'{rank:+.3f}' for rank in ranks[:3])} | |")
    print(f"rank correlation of the score, by which checkpoints are chosen: {ranks[3]:+.3f}")


if __name__ == "__main__":
    main()
