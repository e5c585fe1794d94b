"""Which checkpoint is best so far: part of a checkpoint, so that a resumed run decides alike."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class Verdict(Protocol):
    """What frames held back say of a network."""

    @property
    def score(self) -> float | None:
        """Higher is better; None where they say nothing."""
        ...

    @property
    def columns(self) -> Mapping[str, float]:
        """Columns of metrics.csv."""
        ...


@runtime_checkable
class Validation(Protocol):
    """Judges the averaged network on frames held back."""

    @property
    def every(self) -> int:
        """Steps between two verdicts."""
        ...

    @property
    def patience(self) -> int:
        """Verdicts in a row that find nothing better, after which training stops; 0 for never."""
        ...

    def __call__(self, step: int, average: nn.Module) -> Verdict:
        """The verdict after so many steps."""
        ...


@dataclass(frozen=True)
class Best:
    """The best verdict so far.

    Attributes:
        step: where it was found; None before the first.
        score: what it said.
        stale: verdicts since.
    """

    step: int | None = None
    score: float | None = None
    stale: int = 0

    def after(self, step: int, score: float | None) -> "Best":
        """With one more verdict; one that says nothing changes nothing."""
        if score is None:
            return self
        if self.score is None or score > self.score:
            return Best(step, score)
        return replace(self, stale=self.stale + 1)


def best_from(meta: Mapping[str, Any]) -> Best:
    """What a checkpoint tells; nothing yet where it does not."""
    return Best(**meta.get("best", {}))
