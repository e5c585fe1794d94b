"""One frame on the page: before and after under a slider, flicker, trust laid over."""

import math
import xml.etree.ElementTree as ET

from bluref.report.page.page_examples import Example
from bluref.report.page.page_judged import Judged, why
from bluref.report.page.page_markup import name_of, put, tag

OUTPUT = "output"
# Width in pixels of pictures that would look coarse over the whole width of the page.
SMALL = 400


def viewer(example: Example, place: int) -> ET.Element:
    """The pictures of a frame with their controls, and what is said of it.

    Args:
        example: the frame.
        place: its number on the page, from 1.
    """
    judged = example.judged
    small = " small" if example.size[1] < SMALL else ""
    figure = tag(
        "article",
        _heading(judged),
        _stage(example),
        _controls(example, place),
        class_=f"viewer{' failed' if judged.failed else ''}{small}",
        id=f"frame-{place}",
    )
    put(figure, _figures(example))
    return figure


def _heading(judged: Judged) -> ET.Element:
    words = tag("h3", name_of(judged.clip), f" frame {judged.index}")
    verdict = tag("span", _verdict(judged), class_="badge")
    head = tag("header", words, verdict)
    reasons = why(judged)
    if reasons:
        put(head, tag("p", _sentence(reasons), class_="why"))
    return head


def _sentence(reasons: list[str]) -> str:
    text = "; ".join(reasons)
    return f"{text[0].upper()}{text[1:]}."


def _verdict(judged: Judged) -> str:
    if not math.isfinite(judged.gain):
        return "not judged"
    return f"{judged.gain:+.1f} dB".replace("-", "\u2212") + (", failed" if judged.failed else "")


def _stage(example: Example) -> ET.Element:
    """What the input is compared with below, input above it up to the divider, trust over both."""
    frame = f"{example.judged.clip} frame {example.judged.index}"
    height, width = example.size
    stage = tag("div", class_="stage")
    for name, source in _rights(example).items():
        class_ = "after on" if name == OUTPUT else "after"
        alt = f"{name}, {frame}"
        put(stage, tag("img", src=source, alt=alt, class_=class_, width=width, height=height))
    before = tag(
        "img", src=example.blurry, alt=f"blurry input, {frame}", width=width, height=height
    )
    put(
        stage,
        tag("span", OUTPUT, class_="label right"),
        tag("div", before, tag("span", "blurry input", class_="label left"), class_="before"),
        tag("img", src=example.trust, alt="", class_="trust", width=width, height=height),
        tag(
            "input",
            type="range",
            min="0",
            max="100",
            step="0.5",
            value="50",
            class_="divide",
            aria_label=f"Divider between blurry input and output, {frame}",
        ),
        tag("span", class_="handle", aria_hidden="true"),
    )
    return stage


def _rights(example: Example) -> dict[str, str]:
    """What the input can be compared with, by name, as pictures."""
    rights = {OUTPUT: example.output, "what it learnt from": example.target}
    if example.held_out:
        rights = {OUTPUT: example.output, "what sharp frames show": example.target}
    if example.mended is not None:
        rights = {OUTPUT: rights.pop(OUTPUT), "mended, with references": example.mended, **rights}
    if example.truth is not None:
        rights["the truth"] = example.truth
    return rights


def _controls(example: Example, place: int) -> ET.Element:
    choices = tag("div", class_="choice", role="group", aria_label="Compare the blurry input with")
    for number, name in enumerate(_rights(example)):
        pressed = "true" if name == OUTPUT else "false"
        put(choices, tag("button", name, type="button", data_right=number, aria_pressed=pressed))
    amount = tag(
        "input",
        type="range",
        min="0",
        max="100",
        value="70",
        class_="opacity",
        aria_label="Opacity of the overlay",
        disabled=True,
    )
    flicker = tag(
        "button",
        "Hold to flicker ",
        tag("kbd", "F"),
        type="button",
        class_="flicker",
        title="While you hold it, the blurry input stands in the same place",
    )
    switch = tag("input", type="checkbox", class_="show-trust", id=f"trust-{place}")
    label = tag("label", "Mark what is guessed", for_=f"trust-{place}")
    return tag(
        "div",
        choices,
        flicker,
        tag("div", switch, label, amount, class_="overlay"),
        class_="controls",
    )


def _figures(example: Example) -> ET.Element:
    judged = example.judged
    rows = [("agreement", _change(judged.before, judged.after, "dB"))]
    if judged.truth is not None:
        rows.append(("PSNR against the truth", _change(*judged.truth, "dB")))
    if judged.apart is not None:
        rows.append(("beside the sharp frames by", _change(*judged.apart, "px", digits=2)))
    if judged.detail is not None:
        rows.append(("detail beyond noise", _change(*judged.detail, "dB")))
    if judged.reblur is not None:
        rows.append(("blurred again, near the input", _change(*judged.reblur, "dB")))
    rows.append(("shown by sharp frames", f"{judged.coverage:.0%}"))
    told = tag("dl")
    for name, value in rows:
        put(told, tag("div", tag("dt", name), tag("dd", value)))
    alt = f"the whole of {judged.clip} frame {judged.index}, with a line around what is shown"
    said = "Figures: input \u2192 output, of the part shown."
    if example.held_out:
        said = "Figures: input \u2192 output, of the part that validation looks at."
    return tag(
        "footer",
        tag("img", src=example.thumbnail, alt=alt, class_="whole", loading="lazy"),
        told,
        tag("p", said, class_="quiet"),
    )


def _change(before: float, after: float, unit: str, *, digits: int = 1) -> str:
    if not (math.isfinite(before) and math.isfinite(after)):
        return "not known"
    return f"{before:.{digits}f} \u2192 {after:.{digits}f} {unit}".rstrip()
