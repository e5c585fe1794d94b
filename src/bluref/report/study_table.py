"""A study as tables: CSV for machines, Markdown for people, and two pictures."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bluref.measure import psnr, ssim
from bluref.media.whole import whole_file, write_text_whole
from bluref.train.metrics import read_metrics
from bluref.train.studies.study_file import COPY
from bluref.train.studies.study_grid import BLUREF
from bluref.train.studies.study_results import ROW, Result, column, row, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARE = (
    *("method", "strategy", "delta", "refs", "backbone", "seeds"),
    *("share", "spread", "share_train_frames", "spread_train_frames"),
)
"""Columns of the table of shares."""

# Decimals of what the Markdown shows; other numbers have two.
_DECIMALS = {"ssim_test": 4, "coverage": 3}

Metrics = Sequence[Mapping[str, str]]
# (Delta, N) of references, or None twice: where a row stands along the axis of the chart.
_Place = tuple[int | None, int | None]


def write_tables(results: Sequence[Result], folder: Path) -> None:
    """Write `table.csv`, `shares.csv`, `table.md`, `table.png` and `targets.png`, each whole.

    The last is the paper's Fig. 7 and needs a run that has targets and ground truth.

    Args:
        results: of the study so far.
        folder: of the study, whose `runs/` holds the runs.
    """
    rows, of_shares = [row(r) for r in results], [share.told() for share in shares(results)]
    with_reason = (*ROW, "failed")
    write_text_whole(folder / "table.csv", as_csv(rows, with_reason))
    write_text_whole(folder / "shares.csv", as_csv(of_shares, SHARE))
    write_text_whole(folder / "table.md", as_markdown(results))
    draw_table(results, folder / "table.png")
    runs = {r.run.name: folder / "runs" / r.run.name for r in results if r.run.kind == BLUREF}
    metrics = {name: run / "metrics.csv" for name, run in runs.items()}
    draw_targets(
        {name: read_metrics(path) for name, path in metrics.items() if path.exists()},
        folder / "targets.png",
    )


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows as CSV; a cell is empty where there is no figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in of_row.items()}
        for of_row in rows
    )
    return text.getvalue()


def as_markdown(results: Sequence[Result]) -> str:
    """The table, the shares of the supervised gain, what failed, and how it was measured."""
    rows, of_shares = [row(r) for r in results], [share.told() for share in shares(results)]
    parts = [_markdown_table(rows, ROW)]
    if of_shares:
        parts += [
            "Share of the supervised gain, (PSNR - input) / (supervised PSNR - input), mean over"
            " seeds and standard deviation:",
            _markdown_table(of_shares, SHARE),
        ]
    failed = [f"* {r.run.name}: {_cell('failed', r.failed)}" for r in results if r.failed]
    if failed:
        parts.append("\n".join(["Failed:", "", *failed]))
    parts.append(
        f"{psnr.PROTOCOL}; {ssim.PROTOCOL}. Output and truth rounded to 8 bits. `target_psnr`"
        " and `coverage`: mean over the last tenth of training. `copy-neighbour`: of the references"
        " the one nearest to the truth, which only the truth can tell."
    )
    return "\n\n".join(parts) + "\n"


def draw_table(results: Sequence[Result], picture: Path) -> None:
    """Draw the share of the supervised gain by Delta and method, each seed a dot.

    Without supervised runs the PSNR instead; copied references are left out, being far below.

    Args:
        results: of the study so far.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2, squeeze=False)[0]
    unit = "share of the supervised gain"
    points = {where: _share_points(results, where) for where in ("test", "train_frames")}
    if not any(points.values()):
        unit = "PSNR, dB"
        points = {where: _psnr_points(results, where) for where in points}
    for axes, (where, of_panel) in zip(panels, points.items(), strict=True):
        axes.set_title("test scenes" if where == "test" else "blurry training frames", fontsize=10)
        axes.set_ylabel(unit)
        _draw_points(axes, of_panel)
        if of_panel and unit.startswith("share"):
            for level in (0, 1):
                axes.axhline(level, color="0.8", linewidth=1, zorder=0)
    with whole_file(picture) as partial:
        figure.savefig(partial, dpi=110)


def draw_targets(metrics: Mapping[str, Metrics], picture: Path) -> None:
    """Draw the PSNR of the targets in their mask against steps (paper Fig. 7), round by round.

    A large marker is the mean of a round, in its middle; the dots are single batches. Writes
    nothing where no run has targets and ground truth.

    Args:
        metrics: rows of metrics.csv by name of the run.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    shown = {n: rows for n, rows in metrics.items() if column(rows, "target_psnr_truth")}
    if not shown:
        return
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, rows in shown.items():
        line = axes.plot(*_by_round(rows), marker="o", label=name)[0]
        steps, values = zip(*column(rows, "target_psnr_truth"), strict=True)
        axes.plot(steps, values, ".", markersize=3, alpha=0.4, color=line.get_color())
    axes.set_xlabel("steps")
    axes.set_ylabel("target against truth in its mask, dB")
    axes.legend(fontsize=8)
    with whole_file(picture) as partial:
        figure.savefig(partial, dpi=110)


def _by_round(rows: Metrics) -> tuple[list[float], list[float]]:
    """Mean step and mean PSNR of each round."""
    rounds: dict[str, list[tuple[int, float]]] = {}
    for of_step in rows:
        rounds.setdefault(of_step["round"], []).extend(column([of_step], "target_psnr_truth"))
    points = [list(zip(*points, strict=True)) for points in rounds.values() if points]
    return [statistics.fmean(p[0]) for p in points], [statistics.fmean(p[1]) for p in points]


def _share_points(results: Sequence[Result], where: str) -> list[tuple[str, _Place, float]]:
    return [
        (_label(share.method, share.backbone, results), (share.delta, share.refs), value)
        for share in shares(results)
        for value in getattr(share, where).values
    ]


def _psnr_points(results: Sequence[Result], where: str) -> list[tuple[str, _Place, float]]:
    points = []
    for result in results:
        if result.measured and result.run.kind != COPY:
            told = row(result)
            label = _label(told["method"], told["backbone"], results)
            points.append((label, (told["delta"], told["refs"]), told[f"psnr_{where}"]))
    return points


def _label(method: str, backbone: str | None, results: Sequence[Result]) -> str:
    """The method, and its network where the study has several."""
    several = len({r.run.recipe.backbone for r in results}) > 1
    return f"{method}, {backbone}" if several and backbone else method


def _draw_points(axes: "Axes", points: Sequence[tuple[str, _Place, float]]) -> None:
    """Dots, and a line through their means for each label, side by side at each place."""
    places = sorted({place for _, place, _ in points}, key=lambda p: (p[0] or 0, p[1] or 0))
    labels = list(dict.fromkeys(label for label, _, _ in points))
    for number, label in enumerate(labels):
        shift = 0.6 * ((number + 0.5) / len(labels) - 0.5)
        of_label = [(places.index(p) + shift, v) for name, p, v in points if name == label]
        at = sorted({x for x, _ in of_label})
        means = [statistics.fmean(v for x, v in of_label if x == here) for here in at]
        line = axes.plot(at, means, marker="_", markersize=12, linewidth=1, label=label)[0]
        axes.plot(*zip(*of_label, strict=True), "o", markersize=4, color=line.get_color())
    if labels:
        axes.set_xticks(range(len(places)), [_tick(place, places) for place in places])
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)


def _tick(place: _Place, places: Sequence[_Place]) -> str:
    delta, refs = place
    if delta is None:
        return "no references"
    several = len({n for _, n in places if n is not None}) > 1
    return f"Δ {delta}, N {refs}" if several else f"Δ {delta}"


def _markdown_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(name, of_row.get(name)) for name in columns] for of_row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{_DECIMALS.get(name, 2)}f}"
    return str(value).replace("|", "\\|").replace("\n", " ")
