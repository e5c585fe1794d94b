"""What the guard finds: false alarms on good results, and what was broken on purpose.

    python bench/guard_rates.py MODEL DATA [--every 8]

DATA holds SCENE/blur and SCENE/sharp. The first lines count verdicts on results as they are, for
whole frames and for quarters of them, then frames that count as out of focus; the table counts what
is found of broken results, beside how much the broken result loses against the blurry frame. Last,
what the guard takes of the time.
"""

import copy
import time
from collections import Counter, defaultdict

import torch
import torch.nn.functional as F

from bluref.measure.psnr import psnr
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.defocus import is_out_of_focus
from bluref.restore.tiling.guard import guarded, harm
from bluref.restore.tiling.sharp_already import is_sharp_already
from scenes import frames_of, parsed


def quarters(image):
    h, w = (side // 2 for side in image.shape[-2:])
    return [image[..., y : y + h, x : x + w] for y in (0, h) for x in (0, w)]


def perturbed(model, amount, seed):
    """The same network with noise on its weights, relative to each tensor's deviation."""
    random = torch.Generator().manual_seed(seed)
    model = copy.deepcopy(model)
    for value in model.parameters():
        scale = value.detach().std() if value.numel() > 1 else value.detach().abs()
        value.data += amount * scale * torch.randn(value.shape, generator=random)
    return model


def mosaic(image, strength, seed):
    """Squares of 48 px of random colour casts in a quarter of the picture."""
    random = torch.Generator().manual_seed(seed)
    cast = torch.randn(1, 3, 5, 6, generator=random)
    cast = (cast - cast.mean(dim=1, keepdim=True)).sign() * strength
    cast = cast.repeat_interleave(48, -1).repeat_interleave(48, -2)
    broken = image.clone()
    h, w = (min(a, b) for a, b in zip(cast.shape[-2:], image.shape[-2:], strict=True))
    broken[..., :h, :w] += cast[..., :h, :w]
    return broken.clamp(0, 1)


def tell_verdicts(deblur, results):
    """How often the guard doubts results as they are, and sharp frames made sharper."""
    verdicts = defaultdict(Counter)
    for blurry, result, truth in results:
        for kind, image in (("blurry", blurry), ("sharp", truth)):
            made = result if kind == "blurry" else deblur(truth)
            verdicts[f"{kind} frame"][harm(image[0], made[0])] += 1
            verdicts[f"{kind} frame"]["already sharp"] += is_sharp_already(image[0])
            for tile, out in zip(quarters(image), quarters(made), strict=True):
                verdicts[f"{kind} quarter"][harm(tile[0], out[0])] += 1
                verdicts[f"{kind} quarter"]["already sharp"] += is_sharp_already(tile[0])
    for kind, counts in verdicts.items():
        print(kind, dict(counts))


def out_of_focus(image, radius):
    """The picture through a lens whose every point becomes a disc."""
    side = torch.arange(-radius - 1, radius + 2.0)
    disc = (radius + 0.5 - torch.hypot(side[:, None], side[None])).clamp(0, 1)
    padded = F.pad(image.transpose(0, 1), (radius + 1,) * 4, mode="reflect")
    soft = F.conv2d(padded, (disc / disc.sum())[None, None]).transpose(0, 1)
    return (255 * soft).round().clamp(0, 255) / 255


def tell_defocus(results):
    """How many frames count as out of focus: blurred by motion, sharp, and sharp ones blurred."""
    kinds = {"moved": [b for b, _, _ in results], "sharp": [t for _, _, t in results]}
    for radius in (1, 2, 3, 5, 8):
        kinds[f"disc of radius {radius}"] = [out_of_focus(t, radius) for t in kinds["sharp"]]
    for kind, images in kinds.items():
        print(
            f"out of focus, {kind}: {sum(is_out_of_focus(i[0]) for i in images)} of {len(images)}"
        )


def ways_to_break(deblur):
    """By name, what makes a broken result of a blurry frame, its result and a number."""
    return {
        **{f"mosaic {c}": lambda b, r, i, c=c: mosaic(r, c, i) for c in (0.02, 0.04, 0.06, 0.1)},
        **{f"moved {n} px": lambda b, r, i, n=n: r.roll(n, dims=-1) for n in (1, 2, 4)},
        "red and blue swapped": lambda b, r, i: r.flip(1),
        "brightened by gamma 0.8": lambda b, r, i: r**0.8,
        "one pixel NaN": lambda b, r, i: r.index_fill(-1, torch.tensor([5]), torch.nan),
        **{
            f"weights + {int(100 * a)} %": lambda b, r, i, a=a: Deblurrer(
                perturbed(deblur.model, a, i), training_size=deblur.window_of
            )(b)
            for a in (0.05, 0.1, 0.2, 0.4)
        },
    }


def tell_broken(deblur, results):
    """How much of what was broken on purpose is found, and what is lost where it is not."""
    print("| broken by | found | as | loss against the blurry frame, dB |")
    print("|---|---|---|---|")
    for name, breaking in ways_to_break(deblur).items():
        found, losses = [], []
        for i, (blurry, result, truth) in enumerate(results):
            out = breaking(blurry, result, i)
            found.append(harm(blurry[0], out[0]))
            losses.append((psnr(blurry, truth) - psnr(out.nan_to_num(), truth)).item())
        hits = [f for f in found if f]
        missed = [round(n, 1) for f, n in zip(found, losses, strict=True) if not f]
        worst = f"; missed at most {max(missed)}" if missed else ""
        mean = sum(losses) / len(losses)
        told = dict(Counter(hits))
        print(f"| {name} | {len(hits)} of {len(found)} | {told} | {mean:.1f}{worst} |", flush=True)


def tell_times(deblur, blurry):
    """What the guard takes of the time."""
    times = defaultdict(list)
    for _ in range(7):
        start = time.perf_counter()
        deblur(blurry)
        middle = time.perf_counter()
        guarded(blurry[0], lambda tile: deblur(tile[None])[0], None)
        times["plain"].append(middle - start)
        times["guarded"].append(time.perf_counter() - middle)
    plain, with_guard = (sorted(times[k])[3] for k in ("plain", "guarded"))
    print(f"time of a guarded frame: {with_guard / plain:.3f} of a plain one ({plain:.2f} s)")


def main():
    options = parsed(__doc__)
    deblur = Deblurrer.from_pretrained(options.model)
    results = [
        (blurry, deblur(blurry), truth)
        for _, blurry, truth in frames_of(options.data, options.every)
    ]
    tell_verdicts(deblur, results)
    tell_defocus(results)
    tell_broken(deblur, results)
    tell_times(deblur, results[0][0])


if __name__ == "__main__":
    main()
