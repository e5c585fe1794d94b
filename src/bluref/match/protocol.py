"""What a matcher is: where a reference shows what a target shows, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from bluref.degrade.warp import warp

Features = TypeVar("Features")
Given = TypeVar("Given", contravariant=True)


@dataclass(frozen=True)
class Match:
    """The target's pixel p is seen in the reference at p + flow(p).

    Attributes:
        flow: pixels of the target, x first.
        confidence: in [0, 1]; how likely the flow is right to about a pixel (for a probabilistic
            matcher P_R over its maximum). 0 where `inside` is false.
        inside: False where p + flow(p) leaves the reference, so that nothing can be sampled.
    """

    flow: Float[Tensor, "b 2 h w"]
    confidence: Float[Tensor, "b 1 h w"]
    inside: Bool[Tensor, "b 1 h w"]

    def warp(self, reference: Float[Tensor, "b c H W"]) -> Float[Tensor, "b c h w"]:
        """The reference resampled onto the target, clamped to [0, 1]; bicubic."""
        return warp(reference, self.flow).clamp(0, 1)


@runtime_checkable
class Matcher(Protocol[Features]):
    """Encoding is apart from matching: a reference is encoded once and matched many times."""

    @property
    def identity(self) -> str:
        """Name and every setting that changes the answer; part of what keys a cached match."""
        ...

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """What `match` needs to know of an image; RGB in [0, 1]."""
        ...

    def match(self, target: Features, reference: Features) -> Match:
        """Flow and confidence from the target to the reference, at the target's size."""
        ...


@runtime_checkable
class MatchesMany(Protocol[Given]):
    """A matcher that is faster when several references are matched at a time."""

    def match_many(self, target: Given, references: Sequence[Given]) -> list[Match]:
        """What `match` gives for each reference."""
        ...


@runtime_checkable
class Probabilistic(Protocol):
    """A matcher whose confidence is a probability up to scale: P_R = confidence * most."""

    @property
    def radius(self) -> float:
        """R in pixels: P_R is the probability that max(|dx|, |dy|) of the flow's error is <= R.

        Pixels of the picture as the network takes it, which may have been resized for it.
        """
        ...

    @property
    def most(self) -> float:
        """The largest value that P_R can take, in (0, 1]."""
        ...


@runtime_checkable
class ProbabilisticMatcher(Matcher[Features], Probabilistic, Protocol[Features]):
    """A matcher that is both."""
