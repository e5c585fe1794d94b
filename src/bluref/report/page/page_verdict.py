"""Whether a run worked, in a sentence and a few figures: what its page begins with."""

import math
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from bluref.report.page.page_examples import Examples
from bluref.report.page.page_facts import RunFacts
from bluref.report.page.page_judged import Judged, middle_gain
from bluref.report.page.page_markup import put, tag

# Gain of the median frame in dB, and share of failures, up to which a run worked.
WORKED, FEW = 0.3, 0.1


def verdict_section(facts: RunFacts, examples: Examples) -> ET.Element:
    """Whether it worked, in a sentence and a few figures."""
    box = tag("section", class_="verdict", id="verdict", aria_label="Verdict")
    judged = [one for one in examples.judged if math.isfinite(one.gain)]
    word, sentence = _in_a_sentence(judged, examples) if facts.deblurs else ("A matcher", "")
    put(box, tag("h2", word), tag("p", sentence, class_="lead") if sentence else None)
    tiles = tag("dl", class_="tiles")
    for name, value in _tiles(facts, judged):
        put(tiles, tag("div", tag("dt", name), tag("dd", value)))
    put(box, tiles)
    if judged:
        put(box, tag("p", _what_agreement_is(judged, examples), class_="quiet"))
    for note in facts.notes:
        put(box, tag("p", note, class_="note"))
    return box


def _in_a_sentence(judged: Sequence[Judged], examples: Examples) -> tuple[str, str]:
    if not judged:
        return "Not judged", f"No frame could be judged: {examples.problem or 'there is none'}."
    better = sum(one.gain > 0 for one in judged)
    failed = sum(one.failed for one in judged)
    whose = "held-out frames" if examples.held_out else "frames that it learnt from"
    sentence = (
        f"On {better} of {len(judged)} {whose}, the output is nearer to what sharp frames show"
        f" than the blurry input was."
    )
    gain = middle_gain(judged)
    if gain >= WORKED and failed <= FEW * len(judged):
        return "It worked", sentence
    if gain <= 0 or failed > len(judged) / 2:
        return "It did not work", sentence
    return "It worked in part", sentence


def _tiles(facts: RunFacts, judged: Sequence[Judged]) -> list[tuple[str, str]]:
    tiles = []
    truths = [one.truth for one in judged if one.truth is not None]
    if truths:
        against = statistics.median(after - before for before, after in truths)
        tiles.append(("PSNR against the truth, median frame", _signed(against)))
    if judged:
        shown = sum(one.coverage for one in judged) / len(judged)
        tiles += [
            ("agreement, median frame", _signed(middle_gain(judged))),
            ("failed", f"{sum(one.failed for one in judged)} of {len(judged)}"),
            ("shown by sharp frames", f"{shown:.0%}"),
        ]
    if facts.metrics:
        last = facts.metrics[-1]
        tiles.append(("steps", last["step"]))
        with_time = last.get("seconds") or ""
        if with_time.replace(".", "", 1).isdigit():
            tiles.append(("training", _duration(float(with_time))))
    return tiles


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{seconds / 3600:.1f} h"


def _signed(value: float) -> str:
    return f"{value:+.1f} dB".replace("-", "\u2212")


def _what_agreement_is(judged: Sequence[Judged], examples: Examples) -> str:
    said = (
        "Agreement is how near a picture is to one made of your own sharp frames, in dB, weighted"
        " by how far that can be trusted."
    )
    if not any(one.truth for one in judged):
        said += " No true sharp picture exists to compare with, so this is no PSNR."
    if not examples.held_out:
        said += " It is kinder than new footage would be: nothing was held out."
    return said
