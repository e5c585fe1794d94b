"""Frames that were judged: what the network did to each, and whether that is a failure and why."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bluref.report.page.page_facts import Row, number

# Loss of agreement in dB from which an output is called worse than its input.
WORSE = 0.05
# Pixels by which an output may lie farther from its target before it is called moved.
MOVED = 0.3
# Share of a frame below which references say little about it.
LITTLE = 0.3
# Agreement of the input in dB from which there was little to gain.
SHARP_ALREADY = 36.0


@dataclass(frozen=True)
class Judged:
    """One blurry frame and what became of it.

    Attributes:
        clip: name of its clip.
        index: frame number.
        before: agreement of the blurry input with the target, dB.
        after: agreement of the output.
        coverage: share of it that references show, in [0, 1].
        apart: how far input and output lie beside the target, in pixels; None if not measured.
        detail: of input and output, beyond noise, in dB, where it was measured.
        reblur: how near input and output, blurred again along their motion, come to the input, in
            dB, likewise.
        truth: PSNR of input and output against the true sharp frame, in dB, likewise.
    """

    clip: str
    index: int
    before: float
    after: float
    coverage: float
    apart: tuple[float, float] | None = None
    detail: tuple[float, float] | None = None
    reblur: tuple[float, float] | None = None
    truth: tuple[float, float] | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Which frame this is."""
        return self.clip, self.index

    @property
    def gain(self) -> float:
        """Agreement won, in dB; below 0 where it was lost, NaN where no reference speaks."""
        return self.after - self.before

    @property
    def moved(self) -> float:
        """Pixels by which the output lies farther beside the target; 0 where not measured."""
        return 0.0 if self.apart is None else self.apart[1] - self.apart[0]

    @property
    def failed(self) -> bool:
        """Whether the output agrees less with the target than the input did, or moved away."""
        return self.gain < -WORSE or self.moved > MOVED


def why(judged: Judged) -> list[str]:
    """What is wrong with a frame, and what speaks for a cause; empty where nothing is."""
    said = []
    if judged.gain < -WORSE:
        said.append(f"the output agrees {-judged.gain:.1f} dB less with the sharp frames")
    if judged.moved > MOVED:
        said.append(f"the output moved {judged.moved:.1f} px away from where sharp frames show it")
    if not said:
        return []
    if judged.coverage < LITTLE:
        said.append(f"sharp frames show only {judged.coverage:.0%} of it: the figure says little")
    if judged.before > SHARP_ALREADY:
        said.append("it was nearly sharp before: little to gain, something to lose")
    if judged.detail and judged.detail[1] < judged.detail[0]:
        said.append("detail was lost: the network smoothed it")
    if judged.reblur and judged.reblur[1] < judged.reblur[0]:
        said.append("blurred again, the output is not what the camera saw: detail was made up")
    return said


def from_validation(rows: Sequence[Row], step: int | None) -> list[Judged]:
    """The held-out frames as they were judged at one step.

    Args:
        rows: of validation.csv.
        step: which one; the last, where None or not among the rows.
    """
    steps = {int(number(row, "step")) for row in rows if number(row, "step") >= 0}
    if not steps:
        return []
    chosen = step if step in steps else max(steps)
    judged = [
        Judged(
            clip=row["clip"],
            index=int(number(row, "index")),
            before=number(row, "agreement_before"),
            after=number(row, "agreement_after"),
            coverage=number(row, "coverage"),
            detail=_both(row, "detail"),
            reblur=_both(row, "reblur"),
        )
        for row in rows
        if number(row, "step") == chosen and number(row, "index") >= 0
    ]
    return list({one.key: one for one in judged}.values())


def worst_first(judged: Sequence[Judged]) -> list[Judged]:
    """Failures first, the worst of them first; then by what was gained, the least first."""
    return sorted(judged, key=_order)


def chosen_to_show(judged: Sequence[Judged], count: int) -> list[Judged]:
    """Failures first, up to half of what is shown; the others from the least gain to the most."""
    ordered = worst_first(judged)
    failures = [one for one in ordered if one.failed]
    others = [one for one in ordered if not one.failed]
    room = count - min(len(failures), max(count - len(others), (count + 1) // 2))
    return [*failures[: count - room], *_spread(others, room)]


def middle_gain(judged: Sequence[Judged]) -> float:
    """Median of what was gained, dB; NaN if nothing could be judged."""
    gains = [one.gain for one in judged if math.isfinite(one.gain)]
    return statistics.median(gains) if gains else math.nan


def _order(one: Judged) -> tuple[bool, float]:
    severity = min(one.gain, 0.0) - one.moved if one.failed else one.gain
    return not one.failed, severity if math.isfinite(severity) else math.inf


def _spread(ordered: Sequence[Judged], count: int) -> list[Judged]:
    """The first, the last and some evenly between."""
    if len(ordered) <= count or count < 2:
        return list(ordered[:count])
    return [ordered[round(n * (len(ordered) - 1) / (count - 1))] for n in range(count)]


def _both(row: Row, name: str) -> tuple[float, float] | None:
    before, after = number(row, f"{name}_before"), number(row, f"{name}_after")
    return (before, after) if math.isfinite(before) and math.isfinite(after) else None
