"""A study as pictures: read back from what matplotlib was asked to draw."""

from itertools import pairwise

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from bluref.report.study_chart import draw_table, draw_targets
from bluref.train.recipe import Recipe
from bluref.train.studies.study_grid import BLUREF, Run
from bluref.train.studies.study_results import Measured, Result

BOUND = 24.0


def result(psnr, kind=BLUREF, method="", **recipe):
    """Of a data set whose input has 20 dB."""
    chosen = Recipe(**recipe)
    method = method or (chosen.strategy if kind == BLUREF else kind)
    run = Run(f"{method}-d{chosen.delta}-s{chosen.seed}", kind, method, chosen)
    return Result(run, Measured(psnr, 0.9, 0.95, psnr - 1, 20.0, 19.0, 26.5, 0.7, 0.5))


@pytest.fixture
def results():
    return [
        result(20.0, "identity"),
        *(result(22.0 + seed, seed=seed, delta=delta) for delta in (1, 5) for seed in (0, 1)),
        result(21.0, strategy="average"),
        result(BOUND, "supervised"),
        result(12.0, "copy-neighbour"),
    ]


@pytest.fixture
def figures(monkeypatch):
    """What was saved."""
    saved = []
    real = Figure.savefig

    def savefig(self, *arguments, **options):
        saved.append(self)
        real(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return saved


def lines_of(axes):
    """Label of each line, and the dots on it."""
    labels = [tick.get_text() for tick in axes.figure.axes[0].get_yticklabels()]
    dots = [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "o"]
    return dict(zip(labels, dots, strict=True))


def test_each_method_and_delta_has_a_line_and_each_seed_a_dot(results, tmp_path, figures):
    draw_table(results, tmp_path / "table.png")
    test, learnt = figures[0].axes
    assert test.get_xlabel() == "share of the supervised gain"
    assert lines_of(test) == {
        "robust, Δ 1": [0.5, 0.75],
        "robust, Δ 5": [0.5, 0.75],
        "average, Δ 1": [0.25],
    }
    assert lines_of(learnt) == lines_of(test)
    means = [line.get_xdata().tolist() for line in test.lines if line.get_marker() == "|"]
    assert means == [[0.625], [0.625]]


def test_without_a_supervised_run_it_shows_psnr(results, tmp_path, figures):
    draw_table([r for r in results if r.run.kind != "supervised"], tmp_path / "table.png")
    test, learnt = figures[0].axes
    assert test.get_xlabel() == "PSNR, dB"
    assert list(lines_of(test)) == ["identity", "robust, Δ 1", "robust, Δ 5", "average, Δ 1"]
    assert lines_of(learnt)["robust, Δ 5"] == [21.0, 22.0]


@pytest.mark.slow
def test_several_networks_and_counts_of_references_are_told_apart(tmp_path, figures):
    several = [
        result(21.0, refs=4),
        result(22.0, refs=6, backbone="light"),
        result(BOUND, "supervised"),
        result(BOUND, "supervised", backbone="light"),
    ]
    draw_table(several, tmp_path / "table.png")
    assert list(lines_of(figures[0].axes[0])) == ["robust, small, N 4", "robust, light, N 6"]


@pytest.mark.slow
def test_a_study_of_many_switches_can_be_read(tmp_path, figures):
    """Every label and panel within the picture, lines a letter's height apart."""
    many = [result(21.0 + n / 10, method=f"a switch called number {n}") for n in range(26)]
    draw_table([*many, result(BOUND, "supervised")], tmp_path / "table.png")
    figure = figures[0]
    figure.canvas.draw()
    width, height = figure.bbox.width, figure.bbox.height
    for axes in figure.axes:
        assert axes.bbox.width > width / 4
        assert axes.bbox.height > height / 2
    labels = [tick.get_window_extent() for tick in figure.axes[0].get_yticklabels()]
    assert len(labels) == len(many)
    assert all(0 <= box.x0 < box.x1 <= width for box in labels)
    assert all(a.y0 > b.y1 for a, b in pairwise(labels))


def rows_of(round_and_values):
    return [
        {"step": str(step), "round": round_, "target_psnr_truth": value}
        for step, round_, value in round_and_values
    ]


def test_targets_are_drawn_round_by_round(tmp_path, monkeypatch):
    lines = []
    real = Axes.plot

    def plot(self, *arguments, **options):
        lines.append(arguments[:2])
        return real(self, *arguments, **options)

    monkeypatch.setattr(Axes, "plot", plot)
    rows = rows_of(
        [(5, "", ""), (10, "0", "24"), (20, "0", "26"), (30, "1", "27"), (40, "1", "nan")]
    )
    draw_targets({"mine": rows}, tmp_path / "targets.png")
    assert [list(values) for values in lines[0]] == [[15, 30], [25, 27]]
    assert [list(values) for values in lines[1]] == [[10, 20, 30], [24, 26, 27]]


@pytest.mark.slow
def test_every_run_has_a_look_of_its_own_and_the_legend_hides_no_curve(tmp_path, figures):
    rows = rows_of([(10, "0", "24"), (30, "1", "27")])
    draw_targets({f"run {n}": rows for n in range(45)}, tmp_path / "targets.png")
    (figure,) = figures
    figure.canvas.draw()
    (axes,) = figure.axes
    curves = [line for line in axes.lines if line.get_marker() == "o"]
    assert len({(line.get_color(), line.get_linestyle()) for line in curves}) == 45
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= axes.bbox.x1
    assert box.height <= figure.bbox.height


def test_without_targets_nothing_is_drawn(tmp_path):
    draw_targets({"supervised": [{"step": "1", "round": ""}]}, tmp_path / "targets.png")
    assert not (tmp_path / "targets.png").exists()


def test_nothing_measured_yet_is_a_picture_too(tmp_path):
    draw_table([], tmp_path / "table.png")
    with Image.open(tmp_path / "table.png") as picture:
        assert picture.width > 100
