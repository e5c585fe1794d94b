"""A study as tables and pictures."""

import csv
import io

import pytest
from matplotlib.axes import Axes
from PIL import Image

from bluref.report.study_table import (
    SHARE,
    as_csv,
    as_markdown,
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

    def dies(*told, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Axes, "set_title", dies)
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
    assert "| robust | robust | 1 | 6 | small | 1 | 5000 | 23.000 | 0.9123 | 22.000 |" in text
    # (22 - 20) / 4 and (23 - 20) / 4; the training frames' bound is 23, their input 19
    means = "0.62 | 0.18 | 0.62 | 0.18 | 22.500 | 0.707 | 21.500 | 0.707 | 0.50 |"
    assert f"| robust | robust | 1 | 6 | small | 2 | {means}" in text
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
