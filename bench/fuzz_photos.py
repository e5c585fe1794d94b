"""Damage photographs at random, write them anew, and print whatever is no picture and no UserError.

    PYTHONPATH=.:src python bench/fuzz_photos.py --minutes 10

A second process does the work, so that crashes inside the codecs are seen. Each case is a pure
function of its number; `--case N` repeats one.
"""

import argparse
import collections
import faulthandler
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

SEEDS = {}
WORDS = (
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\1",
    b"\xff\xd9",
)


def seeds(folder):
    """Small valid files of every format."""
    import pillow_heif
    import tifffile
    from PIL import Image
    from tests.media.photos.pictures import ICC, XMP, exif, noise, pillow, png, smooth

    from bluref.media.photos import vips

    pillow_heif.register_heif_opener()
    told = {"exif": exif(), "icc_profile": ICC, "xmp": XMP}
    for channels in (1, 3, 4):
        png(folder / f"{channels}.png", noise(channels, 16), chunks=[(b"eXIf", exif()[6:])])
    palette = noise(3, height=1, width=256)[0]
    png(folder / "palette.png", noise(1), palette=palette, chunks=[(b"tRNS", bytes(256))])
    vips.from_array(noise()).pngsave(str(folder / "interlaced.png"), interlace=True)
    Image.fromarray(smooth()).save(
        folder / "pages.jpg",
        "MPO",
        save_all=True,
        append_images=[Image.fromarray(smooth())],
        **told,
    )
    pillow(folder / "progressive.jpg", smooth(), progressive=True)
    pillow(folder / "inks.jpg", smooth(4), mode="CMYK")
    pillow(folder / "lossy.webp", smooth(4), **told)
    pillow(folder / "lossless.webp", noise(4), lossless=True)
    for order in "<>":
        path = folder / f"{ord(order)}.tif"
        tifffile.imwrite(
            path, noise(4, 16), photometric="rgb", byteorder=order, bigtiff=order == "<"
        )
    tifffile.imwrite(folder / "alpha.tif", noise(4), photometric="rgb", extrasamples=["assocalpha"])
    pillow(folder / "told.tif", noise(), exif=exif())
    tile = {"tile": True, "tile_width": 16, "tile_height": 16, "compression": "deflate"}
    vips.from_array(noise()).tiffsave(str(folder / "tiles.tif"), **tile)
    pillow(folder / "a.avif", smooth(4), **told)
    pillow(folder / "a.heic", smooth(4), **told)
    pillow(folder / "a.gif", smooth(1))


def damaged(data, rng):
    """A few changes of bits, words, lengths and order."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Headers are where the structure is.
        at = rng.randrange(len(data) if rng.random() < 0.4 else min(len(data), 600))
        rng.choice((flip, flip, put, put_word, put_word, drop, double, cut))(data, at, rng)
        data = data or bytearray(1)
    return bytes(data)


def flip(data, at, rng):
    data[at] ^= 1 << rng.randrange(8)


def put(data, at, rng):
    data[at] = rng.randrange(256)


def put_word(data, at, rng):
    word = rng.choice(WORDS)
    data[at : at + len(word)] = word


def drop(data, at, rng):
    del data[at : at + rng.choice((1, 2, 4, 64))]


def double(data, at, rng):
    other = rng.randrange(len(data))
    data[at:at] = data[other : other + rng.choice((1, 4, 32))]


def cut(data, at, rng):
    if rng.random() < 0.3:
        del data[at:]


def case(number, names, folder):
    """(name of the seed, damaged file on disk) of a case."""
    rng = random.Random(number)
    name = rng.choice(names)
    path = folder / f"case{Path(name).suffix}"
    path.write_bytes(damaged(SEEDS[name], rng))
    return name, path


def work(first, folder):
    """Do cases from `first` on, telling what is strange; dies of what crashes."""
    from tests.media.photos.pictures import copied

    from bluref.errors import UserError
    from bluref.media.photos.photo import open_photo

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    number = first
    while True:
        name, path = case(number, sorted(SEEDS), folder)
        print("case", number, name, flush=True)
        signal.alarm(20)
        try:
            out = copied(path, max_pixels=1 << 20)
            with open_photo(out) as photo:
                photo.read(photo.height)
            print("fine", flush=True)
        except UserError as error:
            one_line = "\n" not in error.problem + error.fix and "out." not in error.problem
            print("refused" if one_line else f"STRANGE {error.problem!r}", flush=True)
        except BaseException:
            print("STRANGE", repr(traceback.format_exc()), flush=True)
        signal.alarm(0)
        left = [p.name for p in folder.iterdir() if p.name.startswith(".")]
        if left:
            print("STRANGE left behind", left, flush=True)
        for extra in folder.iterdir():
            extra.unlink()
        number += 1


def watch(minutes, first):
    """Start workers until time is up, and count."""
    counts, end = collections.Counter(), time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        line = [sys.executable, __file__, "--work", str(first)]
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            last = ""
            for told in child.stdout:
                told = told.rstrip()
                if told.startswith("case"):
                    last = told
                    first = int(told.split()[1]) + 1
                else:
                    counts[told.split()[0]] += 1
                    if told.startswith("STRANGE"):
                        print(last, told.replace("\\n", "\n"), flush=True)
                if time.monotonic() > end:
                    child.kill()
                    break
            else:
                counts["crashed"] += 1
                print(last, "CRASHED", child.stderr.read()[-3000:], flush=True)
    print("| fine | refused | strange | crashed |\n|---|---|---|---|")
    print("|", " | ".join(str(counts[k]) for k in ("fine", "refused", "STRANGE", "crashed")), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--work", type=int)
    parser.add_argument("--case", type=int)
    options = parser.parse_args()
    if options.work is None and options.case is None:
        watch(options.minutes, options.first)
        return
    np.random.seed(0)
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as folder:
        seeds(Path(made))
        SEEDS.update({path.name: path.read_bytes() for path in Path(made).iterdir()})
        if options.case is not None:
            name, path = case(options.case, sorted(SEEDS), Path(folder))
            Path(f"case{options.case}{path.suffix}").write_bytes(path.read_bytes())
            print(name, path.stat().st_size)
        else:
            work(options.work, Path(folder))


if __name__ == "__main__":
    main()
