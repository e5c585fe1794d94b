"""A study as two pictures: what each method is worth, and how its targets came along."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bluref.media.whole import whole_file
from bluref.train.studies.study_file import COPY
from bluref.train.studies.study_results import Result, column, row, shares

Metrics = Sequence[Mapping[str, str]]

# Inches: of the picture, of a line of it, of what stands above and below the lines, and at least.
_WIDTH, _LINE, _AROUND = 10.0, 0.26, 1.1
_LEAST, _DPI = 2.5, 110
# Where there are more curves than colours.
_STROKES = ("-", "--", ":")


def draw_table(results: Sequence[Result], picture: Path) -> None:
    """Draw the share of the supervised gain, a line for each method, Delta and N; seeds are dots.

    A stroke stands at the mean of several seeds. Without supervised runs the PSNR instead; copied
    references are left out, being far below.

    Args:
        results: of the study so far.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    unit = "share of the supervised gain"
    points = {where: _shares_by_label(results, where) for where in ("test", "train_frames")}
    if not any(values for of_panel in points.values() for values in of_panel.values()):
        unit = "PSNR, dB"
        points = {where: _psnr_by_label(results, where) for where in points}
    labels = list(points["test"])
    height = max(_LEAST, _AROUND + _LINE * len(labels))
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI)
    figure.set_layout_engine("constrained", w_pad=0.1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (where, of_panel) in zip(panels, points.items(), strict=True):
        axes.set_title("test scenes" if where == "test" else "blurry training frames", fontsize=10)
        axes.set_xlabel(unit)
        for place, values in enumerate(of_panel.values()):
            if len(values) > 1:
                axes.plot(statistics.fmean(values), place, "|", markersize=12, color="C0")
            axes.plot(values, [place] * len(values), "o", markersize=5, alpha=0.8, color="C0")
        axes.set_yticks(range(len(labels)), labels, fontsize=8, parse_math=False)
        axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
        for level in (0, 1) if labels and unit.startswith("share") else ():
            axes.axvline(level, color="0.7", linewidth=1, zorder=0)
    with whole_file(picture) as partial:
        figure.savefig(partial)


def draw_targets(metrics: Mapping[str, Metrics], picture: Path) -> None:
    """Draw the PSNR of the targets in their mask against steps (paper Fig. 7), round by round.

    A large marker is the mean of a round, in its middle; the dots are single batches. Writes
    nothing where no run has targets and ground truth.

    Args:
        metrics: rows of metrics.csv by name of the run.
        picture: PNG to write.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    shown = {n: rows for n, rows in metrics.items() if column(rows, "target_psnr_truth")}
    if not shown:
        return
    height = max(5.0, _AROUND + 0.18 * len(shown))
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    strokes = itertools.product(_STROKES, colormaps["tab20"].colors)  # type: ignore[attr-defined]
    for (name, rows), (stroke, colour) in zip(shown.items(), itertools.cycle(strokes)):
        axes.plot(
            *_by_round(rows), stroke, marker="o", label=name.replace("$", r"\$"), color=colour
        )
        steps, values = zip(*column(rows, "target_psnr_truth"), strict=True)
        axes.plot(steps, values, ".", markersize=3, alpha=0.4, color=colour)
    axes.set_xlabel("steps")
    axes.set_ylabel("target against truth in its mask, dB")
    figure.legend(fontsize=8, loc="outside right upper")
    with whole_file(picture) as partial:
        figure.savefig(partial)


def _by_round(rows: Metrics) -> tuple[list[float], list[float]]:
    """Mean step and mean PSNR of each round."""
    rounds: dict[str, list[tuple[int, float]]] = {}
    for of_step in rows:
        rounds.setdefault(of_step["round"], []).extend(column([of_step], "target_psnr_truth"))
    points = [list(zip(*points, strict=True)) for points in rounds.values() if points]
    return [statistics.fmean(p[0]) for p in points], [statistics.fmean(p[1]) for p in points]


def _shares_by_label(results: Sequence[Result], where: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    varied = _varied(results)
    for share in shares(results):
        label = _label(share.told(), varied)
        found.setdefault(label, []).extend(getattr(share, where).values)
    return found


def _psnr_by_label(results: Sequence[Result], where: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    varied = _varied(results)
    for result in results:
        if result.measured and result.run.kind != COPY:
            told = row(result)
            found.setdefault(_label(told, varied), []).append(told[f"psnr_{where}"])
    return found


def _varied(results: Sequence[Result]) -> dict[str, str]:
    """Columns in which the runs differ, beside the method, and what stands before their values."""
    rows = [row(result) for result in results]
    columns = {"backbone": "", "delta": "Δ ", "refs": "N "}
    return {n: mark for n, mark in columns.items() if len({r[n] for r in rows} - {None}) > 1}


def _label(told: Mapping[str, object], varied: Mapping[str, str]) -> str:
    """The method, and what else the study varies: its network, Delta and N."""
    parts = [f"{mark}{told[name]}" for name, mark in varied.items() if told[name] is not None]
    return ", ".join([str(told["method"]), *parts])
