"""A clip over time: how sharp, how fast, and what every frame serves as."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bluref.frames.frame_table import FrameRow
from bluref.media.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"sharp": "#1a7f37", "blurry": "#c4432b", "skip": "#9aa0a6"}
"""Of the roles, in every picture."""
_INCHES_PER_FRAME = 0.012
_WIDTH = (8.0, 18.0)  # inches


def draw_timeline(rows: Sequence[FrameRow], picture: Path) -> None:
    """Sharpness, motion and brightness of one clip over the frame number; a line at every cut.

    Args:
        rows: of one clip, in order; at least one.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    width = min(max(_WIDTH[0], _INCHES_PER_FRAME * len(rows)), _WIDTH[1])
    figure = Figure(figsize=(width, 5.4), layout="constrained")
    sharpness, motion, exposure = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": (3, 1.3, 1)}
    )
    counts = {role: sum(row.role == role for row in rows) for role in COLOURS}
    for role, colour in COLOURS.items():
        mine = [row for row in rows if row.role == role and row.sharpness is not None]
        label = f"{role} ({counts[role]})" if role != "skip" else f"of no use ({counts[role]})"
        sharpness.plot(
            [row.index for row in mine],
            [row.sharpness for row in mine],
            ".",
            color=colour,
            markersize=5,
            label=label,
        )
    _line(sharpness, [(row, row.sharpness) for row in rows], "0.85")
    best = [
        (row, row.sharpness + row.below)
        for row in rows
        if row.sharpness is not None and row.below is not None
    ]
    _line(sharpness, best, "0.6", style=":")
    _line(motion, [(row, row.motion) for row in rows], "#3b6ea8")
    _line(exposure, [(row, row.exposure) for row in rows], "#8a6d1f")
    for axes in (sharpness, motion, exposure):
        for before, after in pairwise(rows):
            if after.shot != before.shot:
                axes.axvline(after.index, color="0.3", linewidth=0.8, linestyle="--")
    title = f"{rows[0].clip} (dotted: best of the scene)"
    sharpness.set_title(title, fontsize=9, loc="left", parse_math=False)
    sharpness.set_ylabel("sharpness")
    sharpness.legend(fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    motion.set_ylabel("motion, px")
    exposure.set_ylabel("brightness")
    exposure.set_ylim(0, 1)
    exposure.set_xlabel("frame number")
    with whole_file(picture) as partial:
        figure.savefig(partial, dpi=100)


def _line(
    axes: "Axes",
    points: Sequence[tuple[FrameRow, float | None]],
    colour: str,
    style: str = "-",
) -> None:
    """A line that is broken where a shot ends, and passes over what is not known."""
    for _, shot in groupby(points, key=lambda point: point[0].shot):
        known = [(row.index, value) for row, value in shot if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), style, color=colour, linewidth=0.9, zorder=0)
