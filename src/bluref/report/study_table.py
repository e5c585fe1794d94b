"""A study as tables: CSV for machines, Markdown for people, and two pictures beside them."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bluref.measure import psnr, ssim
from bluref.media.whole import write_text_whole
from bluref.report.study_chart import draw_table, draw_targets
from bluref.train.metrics import read_metrics
from bluref.train.studies.study_grid import BLUREF
from bluref.train.studies.study_results import ROW, Result, row, shares

SHARE = (
    *("method", "strategy", "delta", "refs", "backbone", "seeds"),
    *("share", "spread", "share_train_frames", "spread_train_frames"),
    *("psnr_test", "psnr_test_spread", "psnr_train_frames", "psnr_train_frames_spread", "hours"),
)
"""Columns of the table of shares."""

# Decimals of what the Markdown shows; other numbers have two.
_DECIMALS = {"ssim_test": 4, "coverage": 3} | dict.fromkeys(
    ("psnr_test", "psnr_test_spread", "psnr_train_frames", "psnr_train_frames_spread"), 3
)


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
            "Share of the supervised gain, (PSNR - input) / (supervised PSNR - input), PSNR and"
            " hours: means over seeds, and standard deviations (`spread`):",
            _markdown_table(of_shares, SHARE),
        ]
    failed = [f"* {r.run.name}: {_cell('failed', r.failed)}" for r in results if r.failed]
    if failed:
        parts.append("\n".join(["Failed:", "", *failed]))
    parts.append(
        f"{psnr.PROTOCOL}; {ssim.PROTOCOL}. Output and truth rounded to 8 bits. `target_psnr`"
        " and `coverage`: mean over the last tenth of training. `copy-neighbour`: of the references"
        " the one nearest to the truth, which only the truth can tell. `hours`: of the run itself;"
        " of what learns from pairs of another, without that one's."
    )
    return "\n\n".join(parts) + "\n"


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
