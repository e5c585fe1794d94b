"""A strategy: how references are matched to the target, and how their warps are fused."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.match.protocol import Match, Matcher, MatchesMany, Probabilistic
from bluref.pseudo import fuse
from bluref.pseudo.target import PseudoSharp, Warped

Image = Float[Tensor, "1 3 h w"]

# The paper's threshold (Sec. 3.4), on the normalised confidence.
PAPERS = 0.7


@runtime_checkable
class Reference(Protocol):
    """A sharp frame with what the matcher made of it, so that it is encoded once."""

    @property
    def image(self) -> Image:
        """The frame."""
        ...

    @property
    def features(self) -> Any:  # noqa: ANN401 - only the matcher looks inside
        """What `Matcher.encode` returned."""
        ...


@runtime_checkable
class Fuse(Protocol):
    """Warped references to a target; see `fuse`."""

    def __call__(self, warped: Warped, *, threshold: float) -> PseudoSharp:
        """Fuse."""
        ...


MatchReferences = Callable[[Matcher[Any], Image, Sequence[Reference], float], list[Match]]


@dataclass(frozen=True)
class Strategy:
    """How pseudo-sharp targets are made.

    Attributes:
        name: what the command line calls it.
        match: matcher, target, references, threshold -> one match per reference.
        fuse: warped references -> target.
        threshold: the confidence from which a reference may speak, where a matcher's confidence is
            no probability.
    """

    name: str
    match: MatchReferences
    fuse: Fuse
    threshold: float

    def threshold_for(self, matcher: Matcher[Any]) -> float:
        """The confidence from which a reference may speak: the paper's, if it is a probability."""
        return PAPERS if isinstance(matcher, Probabilistic) else self.threshold


def match_independent(
    matcher: Matcher[Any], target: Image, references: Sequence[Reference], threshold: float
) -> list[Match]:
    """Match every reference to the target itself."""
    features = matcher.encode(target)
    if isinstance(matcher, MatchesMany):
        return matcher.match_many(features, [reference.features for reference in references])
    return [matcher.match(features, reference.features) for reference in references]


def match_sequential(
    matcher: Matcher[Any], target: Image, references: Sequence[Reference], threshold: float
) -> list[Match]:
    """Match every reference to the composite that those before have made of the target (Eq. 4)."""
    composite = target
    matches = []
    for reference in references:
        match = matcher.match(matcher.encode(composite), reference.features)
        speaks = (match.confidence >= threshold) & match.inside & (match.confidence > 0)
        composite = torch.where(speaks, match.warp(reference.image), composite)
        matches.append(match)
    return matches


STRATEGIES = {
    s.name: s
    for s in (
        Strategy("average", match_independent, fuse.average, PAPERS),
        Strategy("sequential", match_sequential, fuse.sequential, PAPERS),
        Strategy("progressive", match_independent, fuse.progressive, PAPERS),
        Strategy("robust", match_independent, fuse.robust, 0.3),
    )
}


def strategy_named(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UserError: there is none.
    """
    if name not in STRATEGIES:
        raise UserError(f"unknown strategy {name!r}", f"use one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
