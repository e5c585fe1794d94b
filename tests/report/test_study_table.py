"""A study as tables and pictures."""

import csv
import io

import pytest
from PIL import Image

from bluref.report import study_table
from bluref.report.study_table import (
    SHARE,
    as_csv,
    as_markdown,
    draw_table,
    draw_targets,
    write_tables,
)
from bluref.train.recipe import Recipe
from bluref.train.studies.study_grid import BLUREF, Run
from bluref.train.studies.study_results import ROW, Measured, Result, row, shares

FILES = {"table.csv", "shares.csv", "table.md", "table.png", "targets.png"}


def result(psnr, kind=BLUREF, failed="", **recipe):
    """Of a data set whose input has 20 dB."""
    chosen = Recipe(**recipe)
    method = chosen.strategy if kind == BLUREF else kind
    run = Run(f"{method}-d{chosen.delta}-s{chosen.seed}", kind, method, chosen)
    measured = Measured(psnr, 0.91234, 0.95, psnr - 1, 20.0, 19.0, 26.543, 0.7, 0.5)
    return Result(run, None if failed else measured, failed)


@pytest.fixture
def results():
    return [
        result(20.0, "identity"),
        *(result(22.0 + seed, seed=seed, delta=delta) for delta in (1, 5) for seed in (0, 1)),
        result(21.0, strategy="average"),
        result(0.0, strategy="sequential", failed="disk | full\nreally"),
        result(24.0, "supervised"),
    ]


def metrics_file(folder, values=("25.5", "26.5", "", "27.5")):
    lines = [f"{10 * i},{i // 2},{value}" for i, value in enumerate(values)]
    folder.mkdir(parents=True)
    (folder / "metrics.csv").write_text("\n".join(["step,round,target_psnr_truth", *lines]) + "\n")


@pytest.mark.slow
def test_the_files_appear_whole(results, tmp_path):
    metrics_file(tmp_path / "runs" / results[1].run.name)
    write_tables(results, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES | {"runs"}
    for name in ("table.png", "targets.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > picture.height > 100


def test_a_death_half_way_leaves_the_old_table(results, tmp_path, monkeypatch):
    write_tables(results, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def dies(axes, points):
        raise KeyboardInterrupt

    monkeypatch.setattr(study_table, "_draw_points", dies)
    with pytest.raises(KeyboardInterrupt):
        write_tables(results, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_csv_holds_every_row_and_leaves_missing_figures_empty(results):
    text = as_csv([row(r) for r in results], (*ROW, "failed"))
    read = list(csv.DictReader(io.StringIO(text)))
    assert len(read) == len(results)
    assert tuple(read[0]) == (*ROW, "failed")
    assert read[0]["backbone"] == ""
    assert float(read[1]["ssim_test"]) == pytest.approx(0.91234)
    assert read[1]["failed"] == ""
    assert read[6]["failed"] == "disk | full\nreally"
    assert read[6]["psnr_test"] == ""


def test_the_columns_of_shares_are_those_told_to_machines(results):
    assert all(tuple(share.told()) == SHARE for share in shares(results))


def test_markdown_shows_rows_shares_and_failures(results):
    text = as_markdown(results)
    lines = text.splitlines()
    assert "| robust | robust | 1 | 6 | small | 1 | 5000 | 23.00 | 0.9123 | 22.00 |" in text
    # (22 - 20) / 4 and (23 - 20) / 4
    assert "| robust | robust | 1 | 6 | small | 2 | 0.62 | 0.18 |" in text
    assert "* sequential-d1-s0: disk \\| full really" in lines
    tables = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {
        len(ROW) + 1,
        len(SHARE) + 1,
    }
    assert "PSNR in dB" in lines[-1]


def test_without_runs_there_is_still_a_table(tmp_path):
    write_tables([], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"targets.png"}


def drawn(results, path, monkeypatch):
    """What the chart shows: unit, places along its axis, labels."""
    from matplotlib.figure import Figure

    figures = []
    real = Figure.savefig

    def savefig(self, *arguments, **options):
        figures.append(self)
        real(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    draw_table(results, path)
    axes = figures[0].axes[0]
    legend = axes.get_legend()
    labels = [text.get_text() for text in legend.get_texts()] if legend else []
    return axes, [tick.get_text() for tick in axes.get_xticklabels()], labels


def test_the_chart_shows_each_seed_of_each_method_at_its_delta(results, tmp_path, monkeypatch):
    axes, ticks, labels = drawn(results, tmp_path / "table.png", monkeypatch)
    assert axes.get_ylabel() == "share of the supervised gain"
    assert ticks == ["Δ 1", "Δ 5"]
    assert labels == ["robust", "average"]
    dots = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() == "o"]
    assert dots == [[0.5, 0.75, 0.5, 0.75], [0.25]]


def test_without_a_supervised_run_the_chart_shows_psnr(results, tmp_path, monkeypatch):
    axes, ticks, labels = drawn(results[:-1], tmp_path / "table.png", monkeypatch)
    assert axes.get_ylabel() == "PSNR, dB"
    assert ticks == ["no references", "Δ 1", "Δ 5"]
    assert labels == ["identity", "robust", "average"]


@pytest.mark.slow
def test_several_networks_and_counts_of_references_are_told_apart(tmp_path, monkeypatch):
    several = [
        result(21.0, refs=4),
        result(22.0, refs=6, backbone="light"),
        result(24.0, "supervised"),
        result(24.0, "supervised", backbone="light"),
    ]
    _, ticks, labels = drawn(several, tmp_path / "table.png", monkeypatch)
    assert ticks == ["Δ 1, N 4", "Δ 1, N 6"]
    assert labels == ["robust, small", "robust, light"]


def test_targets_are_drawn_round_by_round(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    lines = []
    real = Axes.plot

    def plot(self, *arguments, **options):
        lines.append(arguments[:2])
        return real(self, *arguments, **options)

    monkeypatch.setattr(Axes, "plot", plot)
    rows = [
        {"step": str(step), "round": round_, "target_psnr_truth": value}
        for step, round_, value in [
            (5, "", ""), (10, "0", "24"), (20, "0", "26"), (30, "1", "27"), (40, "1", "nan"),
        ]
    ]  # fmt: skip
    draw_targets({"mine": rows}, tmp_path / "targets.png")
    assert [list(values) for values in lines[0]] == [[15, 30], [25, 27]]
    assert [list(values) for values in lines[1]] == [[10, 20, 30], [24, 26, 27]]


def test_without_targets_nothing_is_drawn(tmp_path):
    draw_targets({"supervised": [{"step": "1", "round": ""}]}, tmp_path / "targets.png")
    assert not (tmp_path / "targets.png").exists()
