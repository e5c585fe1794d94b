"""How much of the blurry frames references show, and how the two differ there: a sample is matched.

The judge is the matcher that comes with BluRef, whatever the run uses, since the thresholds of the
check were measured with it. Frames are matched at 480 to 960 lines: with fewer lines coverage comes
out higher, since a pixel of a smaller frame is easier to hit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.warp import warp
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.match.protocol import Match, Matcher, MatchesMany
from bluref.measure.attenuation import attenuation
from bluref.pseudo.colour import gains
from bluref.pseudo.coverage import most_covering
from bluref.restore.tiling.sharp_already import noise
from bluref.train.checking.check_report import Problem, Weight

JUDGE = "compact"
"""Who matches the sample."""
LINES = 480
"""Shorter side, in pixels, below which frames are not reduced before they are matched."""
SPEAKS = 0.5
"""Confidence from which a reference shows a pixel: what training asks for where its gate judges
afterwards."""

NOTHING, SCARCE = 0.05, 0.55
"""Mean coverage below which references show other scenes, and below which they are far: on
davis_blur 0.82 with six references next to the blurry frame, 0.59 with six at a distance of 5
frames, 0.45 at 10, 0.50 with three sharp frames in each clip, 0.15 with one; 0.000 with other
scenes or photographs instead."""
USABLE = 0.25
"""Share of a blurry frame that references must show for the frame to be worth training on."""
MOST_USABLE = 0.75
"""Share of blurry frames that must be usable."""
APART, FAR_APART = 1.25, 2.0
"""Factor in brightness between blurry frames and references that is told, and that training, which
evens out factors up to 2.7, may no longer follow everywhere."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Matched:
    """What matching one blurry frame showed.

    Attributes:
        sample: the frame and its references.
        coverage: share of the frame that at least one reference shows.
        kept: what the frame keeps of its best reference's detail (`measure.attenuation`).
        brightness: factor between the best reference and the frame, at least 1; 1 where unknown.
        noise: standard deviation of the frame's noise, in [0, 1].
    """

    sample: Sample
    coverage: float
    kept: Float[Tensor, "n 2"]
    brightness: float
    noise: float


def sample_of(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly spread."""
    if len(samples) <= count:
        return list(samples)
    return [samples[(2 * place + 1) * len(samples) // (2 * count)] for place in range(count)]


def match_sample(
    samples: Sequence[Sample],
    refs: int,
    store: FrameStore,
    *,
    tell: Tell = lambda done, total: None,
    device: str = "cpu",
) -> list[Matched]:
    """Match some blurry frames with their references.

    Args:
        samples: with references, or with more candidates than `refs`, which are chosen among first.
        refs: references of each frame in training.
        store: where frames are read from.
        tell: called with (done, all).
        device: where the matcher's network computes, as torch names it.

    Raises:
        UserError: a frame cannot be read.
    """
    judge = matcher_named(JUDGE, device=device)
    needed = [frame for sample in samples for frame in (sample.blurry, *sample.references)]
    store.prepare(needed)
    matched = []
    for done, sample in enumerate(samples, start=1):
        (chosen,) = most_covering([sample], refs, matcher=judge, store=store)
        matched.append(_match(chosen, judge, store))
        tell(done, len(samples))
    return matched


def mean_coverage(matched: Sequence[Matched]) -> float:
    """Of one blurry frame at least, in [0, 1]."""
    return sum(one.coverage for one in matched) / len(matched)


def coverage_problems(matched: Sequence[Matched]) -> list[Problem]:
    """What is wrong with what references show of the blurry frames."""
    mean = mean_coverage(matched)
    usable = sum(one.coverage >= USABLE for one in matched)
    if mean < NOTHING:
        told = f"they show {mean:.1%} of the blurry frames: other scenes, or another camera"
        fix = "give sharp frames of the very places that the blurry frames show"
        return [Problem("the sharp frames", told, fix, "hopeless")]
    problems = []
    if mean < SCARCE or usable < MOST_USABLE * len(matched):
        told = (
            f"they show {mean:.0%} of the blurry frames on average, and a quarter or more of"
            f" {usable} of {len(matched)} that were looked at"
        )
        fix = "add sharp frames nearer to the blurry ones, or leave out clips that have none"
        problems.append(Problem("the sharp frames", told, fix, "thin"))
    by_clip: dict[str, list[float]] = {}
    for one in matched:
        by_clip.setdefault(one.sample.blurry.clip, []).append(one.coverage)
    for clip, shares in by_clip.items():
        if len(by_clip) > 1 and max(shares) < USABLE:
            told = f"sharp frames show {max(shares):.0%} of its frames at best"
            problems.append(Problem(clip, told, "add sharp frames of that place, or leave it out"))
    return problems


def brightness_problems(factor: float, *, even: bool) -> list[Problem]:
    """What is wrong with the exposure of references beside that of the blurry frames."""
    if factor < APART:
        return []
    told = f"brighter or darker than the blurry frames by a factor of {factor:.2f}"
    fix = "lock the exposure when you record"
    if not even:
        fix = "leave out --no-even, so that they are evened out"
    weight: Weight = "thin" if factor >= FAR_APART or not even else "note"
    return [Problem("the sharp frames", told, fix, weight)]


@torch.no_grad()
def _match(sample: Sample, judge: Matcher[Any], store: FrameStore) -> Matched:
    blurry = store.image(sample.blurry)
    references = [store.image(frame) for frame in sample.references]
    factor = max(1, min(blurry.shape[-2:]) // LINES)
    small = [F.avg_pool2d(image, factor) for image in (blurry, *references)]
    target, *others = (judge.encode(image) for image in small)
    if isinstance(judge, MatchesMany):
        found = judge.match_many(target, others)
    else:
        found = [judge.match(target, other) for other in others]
    shown = [match.confidence * match.inside for match in found]
    best = max(range(len(found)), key=lambda n: float(shown[n].mean()))
    change = gains(found[best].warp(small[1 + best]), [found[best]], small[0]).log().mean()
    # Blur that reducing would hide is looked for at twice the size, or the frame's own.
    half = max(1, factor // 2)
    pair = [F.avg_pool2d(image, half) for image in (blurry, references[best])]
    return Matched(
        sample=sample,
        coverage=float((torch.cat(shown).amax(dim=0) >= SPEAKS).float().mean()),
        kept=_kept(pair[0], pair[1] * change.exp(), found[best]),
        brightness=float(change.abs().exp()),
        noise=noise(blurry[0]),
    )


def _kept(
    blurry: Float[Tensor, "1 3 h w"], reference: Float[Tensor, "1 3 h w"], match: Match
) -> Float[Tensor, "n 2"]:
    """What the frame keeps of the detail of a reference that was matched at another size."""
    size = (blurry.shape[-2], blurry.shape[-1])
    small = (match.flow.shape[-2], match.flow.shape[-1])
    scale = match.flow.new_tensor([size[1] / small[1], size[0] / small[0]]).view(1, 2, 1, 1)
    flow = F.interpolate(match.flow, size, mode="bilinear", align_corners=False) * scale
    sure = F.interpolate(match.confidence * match.inside, size, mode="nearest") >= SPEAKS
    return attenuation(blurry, warp(reference, flow), sure)
