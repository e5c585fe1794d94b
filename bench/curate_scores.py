"""How well `bluref curate` tells blurred from sharp frames, where the blur of each is known.

    python bench/curate_scores.py [--photographs FOLDER] [--frames 60] [--seed 100] [--crf 20]

Footage is made by `shaken_footage.py` and by the camera of `bluref simulate`, out of the
photographs that come with scikit-image or those of a folder; it goes through H.264 and is curated
as videos. A frame is blurred from BLURRED px of blur (mean length over the frame) on. Precision is
the share of frames with a role that lie on its side of that; recall counts the clear cases alone:
sharp below CLEARLY_SHARP px, blurred above CLEARLY_BLURRED px. Clips that are sharp or blurred
throughout have lines of their own: of the former the share called blurry, of the latter how the
blur of its references compares with that of all its frames.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import av
import numpy as np
import torch

from bluref.frames.curate import curate
from bluref.frames.frame_table import read_table
from bluref.media.picture import list_pictures, read_picture
from bluref.media.pixels import to_array
from shaken_footage import Shot, handheld, pan

BLURRED = 3.0
CLEARLY_SHARP, CLEARLY_BLURRED = 2.0, 4.0
SIZE = (360, 640)
EMBEDDED = ("astronaut", "brick", "coffee", "grass", "chelsea", "moon", "rocket", "gravel",
            "camera", "retina", "hubble_deep_field", "immunohistochemistry")  # fmt: skip


def photographs(folder):
    if folder is not None:
        return [read_picture(path) for path in list_pictures(folder)]
    from skimage import data

    pictures = [np.atleast_3d(getattr(data, name)()) for name in EMBEDDED]
    colours = [np.repeat(p, 3, axis=2) if p.shape[2] == 1 else p[..., :3] for p in pictures]
    return [torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in colours]


def footage(pictures, frames, seed):
    """(name, kind, frames with their blur) of every clip."""
    some = itertools.cycle(pictures)

    def take(count):
        return [next(some) for _ in range(count)]

    shots = [
        ("mixed", Shot("shaken")),
        ("mixed", Shot("shaken, noise", noise=4.0)),
        ("mixed", Shot("shaken, object", object_speed=5.0)),
        ("mixed", Shot("hard, soft lens", shake=25.0, exposure=0.8, softness=0.8)),
        ("mixed", Shot("mild, fast object", shake=9.0, object_speed=9.0)),
        ("mixed", Shot("often", bursts=9.0)),
        ("sharp", Shot("short exposure", shake=10.0, exposure=0.05)),
        ("sharp", Shot("short, object", shake=6.0, exposure=0.1, object_speed=3.0)),
        ("blurred", Shot("never calm", shake=22.0, calm=5.0)),
        ("blurred", Shot("never calm, noise", shake=16.0, calm=6.0, exposure=1.0, noise=3.0)),
    ]
    for number, (kind, shot) in enumerate(shots):
        clip = pan(take(4), shot, size=SIZE, frames=frames, seed=seed + number)
        yield shot.name, kind, clip
    wide = [p for p in pictures if p.shape[-1] >= SIZE[1] * 1.2 and p.shape[-2] >= SIZE[0] * 1.2]
    for number, picture in enumerate(wide[:2]):
        clip = handheld(
            picture,
            size=SIZE,
            frames=frames,
            exposure=1.0,
            speed=1.3,
            noise=1.5,
            seed=seed + number,
        )
        yield f"by hand {number + 1}", "mixed", clip


def film(clip, path, crf):
    """Write a clip as H.264, and return the blur of its frames."""
    blur = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf)}
        for image, length in clip:
            frame = av.VideoFrame.from_ndarray(to_array(image), format="rgb24")
            frame.pts = len(blur)
            container.mux(stream.encode(frame))
            blur.append(length)
        container.mux(stream.encode())
    return np.array(blur)


def ranks(values):
    order = np.empty(len(values))
    order[np.argsort(values)] = np.arange(len(values))
    return order


def counts(roles, blur):
    """(hits, of how many) of: sharp precision, recall, blurry precision, recall."""
    sharp, blurry = roles == "sharp", roles == "blurry"
    pairs = (
        (sharp & (blur < BLURRED), sharp),
        (sharp & (blur < CLEARLY_SHARP), blur < CLEARLY_SHARP),
        (blurry & (blur >= BLURRED), blurry),
        (blurry & (blur > CLEARLY_BLURRED), blur > CLEARLY_BLURRED),
    )
    return np.array([[hit.sum(), of.sum()] for hit, of in pairs])


def share(pair):
    return f"{pair[0] / pair[1]:5.2f}" if pair[1] else "    -"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--crf", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="new folder for clips, their truth and the table")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = options.keep or folder
        clips = Path(folder, "clips")
        clips.mkdir(parents=True)
        truth = {}
        made = footage(photographs(options.photographs), options.frames, options.seed)
        for name, kind, clip in made:
            truth[name] = kind, film(clip, clips / f"{name}.mp4", options.crf)
            np.savetxt(clips / f"{name}.blur.txt", truth[name][1], fmt="%.3f")
        curate([clips], Path(folder, "data"))
        rows = read_table(Path(folder, "data"))
    total, correlations = np.zeros((4, 2)), []
    print("clip                 kind     blur, px        rank   sharp P     R  blurry P     R")
    for name, (kind, blur) in truth.items():
        mine = [row for row in rows if row.clip == name]
        roles = np.array([row.role for row in mine])
        sharpness = np.array([row.sharpness for row in mine])
        rank = np.corrcoef(ranks(-sharpness), ranks(blur))[0, 1]
        found = counts(roles, blur)
        low, middle, high = np.quantile(blur, (0.05, 0.5, 0.95))
        line = f"{name:20} {kind:8} {low:4.1f} {middle:4.1f} {high:4.1f}"
        if kind == "mixed":
            total += found
        if kind != "sharp":
            correlations.append(rank)
        line += f"  {rank:6.3f}   " if kind != "sharp" else "       -   "
        if kind == "blurred":
            line += (
                f"{np.sum(roles == 'sharp')} references of median blur"
                f" {np.median(blur[roles == 'sharp']):.1f} px,"
                f" blurry {np.median(blur[roles == 'blurry']):.1f} px"
            )
        else:
            line += "  ".join(map(share, found))
            if kind == "sharp":
                total[:2] += found[:2]
                total[2] += found[2]
                line += f"   called blurry: {np.mean(roles == 'blurry'):.1%}"
        print(line)
    print(f"all: rank correlation {np.mean(correlations):.3f} (least {min(correlations):.3f}); "
          f"sharp P {share(total[0])} R {share(total[1])}, blurry P {share(total[2])}"
          f" R {share(total[3])}")  # fmt: skip


if __name__ == "__main__":
    main()
