"""The curves of a run on its page, from metrics.csv and validation.csv."""

import math
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from bluref.report.curves import PANELS, against_the_truth, round_starts, running_median
from bluref.report.page.page_charts import Chart, draw_chart
from bluref.report.page.page_facts import Row, RunFacts, number
from bluref.report.page.page_markup import put, tag

TITLES = {
    "loss": "Loss",
    "epe": "Error of the flow",
    "pck1": "Flow within a pixel",
    "agreement": "Agreement with the target, crops that it learns from",
    "coverage": "Shown by sharp frames",
    "shift_x": "Drift of the output against the input",
}


def curves_section(facts: RunFacts) -> ET.Element | None:
    """Every curve there is; None without any."""
    charts = [*validation_charts(facts), *metrics_charts(facts)]
    if not charts:
        return None
    section = tag("section", tag("h2", "Curves"), id="curves")
    if any(chart.marks for chart in charts):
        put(
            section,
            tag("p", "By step; an upright line where targets were renewed.", class_="quiet"),
        )
    put(section, tag("div", *map(draw_chart, charts), class_="panels"))
    return section


def metrics_charts(facts: RunFacts) -> list[Chart]:
    """A panel for every group of columns that metrics.csv fills."""
    rows = [row for row in facts.metrics if "round" in row]
    charts = []
    for unit, labels in PANELS:
        dots = {label: _points(rows, name) for name, label in labels.items()}
        dots = {label: found for label, found in dots.items() if found}
        lines = {
            label: list(
                zip([x for x, _ in found], running_median([y for _, y in found]), strict=True)
            )
            for label, found in dots.items()
        }
        if lines:
            title = TITLES.get(next(iter(labels)), next(iter(lines)))
            if "input_psnr_truth" in labels:
                title = against_the_truth(rows).capitalize()
            shown = "" if unit == title.lower() else unit
            marks = [float(step) for step in round_starts(rows)]
            charts.append(Chart(title, shown, lines, dots, marks))
    return charts


def validation_charts(facts: RunFacts) -> list[Chart]:
    """How the held-out frames agree with sharp frames, over the steps: the median frame."""
    names = {"blurry input": "agreement_before", "output": "agreement_after"}
    lines: dict[str, list[tuple[float, float]]] = {}
    for label, name in names.items():
        by_step: dict[float, list[float]] = {}
        for step, value in _points(facts.validation, name):
            by_step.setdefault(step, []).append(value)
        lines[label] = [(step, statistics.median(by_step[step])) for step in sorted(by_step)]
    if not lines["output"]:
        return []
    return [Chart("Agreement on held-out frames, median", "dB", lines)]


def _points(rows: Sequence[Row], name: str) -> list[tuple[float, float]]:
    """(step, value) of every row that has a number in the column."""
    found = [(number(row, "step"), number(row, name)) for row in rows]
    return [(x, y) for x, y in found if math.isfinite(x) and math.isfinite(y)]
