"""The last tenths of a pixel, and a second look, around a learned matcher.

PDC-Net answers at a quarter of the resolution, from features. Here its flow is polished on the
pictures themselves, by a few steps of the variational method of Brox et al. (ECCV 2004), and what
it found is compared with the target: where the two look different, something else is shown. What
is not believed then takes the advice of its neighbours (`match.neighbours`). Goes beyond the paper;
the figures stand in docs/experiments.md.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Generic

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from bluref.degrade.warp import inside
from bluref.match import neighbours, pictures
from bluref.match.luminance import GreyImages, grey_images
from bluref.match.pdcnet.matcher import MOST_PIXELS
from bluref.match.pictures import (
    Field,
    Grey,
    Plane,
    as_exposed,
    likeness,
    polished_flow,
    resized,
    sharp_share,
)
from bluref.match.protocol import Features, Match, MatchesMany, ProbabilisticMatcher

# What is left of a certain match that looks like something else entirely.
CERTAIN = 0.75
# Log-odds beyond which a probability is as good as certain.
FARTHEST = 9.2


@dataclass(frozen=True)
class Seen(Generic[Features]):
    """What the inner matcher made of pictures, and what they look like, at Full HD at most.

    Attributes:
        features: of the inner matcher.
        grey: luminance of each picture.
        colours: of each, RGB in [0, 1], in cells as `match.neighbours` has them.
    """

    features: Features
    grey: GreyImages
    colours: tuple[Float32[np.ndarray, "3 q r"], ...]

    @cached_property
    def ties(self) -> tuple[Float32[np.ndarray, "n q r"], ...]:
        """Between the neighbours of each picture: asked for of targets, once for all references."""
        return tuple(neighbours.ties(colours) for colours in self.colours)


@dataclass(frozen=True)
class PolishedMatcher(Generic[Features]):
    """A probabilistic matcher with its flow polished and its confidence reconsidered.

    A polished flow is right more often than the network says, and one that leads to something
    unlike the target is not. Strong blur tells the network more than it tells the pictures: there
    the flow stays as it is. With P the inner P_R,

        Q = sigmoid(a + b logit P),    confidence = Q (A + c Q (1 - A)),    A = 1 / (1 + (d / s)^2)

    where d is the local root mean square difference of the low-passed luminance of target and
    warped reference, s = `HALF_ALIKE` and c = `CERTAIN`: looks count the more the less sure the
    matcher is, since blur makes right matches look different as well. With that confidence flow and
    P are mixed with those of neighbours (`neighbours.advised`), P as far as what the mixed flow
    leads to looks right; then the same again, and that is the answer. It is a probability as P_R
    is, of the same R, with a and b fitted on training pairs.

    Attributes:
        matcher: the inner one, `Probabilistic`.
        odds: a and b.
    """

    matcher: ProbabilisticMatcher[Features]
    odds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.odds[1] <= 0:
            raise ValueError(f"b of the odds must be above 0, got {self.odds}")

    @property
    def identity(self) -> str:
        """The inner one's, and every setting."""
        settings = (*self.odds, *pictures.SETTINGS, CERTAIN, *neighbours.SETTINGS)
        return f"{self.matcher.identity}+polish-{'-'.join(f'{value:g}' for value in settings)}"

    @property
    def radius(self) -> float:
        """R of the inner one."""
        return self.matcher.radius

    @property
    def most(self) -> float:
        """Looks settle what the network must leave open, so that nothing bounds it but 1."""
        return 1.0

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Seen[Features]:
        """What the inner matcher needs, and the luminance."""
        height, width = image.shape[-2:]
        shrink = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
        size = (round(width * shrink), round(height * shrink))
        grey = tuple(resized(one, size) for one in grey_images(image))
        small = image.detach().permute(0, 2, 3, 1).cpu().float().contiguous().numpy()
        colours = tuple(neighbours.in_cells(resized(one, size)) for one in small)
        return Seen(self.matcher.encode(image), grey, colours)

    def match(self, target: Seen[Features], reference: Seen[Features]) -> Match:
        """Match each target with the reference at the same place in the batch.

        Raises:
            ValueError: as the inner matcher does.
        """
        found = self.matcher.match(target.features, reference.features)
        return self._polished(target, reference, found)

    def match_many(
        self, target: Seen[Features], references: Sequence[Seen[Features]]
    ) -> list[Match]:
        """What `match` gives for each reference; polished on as many threads as torch has.

        Raises:
            ValueError: as the inner matcher does.
        """
        features = [reference.features for reference in references]
        if isinstance(self.matcher, MatchesMany):
            found = self.matcher.match_many(target.features, features)
        else:
            found = [self.matcher.match(target.features, one) for one in features]
        polish = partial(self._polished, target)
        # Each unpolished match is let go of as its turn is over.
        handed_over = (found.pop(0) for _ in references)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return list(pool.map(polish, references, handed_over))

    def _polished(self, target: Seen[Features], reference: Seen[Features], found: Match) -> Match:
        flow, claimed, alike = self.judged(target, reference, found)
        visible = inside(flow, (flow.shape[-2], flow.shape[-1]))
        return Match(flow, reconsidered(claimed, alike, self.odds) * visible, visible)

    def judged(
        self, target: Seen[Features], reference: Seen[Features], found: Match
    ) -> tuple[Float[Tensor, "b 2 h w"], Float[Tensor, "b 1 h w"], Float[Tensor, "b 1 h w"]]:
        """The flow as it comes out, and what its confidence is made of: P and A.

        Args:
            target: what was matched.
            reference: what with.
            found: what the inner matcher found.
        """
        given = found.flow.permute(0, 2, 3, 1).cpu().float().contiguous().numpy()
        claims = (found.confidence[:, 0] * self.matcher.most).cpu().float().numpy()
        found_here = []
        for n, (flow, claimed) in enumerate(zip(given, claims, strict=True)):
            pair = _Pair(target.grey[n], reference.grey[n], target.ties[n])
            field, *planes = pair.settled(flow, claimed, self._believed)
            told = (field.transpose(2, 0, 1), *(plane[None] for plane in planes))
            found_here.append([torch.from_numpy(np.ascontiguousarray(x)) for x in told])
        flow, claimed, alike = (
            torch.stack(parts).to(found.flow.device) for parts in zip(*found_here, strict=True)
        )
        return flow, claimed, alike

    def _believed(self, claimed: Plane, alike: Plane) -> Plane:
        """The confidence that goes with a claim and a likeness."""
        both = torch.from_numpy(claimed), torch.from_numpy(alike)
        likely: Plane = reconsidered(*both, self.odds).numpy()
        return likely


def reconsidered(
    probability: Float[Tensor, "*pixels"],
    alike: Float[Tensor, "*pixels"],
    odds: tuple[float | Tensor, float | Tensor],
) -> Float[Tensor, "*pixels"]:
    """How likely a polished flow is right, as `PolishedMatcher` has it; 0 stays 0.

    Args:
        probability: P_R before the flow was polished.
        alike: likeness of what it leads to now.
        odds: a and b.
    """
    log_odds = torch.logit(probability).clamp(-FARTHEST, FARTHEST)
    q = torch.sigmoid(odds[0] + odds[1] * log_odds)
    return q * (alike + CERTAIN * q * (1 - alike)) * (probability > 0)


@dataclass(frozen=True)
class _Pair:
    """A target and a reference as they look; they may be smaller than the flow between them."""

    target: Grey
    reference: Grey
    ties: Float32[np.ndarray, "n q r"]

    def settled(
        self, flow: Field, claimed: Plane, believed: Callable[[Plane, Plane], Plane]
    ) -> tuple[Field, Plane, Plane]:
        """The flow, polished and advised by neighbours, its claim, and how alike it finds things.

        Args:
            flow: as the network found it.
            claimed: P_R, as it says.
            believed: confidence from such a claim and a likeness.
        """
        size, whole = self.target.shape[::-1], claimed.shape[::-1]
        unit = np.array(size, dtype=np.float32) / np.array(whole, dtype=np.float32)
        before, claimed = resized(flow, size) * unit, resized(claimed, size)
        shown = as_exposed(self.target, self.reference, before, claimed)
        change = polished_flow(self.target, shown, before) - before
        polished = before + sharp_share(self.target, shown, before)[..., None] * change
        sure = believed(claimed, likeness(self.target, shown, polished))
        after, advice = neighbours.advised(polished, claimed, sure, self.ties)
        alike = likeness(self.target, shown, after)
        # Flow costs nothing where nobody believes it; a claim is taken over where it looks right,
        # and never where the network points out of the reference.
        claimed = (claimed > 0) * (claimed + alike * (advice - claimed))
        if size == whole:
            return after, claimed, alike
        after = flow + resized((after - before) / unit, whole)
        return after, resized(claimed, whole), resized(alike, whole)
