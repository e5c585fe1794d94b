"""Curves of a run, drawn from its metrics.csv."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bluref.media.whole import whole_file
from bluref.train.metrics import read_metrics
from bluref.train.studies.study_results import column

PANELS = (
    ("loss", {"loss": "loss"}),
    ("px", {"epe": "error of the flow", "epe_coarse": "error of the coarsest level"}),
    ("share", {"pck1": "within 1 px", "p1": "said to be within 1 px"}),
    ("dB", {"agreement": "output against target (agreement)"}),
    (
        "dB",
        {
            "validation_score": "frames held back: what chooses the best",
            "validation_gain": "frames held back: agreement, over that of the input",
            "validation_reblur": "frames held back: blurred again, over the input",
        },
    ),
    ("share", {"coverage": "covered by references", "trust": "trust where covered"}),
    ("px", {"shift_x": "shift of the output, x", "shift_y": "shift of the output, y"}),
    (
        "dB",
        {
            "input_psnr_truth": "blurry input against truth",
            "target_psnr_truth": "target against truth, in its mask",
            "output_psnr_truth": "output against truth",
        },
    ),
)


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw every column of interest over the steps; each value beside its running median.

    Curves that compare with the truth are marked as such, and left out where there is none.

    Args:
        metrics: a run's metrics.csv.
        picture: PNG to write.
    """
    from matplotlib.figure import Figure

    rows = read_metrics(metrics)
    panels = [(unit, lines) for unit, lines in PANELS if any(column(rows, name) for name in lines)]
    figure = Figure(figsize=(8, 2.4 * max(len(panels), 1)), layout="constrained")
    for place, (unit, lines) in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels), 1, place)
        for name, label in lines.items():
            points = column(rows, name)
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            line = axes.plot(steps, running_median(values), label=label)[0]
            axes.plot(steps, values, ".", markersize=2, alpha=0.4, color=line.get_color())
        for step in round_starts(rows):
            axes.axvline(step, color="0.8", linewidth=1, zorder=0)
        axes.set_ylabel(unit)
        axes.legend(fontsize=8)
        if any(name.endswith("_truth") for name in lines):
            axes.set_title(against_the_truth(rows), fontsize=9)
    if panels:
        renewed = "; a grey line where targets were renewed" if round_starts(rows) else ""
        axes.set_xlabel(f"steps{renewed}")
    with whole_file(picture) as partial:
        figure.savefig(partial, dpi=110)


def against_the_truth(rows: Sequence[Mapping[str, str]]) -> str:
    """What the truth is to a run: something to measure by, but for one that learns from pairs."""
    learns = any(row.get("phase") == "supervised" for row in rows)
    return f"against the truth, which training {'learns from' if learns else 'never sees'}"


def running_median(values: Sequence[float], window: int = 9) -> list[float]:
    """The median of each value and its neighbours, fewer at the ends."""
    half = window // 2
    spans = [sorted(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    return [span[len(span) // 2] for span in spans]


def round_starts(rows: list[dict[str, str]]) -> list[int]:
    """Steps of the first row of every round of targets."""
    starts: dict[str, int] = {}
    for row in rows:
        if row["round"] != "":
            starts.setdefault(row["round"], int(row["step"]))
    return list(starts.values())
