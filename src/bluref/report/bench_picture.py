"""`bluref bench`: its table, and its picture."""

from collections.abc import Sequence
from pathlib import Path

from bluref.media.whole import whole_file
from bluref.restore.engines.bench import Row

_MEBI = 2**20


def bench_table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = "| picture | engine | precision | seconds | times as fast | peak MiB | PSNR to fp32 |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        peak = f"{row.peak_memory_bytes / _MEBI:.0f}"
        psnr = "equal" if row.psnr_to_fp32 is None else f"{row.psnr_to_fp32:.1f} dB"
        lines.append(
            f"| {row.width}x{row.height} | {row.engine} | {row.precision} | {row.seconds:.3f}"
            f" | {row.ratio_to_eager_fp32:.2f} | {peak} | {psnr} |"
        )
    return "\n".join(lines)


def draw_bench(rows: Sequence[Row], path: Path) -> None:
    """Bars of how many times as fast as plain torch each engine is, per size of picture.

    Raises:
        UserError: `path` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = list(dict.fromkeys((row.engine, row.precision) for row in rows))
    sizes = list(dict.fromkeys((row.width, row.height) for row in rows))
    figure = Figure(figsize=(7, 1.2 + 0.22 * len(columns) * len(sizes)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for at, (width, height) in enumerate(sizes):
        shown = [row for row in rows if (row.width, row.height) == (width, height)]
        places = [columns.index((row.engine, row.precision)) for row in shown]
        bars = axes.barh(
            [at * (len(columns) + 1) + place for place in places],
            [row.ratio_to_eager_fp32 for row in shown],
            color=[f"C{place}" for place in places],
        )
        names = [f"{row.engine} {row.precision}, {row.seconds:.3g} s" for row in shown]
        axes.bar_label(bars, names, padding=3, fontsize=8)
    middle = (len(columns) - 1) / 2
    axes.set_yticks(
        [at * (len(columns) + 1) + middle for at in range(len(sizes))],
        [f"{width}x{height}" for width, height in sizes],
    )
    axes.invert_yaxis()
    axes.margins(x=0.35)
    axes.set_xlabel("times as fast as plain eager torch in fp32")
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120)
