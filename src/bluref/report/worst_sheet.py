"""Where a network fails: of each clip the place in which its output loses most, as it looks."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.media.picture import write_picture
from bluref.media.whole import write_text_whole
from bluref.report.before_after import Row, before_after
from bluref.train.evaluate import Evaluation, Worst

SIDE = 288
"""Of each picture in the sheet, in pixels: captions want room."""

COLUMNS = (
    *("part", "clip", "images", "input_psnr", "psnr", "gain", "below_input"),
    *("worst_frame", "top", "left", "window_input_psnr", "window_psnr"),
)


def worst_sheet(found: Evaluation) -> Float[Tensor, "1 3 H W"]:
    """Input, output and truth of the worst place of each clip, the worst clip first.

    Those of `train.evaluate.SHOWN` clips at most, which lose most.
    """
    ranked = sorted(found.worst.values(), key=lambda one: -one.window.lost)
    return before_after([_row(one, one.shown) for one in ranked if one.shown is not None])


def write_worst(parts: Sequence[tuple[str, Evaluation]], folder: Path) -> None:
    """Write FOLDER/scenes.csv, with every clip, and FOLDER/worst.jpg of the first part.

    Args:
        parts: names and evaluations.
        folder: must exist.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for part, found in parts:
        writer.writerows({"part": part, **told} for told in about_clips(found))
    write_text_whole(folder / "scenes.csv", text.getvalue())
    write_picture(worst_sheet(parts[0][1]), folder / "worst.jpg")


def about_clips(found: Evaluation) -> list[dict[str, str | float | int]]:
    """What `COLUMNS` say of each clip, but for the part; dB to two digits."""
    rows: list[dict[str, str | float | int]] = []
    for clip, (after, before) in found.per_clip.items():
        worst = found.worst[clip]
        rows.append(
            {
                "clip": clip,
                "images": found.count[clip],
                "input_psnr": round(before.psnr, 2),
                "psnr": round(after.psnr, 2),
                "gain": round(after.psnr - before.psnr, 2),
                "below_input": found.below[clip],
                "worst_frame": worst.frame.path.name,
                "top": worst.window.top,
                "left": worst.window.left,
                "window_input_psnr": round(worst.window.before, 2),
                "window_psnr": round(worst.window.after, 2),
            }
        )
    return rows


def _row(one: Worst, shown: tuple[Tensor, Tensor, Tensor]) -> Row:
    window = one.window
    captions = (
        f"{one.frame.clip} {one.frame.path.stem}: {window.before:.2f} dB",
        f"output {window.after:.2f} dB ({window.after - window.before:+.2f})",
        "truth",
    )
    return Row([_enlarged(image) for image in shown], captions)


def _enlarged(image: Float[Tensor, "1 3 a b"]) -> Float[Tensor, "1 3 side side"]:
    """Whole pixels repeated, on white where it is no square."""
    times = max(SIDE // max(image.shape[-2:]), 1)
    large = image.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)
    height, width = large.shape[-2:]
    return F.pad(large, (0, SIDE - width, 0, SIDE - height), value=1.0)
