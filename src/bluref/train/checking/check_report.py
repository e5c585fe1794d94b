"""What a check finds, in words for a person and as JSON. Imports no torch."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bluref.media.whole import decimal_bytes

Verdict = Literal["ready", "thin", "hopeless"]
"""`ready`: training has what it needs; `thin`: it will run, and may gain little; `hopeless`: it
cannot run, or cannot learn anything from this."""
Weight = Literal["hopeless", "thin", "note"]
"""What a problem makes of the verdict; a note changes nothing."""
Kind = Literal["motion", "defocus", "noise", "none", "unknown"]
"""What makes the blurry frames differ from the sharp ones; `unknown` where they show nothing in
common."""

NAMED = 8
"""Problems of one kind that are told one by one; the rest is counted."""


@dataclass(frozen=True)
class Problem:
    """Something to know or to mend.

    Attributes:
        path: file, clip or folder that it is about.
        problem: one line.
        fix: one line: what to do about it.
        weight: what it makes of the verdict.
    """

    path: str
    problem: str
    fix: str
    weight: Weight = "note"


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes:
        verdict: the worst that any problem makes of it.
        usable_blurry: blurry frames that references show enough of, estimated from the sample.
        coverage: mean share of a blurry frame that its references show, over the sample; None
            where nothing could be matched.
        problems: worst first.
        expected_hours: of `bluref train` with this recipe on this machine; None where unknown.
        expected_disk_bytes: that the run folder will hold at most; None where unknown.
        blurry: frames with that role.
        sharp: frames with that role.
        left_out: blurry frames that no reference serves.
        sampled: blurry frames that were matched.
        blur: what kind of blur it is.
        blurred: share of the patches that are clearly blurrier than their references; None where
            unknown.
        brightness: median factor between references and blurry frames, at least 1; None where
            unknown.
        seconds: that the check took.
    """

    verdict: Verdict
    usable_blurry: int
    coverage: float | None
    problems: tuple[Problem, ...]
    expected_hours: float | None
    expected_disk_bytes: int | None
    blurry: int = 0
    sharp: int = 0
    left_out: int = 0
    sampled: int = 0
    blur: Kind = "unknown"
    blurred: float | None = None
    brightness: float | None = None
    seconds: float = 0.0

    def as_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps({k: _rounded(v) for k, v in asdict(self).items()}) + "\n"

    def as_text(self) -> str:
        """For a person, several lines."""
        lines = [f"{self.verdict}: {_MEANING[self.verdict]}"]
        lines.append(f"{self.blurry} blurry and {self.sharp} sharp frames")
        if self.coverage is not None and self.sampled:
            lines.append(
                f"references show {self.coverage:.0%} of a blurry frame on average, and enough of"
                f" about {self.usable_blurry} frames ({self.sampled} were matched)"
            )
        if self.blurred is not None:
            lines.append(f"{_BLUR[self.blur]} ({self.blurred:.0%} of what both show is blurred)")
        if self.expected_hours is not None and self.expected_disk_bytes is not None:
            lines.append(
                f"training would take about {_duration(self.expected_hours)}"
                f" and {decimal_bytes(self.expected_disk_bytes)} of disk on this machine"
            )
        for problem in self.problems:
            lines += [f"* {problem.path}: {problem.problem}", f"    fix: {problem.fix}"]
        return "\n".join(lines) + "\n"


_MEANING = {
    "ready": "this footage can be trained on",
    "thin": "training will run, but may gain little; see below",
    "hopeless": "as it is, training on this cannot work; see below",
}
_BLUR = {
    "motion": "the blur is motion",
    "defocus": "the blur looks like a lens out of focus, not like motion",
    "noise": "the blurry frames are noisy, not blurred",
    "none": "the blurry frames are hardly blurrier than the sharp ones",
    "unknown": "what kind of blur it is cannot be told",
}
_ORDER: tuple[Weight, ...] = ("hopeless", "thin", "note")


def verdict_of(problems: Iterable[Problem]) -> Verdict:
    """The worst that any of the problems makes of it."""
    weights = {problem.weight for problem in problems}
    if "hopeless" in weights:
        return "hopeless"
    return "thin" if "thin" in weights else "ready"


def worst_first(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems in order of weight, else as they came."""
    return tuple(sorted(problems, key=lambda problem: _ORDER.index(problem.weight)))


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{max(round(60 * hours), 1)} minutes"


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    return round(value, 4) if isinstance(value, float) else value
