"""What went into a run: what the check said, and what curating found, clip by clip."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from bluref.report.page.page_charts import thinned
from bluref.report.page.page_examples import Examples
from bluref.report.page.page_facts import Row, RunFacts, number
from bluref.report.page.page_markup import name_of, put, tag

# Timelines and problems on a page; the others are counted.
MOST_TIMELINES, MOST_PROBLEMS = 24, 50
# A timeline's picture, in units of its own.
WIDE, HIGH, BAND = 720, 64, 14
ROLES = ("sharp", "blurry", "skip")
# Columns drawn as lines, and their colours, which no role has.
MEASURES = {"sharpness": "c0", "motion": "c3"}


def input_section(facts: RunFacts, examples: Examples) -> ET.Element:
    """What there was to learn from."""
    section = tag("section", tag("h2", "What went in"), id="input")
    told = tag("dl", class_="facts")
    for name, value in _facts(facts):
        put(told, tag("div", tag("dt", name), tag("dd", value)))
    put(section, told)
    if facts.check is not None:
        put(section, _check(facts.check))
    if any(math.isfinite(one.coverage) for one in examples.judged):
        put(section, _coverage([one.coverage for one in examples.judged]))
    if facts.frames:
        put(section, *_timelines(facts.frames))
    return section


def _facts(facts: RunFacts) -> list[tuple[str, ET.Element | str]]:
    data = facts.told["data"]
    told: list[tuple[str, ET.Element | str]] = [("Footage", name_of(str(facts.data)))]
    for key, name in (
        ("blurry_frames", "Blurry frames to learn from"),
        ("sharp_frames", "Sharp frames"),
        ("left_out", "Left out, no reference"),
        ("held_out", "Held out for validation"),
    ):
        if isinstance(data.get(key), int | float):
            told.append((name, f"{data[key]:,}"))
    return told


def _check(check: Mapping[str, Any]) -> ET.Element:
    """What `bluref check` said before training."""
    verdict = str(check.get("verdict", "not known"))
    box = tag("div", tag("h3", "Checked before training: ", tag("b", verdict)), class_="check")
    said = []
    usable, coverage = check.get("usable_blurry"), check.get("coverage")
    if isinstance(usable, int | float):
        share = f"{usable:.0%}" if isinstance(usable, float) and usable <= 1 else f"{usable:,}"
        said.append(f"{share} of the blurry frames have a usable reference")
    if isinstance(coverage, int | float):
        said.append(f"references show {coverage:.0%} of a frame")
    if said:
        put(box, tag("p", "; ".join(said) + "."))
    found = check.get("problems")
    problems = [p for p in found if isinstance(p, dict)] if isinstance(found, list) else []
    if problems:
        put(box, tag("ul", *map(_problem, problems[:MOST_PROBLEMS])))
    if len(problems) > MOST_PROBLEMS:
        rest = len(problems) - MOST_PROBLEMS
        put(box, tag("p", f"and {rest} more in check.json", class_="quiet"))
    return box


def _problem(problem: Mapping[str, Any]) -> ET.Element:
    path, fix = problem.get("path"), problem.get("fix")
    return tag(
        "li",
        name_of(str(path)) if path else None,
        ": " if path else None,
        str(problem.get("problem", "")),
        tag("span", f". Fix: {fix}", class_="quiet") if fix else None,
    )


def _coverage(shares: Sequence[float]) -> ET.Element:
    """How many of the judged frames references show by how much, in ten bars."""
    counts = [0] * 10
    for share in shares:
        if math.isfinite(share):
            counts[min(max(int(share * 10), 0), 9)] += 1
    most = max(counts)
    words = ", ".join(f"{10 * n} to {10 * n + 10} %: {c}" for n, c in enumerate(counts) if c)
    drawn = tag("svg", tag("title", words), viewBox="0 0 360 96", role="img", class_="chart")
    for n, count in enumerate(counts):
        high = round(60 * count / most, 1)
        x = 8 + 35 * n
        put(drawn, tag("rect", x=x, y=76 - high, width=29, height=high, class_="bar"))
        if count:
            put(drawn, tag("text", str(count), x=x + 14.5, y=71 - high, text_anchor="middle"))
    for share, x, anchor in ((0, 8, "start"), (50, 183, "middle"), (100, 358, "end")):
        put(drawn, tag("text", f"{share} %", x=x, y=92, text_anchor=anchor))
    caption = tag("figcaption", tag("b", "Shown by sharp frames"), " judged frames by share")
    return tag("figure", caption, drawn, class_="panel")


def _timelines(rows: Sequence[Row]) -> list[ET.Element]:
    clips: dict[str, list[Row]] = {}
    for row in rows:  # which a spreadsheet may have sorted otherwise
        clips.setdefault(row["clip"], []).append(row)
    clips = {n: sorted(found, key=lambda row: number(row, "index")) for n, found in clips.items()}
    legend = tag("ul", class_="legend")
    for role in ROLES:
        put(legend, tag("li", tag("i", class_=f"swatch {role}"), role))
    for name, colour in MEASURES.items():
        put(legend, tag("li", tag("i", class_=f"swatch {colour}"), name))
    drawn = [tag("h3", "Clips in time"), legend]
    drawn += [_timeline(name, found) for name, found in list(clips.items())[:MOST_TIMELINES]]
    if len(clips) > MOST_TIMELINES:
        rest = len(clips) - MOST_TIMELINES
        drawn.append(tag("p", f"and {rest} more clips in frames.csv", class_="quiet"))
    return drawn


def _timeline(name: str, rows: Sequence[Row]) -> ET.Element:
    """Roles as a band of colour, sharpness and motion as lines above it."""
    counts = {role: sum(row["role"] == role for row in rows) for role in ROLES}
    words = ", ".join(f"{count} {role}" for role, count in counts.items())
    seconds = [t for row in rows if math.isfinite(t := number(row, "time"))]
    length = f", {_clock(seconds[-1] - seconds[0])}" if len(seconds) > 1 else ""
    caption = tag("figcaption", name_of(name), f" {words}{length}")
    size = f"0 0 {WIDE} {HIGH + BAND}"
    drawn = tag("svg", tag("title", words), viewBox=size, role="img", class_="timeline")
    drawn.set("preserveAspectRatio", "none")
    for role, first, last in _runs([row["role"] for row in thinned(rows, WIDE)]):
        count = min(len(rows), WIDE)
        x, wide = WIDE * first / count, WIDE * (last - first) / count
        class_ = role if role in ROLES else "skip"
        put(drawn, tag("rect", x=x, y=HIGH, width=wide, height=BAND, class_=class_))
    for column, colour in MEASURES.items():
        line = _line([number(row, column) for row in rows])
        put(drawn, tag("path", d=line, class_=f"line {colour}") if line else None)
    return tag("figure", caption, drawn, class_="clip")


def _line(values: Sequence[float]) -> str:
    """A path over the whole width, from the least value to the largest."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    points = []
    for place, value in thinned(list(enumerate(values)), WIDE // 2):
        if math.isfinite(value):
            share = (value - low) / (high - low) if high > low else 0.5
            x = WIDE * (place + 0.5) / len(values)
            points.append(f"{x:.1f} {HIGH - 4 - share * (HIGH - 8):.1f}")
    return "M" + "L".join(points)


def _runs(roles: Sequence[str]) -> list[tuple[str, int, int]]:
    """(role, first, after the last) of neighbours of one role."""
    runs, at = [], 0
    for role, group in groupby(roles):
        count = len(list(group))
        runs.append((role, at, at + count))
        at += count
    return runs


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d} min" if whole >= 60 else f"{seconds:.1f} s"
