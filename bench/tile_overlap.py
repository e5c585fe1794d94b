"""What tiles change: the difference to the whole picture by the margin that is thrown away.

    python bench/tile_overlap.py MODEL PICTURE... [--tile 384] [--global]

prints for each margin the difference in 8-bit levels (largest, 99.9th percentile, mean), how much
steeper that difference is where tiles meet than elsewhere, and how much more the network works.
"""

import argparse
from pathlib import Path

import torch

from bluref.media.picture import read_picture
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.plan import FADE
from bluref.restore.tiling.spans import Overlap, even_spans
from bluref.restore.tiling.weave import Weaver


def tiled(deblur, image, down, across):
    """The picture in these tiles, and the pixels that were run."""
    rows, work = Weaver(-2, FADE), 0
    out = []
    for row in down:
        columns, line = Weaver(-1, FADE), []
        for column in across:
            sharp = deblur(image[..., row.start : row.stop, column.start : column.stop])
            work += sharp[0, 0].numel()
            sharp = sharp[..., row.first - row.start : row.last - row.start, :]
            sharp = sharp[..., column.first - column.start : column.last - column.start]
            line.append(columns.add(sharp.clone(), last=column is across[-1]).clone())
        out.append(rows.add(torch.cat(line, dim=-1), last=row is down[-1]).clone())
    return torch.cat(out, dim=-2), work


def seam_steepness(difference, across):
    """Mean horizontal gradient of the difference where tiles meet, over that elsewhere."""
    steep = difference.diff(dim=-1).abs().mean(dim=(0, 1, 2))
    seam = torch.zeros_like(steep, dtype=torch.bool)
    for span in across[1:]:
        seam[span.first : span.first + FADE] = True
    return (steep[seam].mean(), steep[~seam].mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--tile", type=int, default=384)
    parser.add_argument("--margins", type=int, nargs="+", default=[0, 16, 32, 48, 72, 96, 120])
    parser.add_argument("--global", action="store_true", dest="whole")
    options = parser.parse_args()
    deblur = Deblurrer.from_pretrained(
        options.model, precision="fp32", local_pooling=not options.whole
    )
    pictures = [read_picture(path) for path in options.pictures]
    wholes = [deblur(picture) for picture in pictures]
    print("| margin | largest | 99.9 % | mean | gradient at seams | elsewhere | work |")
    print("|---|---|---|---|---|---|---|")
    for margin in options.margins:
        overlap = Overlap(margin, FADE)
        rows = []
        for picture, whole in zip(pictures, wholes, strict=True):
            down, across = (
                even_spans(side, options.tile, overlap, deblur.multiple)
                for side in picture.shape[-2:]
            )
            out, work = tiled(deblur, picture, down, across)
            difference = (out - whole).abs() * 255
            most = torch.quantile(difference.flatten()[:: 1 + difference.numel() // 10**7], 0.999)
            seam, rest = seam_steepness((out - whole) * 255, across)
            rows.append([
                difference.max(), most, difference.mean(), seam, rest,
                torch.tensor(work / picture[0, 0].numel()),
            ])  # fmt: skip
        table = torch.tensor(rows)
        m = table.mean(0)
        print(
            f"| {margin} | {table[:, 0].max():.1f} | {m[1]:.2f} | {m[2]:.3f} | {m[3]:.3f} |"
            f" {m[4]:.3f} | {m[5]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
