"""Blurry frames beside sharp frames of known distance in time: what matchers are judged on."""

import math
from collections.abc import Sequence

from bluref.errors import UserError
from bluref.frames.clip import Clip
from bluref.frames.references import Sample

# Blurry frames that suffice for a table of matchers: more move its figures by hundredths.
ENOUGH = 30


def displaced_samples(
    clips: Sequence[Clip], delta: int, *, every: int | None = None
) -> list[Sample]:
    """Every n-th blurry frame t of each clip, with the sharp frames t - delta and t + delta.

    A frame that has only one of the two keeps that one; a frame that has neither is left out. Which
    frames are considered does not depend on `delta`, so that rows of a table can be compared.

    Args:
        clips: of a paired data set; frames without truth are not considered.
        delta: distance in frames, at least 1.
        every: n; by default so many are passed over that about 30 frames are left.

    Raises:
        UserError: no frame has a truth, none has a reference, or delta or n is below 1.
    """
    paired = [(clip, [i for i in sorted(clip.blurry) if i in clip.truth]) for clip in clips]
    count = sum(len(indices) for _, indices in paired)
    if not count:
        raise UserError(
            f"{_named(clips)} holds no pairs to measure on",
            "give a tree of SCENE/blur and SCENE/sharp",
        )
    every = math.ceil(count / ENOUGH) if every is None else every
    if delta < 1 or every < 1:
        raise UserError(f"delta is {delta} and every is {every}", "both must be at least 1")
    samples = []
    for clip, indices in paired:
        for t in indices[::every]:
            near = tuple(clip.sharp[s] for s in (t - delta, t + delta) if s in clip.sharp)
            if near:
                samples.append(Sample(clip.blurry[t], near, clip.truth[t]))
    if not samples:
        raise UserError(
            f"no blurry frame of {_named(clips)} has a sharp frame at distance {delta}",
            "lower --delta, or give longer clips",
        )
    return samples


def _named(clips: Sequence[Clip]) -> str:
    """The clips in words, the first three by name."""
    names = ", ".join(clip.name for clip in clips[:3])
    return f"clip {names}" + (f" (and {len(clips) - 3} more)" if len(clips) > 3 else "")
