"""The table of clips on a run's page."""

import math
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from bluref.report.page.page_examples import Examples
from bluref.report.page.page_judged import Judged
from bluref.report.page.page_markup import name_of, put, tag

# Rows of the table: the worst clips, where there are more.
MOST_CLIPS = 400

COLUMNS = (
    ("clip", "Clip"),
    ("gain", "Change, dB"),
    ("failed", "Failed"),
    ("frames", "Frames judged"),
    ("before", "Input, dB"),
    ("after", "Output, dB"),
    ("coverage", "Shown by sharp frames"),
)


def clips_section(examples: Examples) -> ET.Element | None:
    """A row per clip, the worst first; None where nothing was judged."""
    clips: dict[str, list[Judged]] = {}
    for one in examples.judged:
        clips.setdefault(one.clip, []).append(one)
    if not clips:
        return None
    order = sorted(clips, key=lambda clip: _finite_first(_median([o.gain for o in clips[clip]])))
    body = tag("tbody", *(_row(clip, clips[clip]) for clip in order[:MOST_CLIPS]))
    head = tag("tr")
    for key, label in COLUMNS:
        button = tag("button", label, type="button")
        sorted_by = "ascending" if key == "gain" else None
        put(head, tag("th", button, scope="col", aria_sort=sorted_by, data_key=key))
    table = tag("table", tag("thead", head), body)
    said = tag("p", _caption(examples), class_="quiet")
    section = tag("section", tag("h2", "Clip by clip"), said, id="clips")
    put(
        section, tag("div", table, class_="scroll", tabindex="0", role="region", aria_label="Clips")
    )
    if len(order) > MOST_CLIPS:
        rest = len(order) - MOST_CLIPS
        put(section, tag("p", f"{rest} clips that did better are left out.", class_="quiet"))
    return section


def _caption(examples: Examples) -> str:
    if examples.held_out:
        return "Medians over frames that training never saw. Choose a heading to sort by it."
    return (
        "Medians over frames that the network learnt from, each judged on the part with the most"
        " edges: nothing was held out. Choose a heading to sort by it."
    )


def _row(clip: str, judged: Sequence[Judged]) -> ET.Element:
    failed = sum(one.failed for one in judged)
    gain = _median([one.gain for one in judged])
    cells = [
        ("bad" if gain < 0 else "", *_told(gain, "{:+.1f}")),
        ("bad" if failed else "", float(failed), f"{failed}"),
        ("", float(len(judged)), f"{len(judged)}"),
        ("", *_told(_median([one.before for one in judged]), "{:.1f}")),
        ("", *_told(_median([one.after for one in judged]), "{:.1f}")),
        ("", *_told(100 * _median([one.coverage for one in judged]), "{:.0f} %")),
    ]
    row = tag("tr", tag("th", name_of(clip), scope="row", data_value=clip))
    for class_, value, text in cells:
        put(row, tag("td", text, class_=class_ or None, data_value=f"{value:.6g}"))
    return row


def _told(value: float, form: str) -> tuple[float, str]:
    if not math.isfinite(value):
        return -1e9, "\u2013"
    return value, form.format(value).replace("-", "\u2212")


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


def _finite_first(value: float) -> float:
    return value if math.isfinite(value) else math.inf
