"""What tells at test time where a result is wrong: candidates for the map of trust, compared.

    python bench/trust_scores.py MODEL DATA [--every 8]

DATA holds SCENE/blur and SCENE/sharp. Each candidate and the true error are averaged over patches
of 8 px. Rank correlation: 1 if the candidate orders patches as the error does. AUSE: patches are
taken away in the candidate's order; the area between the mean error of the rest and that under the
best order, over the area of a random order (0 best, 1 chance). Cost: runs of the network beyond
the one that is needed anyhow.
"""

from collections import defaultdict
from itertools import groupby
from operator import itemgetter

import torch
import torch.nn.functional as F

from bluref.restore.deblurrer import Deblurrer
from scenes import frames_of, parsed

COST = {"change": 0, "local against global": 1, "flipped sideways": 1, "flipped both ways": 2}


def candidates(deblur, pooled, image, result):
    sideways = (result - deblur(image.flip(-1)).flip(-1)).abs()
    upside = (result - deblur(image.flip(-2)).flip(-2)).abs()
    return {
        "change": (result - image).abs(),
        "local against global": (result - pooled(image)).abs(),
        "flipped sideways": sideways,
        "flipped both ways": sideways + upside,
    }


def patches(image):
    return F.avg_pool2d(image.mean(dim=1, keepdim=True), 8).flatten()


def rank_correlation(a, b):
    ranks = torch.stack([x.argsort().argsort().double() for x in (a, b)])
    return torch.corrcoef(ranks)[0, 1].item()


def sparsification(error, score, steps=50):
    def curve(by):
        ordered = error[by.argsort(descending=True)]
        return torch.stack([ordered[len(ordered) * i // steps :].mean() for i in range(steps)])

    best = curve(error)
    return ((curve(score) - best).mean() / (error.mean() - best).mean()).item()


def main():
    options = parsed(__doc__)
    deblur = Deblurrer.from_pretrained(options.model)
    pooled = deblur.pooled_globally()
    print("| scene | candidate | runs more | rank correlation | AUSE |")
    print("|---|---|---|---|---|")
    for scene, frames in groupby(frames_of(options.data, options.every), key=itemgetter(0)):
        found = defaultdict(list)
        for _, image, truth in frames:
            result = deblur(image)
            error = patches((result - truth).abs())
            for name, score in candidates(deblur, pooled, image, result).items():
                score = patches(score)
                found[name].append((rank_correlation(score, error), sparsification(error, score)))
        for name, rows in found.items():
            r, a = torch.tensor(rows).mean(dim=0)
            print(f"| {scene} | {name} | {COST[name]} | {r:.2f} | {a:.2f} |", flush=True)


if __name__ == "__main__":
    main()
