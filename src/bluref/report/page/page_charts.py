"""Charts as inline SVG: small, sharp at any size, coloured by the page's style."""

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bluref.report.page.page_markup import put, tag

Item = TypeVar("Item")
Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 10, 24
# Points of a line; more cannot be told apart at this width.
MOST_POINTS = 240
TICKS = 4


@dataclass(frozen=True)
class Chart:
    """One panel.

    Attributes:
        title: what it shows.
        unit: of the values.
        lines: name -> points (x, y), in steps and units.
        dots: name -> points drawn faintly behind the line of that name.
        marks: where a thin upright line stands, in steps.
    """

    title: str
    unit: str
    lines: Mapping[str, Points]
    dots: Mapping[str, Points] = field(default_factory=dict)
    marks: Sequence[float] = ()


def draw_chart(chart: Chart) -> ET.Element:
    """A figure: title, what each colour means, and the panel."""
    lines = {name: thinned(points) for name, points in chart.lines.items() if points}
    every = [point for points in lines.values() for point in points]
    legend = tag("ul", class_="legend")
    for place, name in enumerate(lines):
        put(legend, tag("li", tag("i", class_=f"swatch c{place % 4}"), name))
    caption = tag("figcaption", tag("b", chart.title), f" {chart.unit}", legend)
    faint = [point for points in chart.dots.values() for point in _usual(points)]
    scale = _Scale.around([*every, *faint])
    panel = tag(
        "svg",
        tag("title", _in_words(chart, lines)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
    )
    put(panel, *_grid(scale), *[_upright(scale, at) for at in chart.marks])
    for place, name in enumerate(lines):
        for x, y in thinned(_usual(chart.dots.get(name, ()))):
            dot = {"cx": scale.across(x), "cy": scale.down(y), "r": 1.2}
            put(panel, tag("circle", class_=f"dot c{place % 4}", **dot))
    for place, points in enumerate(lines.values()):
        put(panel, tag("path", d=_path(scale, points), class_=f"line c{place % 4}"))
    return tag("figure", caption, panel, class_="panel")


def thinned(points: Sequence[Item], most: int = MOST_POINTS) -> Sequence[Item]:
    """At most `most` of them, evenly, the last one among them."""
    if len(points) <= most:
        return points
    return [points[round(n * (len(points) - 1) / (most - 1))] for n in range(most)]


def _usual(points: Points) -> Points:
    """Without the extremes, for which the others would have to shrink."""
    values = sorted(y for _, y in points)
    aside = len(values) // 20
    return [(x, y) for x, y in points if values[aside] <= y <= values[-1 - aside]]


def round_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers between two, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


@dataclass(frozen=True)
class _Scale:
    low: tuple[float, float]
    high: tuple[float, float]

    @classmethod
    def around(cls, points: Points) -> "_Scale":
        """Room for all points, and a little above and below."""
        xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]
        pad = 0.06 * (max(ys) - min(ys)) or max(0.5 * abs(max(ys)), 0.5)
        wide = max(xs) if max(xs) > min(xs) else min(xs) + 1
        return cls((min(xs), min(ys) - pad), (wide, max(ys) + pad))

    def across(self, x: float) -> float:
        share = (x - self.low[0]) / (self.high[0] - self.low[0])
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def down(self, y: float) -> float:
        share = (min(max(y, self.low[1]), self.high[1]) - self.low[1]) / (
            self.high[1] - self.low[1]
        )
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _grid(scale: _Scale) -> list[ET.Element]:
    drawn = []
    for value in round_ticks(scale.low[1], scale.high[1]):
        y = scale.down(value)
        drawn.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(tag("text", f"{value:.4g}", x=LEFT - 6, y=y + 3.5, text_anchor="end"))
    for value in round_ticks(scale.low[0], scale.high[0]):
        x = scale.across(value)
        anchor = "end" if x > WIDTH - 24 else "middle"
        drawn.append(tag("text", f"{value:.6g}", x=x, y=HEIGHT - 6, text_anchor=anchor))
    return drawn


def _upright(scale: _Scale, at: float) -> ET.Element:
    x = scale.across(at)
    return tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark")


def _path(scale: _Scale, points: Points) -> str:
    return "M" + "L".join(f"{scale.across(x):g} {scale.down(y):g}" for x, y in points)


def _in_words(chart: Chart, lines: Mapping[str, Points]) -> str:
    """What somebody hears who cannot see it."""
    told = [
        f"{name} from {points[0][1]:.3g} at step {points[0][0]:g}"
        f" to {points[-1][1]:.3g} at step {points[-1][0]:g}"
        for name, points in lines.items()
    ]
    return f"{chart.title}, {chart.unit}: " + "; ".join(told)
