"""The same picture where it ought not to be: in both sets, twice in one, or in the test part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bluref.frames.clip import Frame
from bluref.measure.likeness import Impression, differences, distances
from bluref.train.checking.check_report import NAMED, Problem

SAME = 10
"""Differing bits of the hash, of 255, up to which two pictures of different clips are the same.
Blurred as in davis_blur a frame differs in 6 bits (median; 12 in one of ten), stored anew in 2,
resized in 4; pictures of other scenes in 100 and more. The next frame of a slow clip differs in 8
to 12, so that some neighbours pass for the same."""
NEARLY = 32
"""Up to which they show the same scene at nearly the same moment, often the next frame."""
SAME_MOMENT = 0.003
"""Root mean square difference of the small copies, in [0, 1], up to which two frames of one clip
are the same: stored anew as JPEG of quality 40 a frame differs by 0.0017, from the next one of a
slow clip of davis_blur by 0.0063 and more."""
MUCH, MOST = 0.1, 0.5
"""Share of a test clip, and of the blurry set, from which leakage is more than a note: few of the
blurry frames may only have a neighbour in the sharp set."""

Impressions = Mapping[Frame, Impression]


@dataclass(frozen=True)
class _Pair:
    one: Frame
    other: Frame


def shared_by_the_sets(blurry: Impressions, sharp: Impressions) -> list[Problem]:
    """Blurry frames that are in the sharp set as well: learning from them is learning from truth.

    Neighbours in time look alike and are what references ought to be; of one clip only frames that
    are the same moment count, as a camera gives that repeats frames.
    """
    found = _alike(blurry, sharp, SAME)
    return [
        Problem(
            str(pairs[0].one),
            f"the same picture as {pairs[0].other}, or nearly: one in the blurry set, one in the"
            " sharp set" + _more(pairs, len(blurry)),
            "keep it in one of the two sets; `bluref curate` skips repeated frames",
            "thin" if len(found) >= MOST * len(blurry) else "note",
        )
        for pairs in _by_clips(found)
    ]


def repeated(frames: Impressions, role: str) -> list[Problem]:
    """Frames of one set that repeat another.

    They teach nothing, and where some clips are held out they may be on both sides.
    """
    return [
        Problem(
            str(pairs[0].one),
            f"the same picture as {pairs[0].other}, both in the {role} set"
            + _more(pairs, len(frames)),
            "keep one of them; `bluref curate` skips repeated frames",
        )
        for pairs in _by_clips(_alike(frames, frames, SAME))
    ]


def leaked(trained: Impressions, measured: Impressions) -> list[Problem]:
    """Frames to be measured on that training sees, or sees nearly."""
    counts: dict[str, int] = {}
    for frame in measured:
        counts[frame.clip] = counts.get(frame.clip, 0) + 1
    by_clip: dict[str, list[_Pair]] = {}
    for pair in _alike(measured, trained, NEARLY, across=True):
        by_clip.setdefault(pair.one.clip, []).append(pair)
    return [
        Problem(
            str(pairs[0].one),
            f"nearly the same picture as {pairs[0].other}, which training sees"
            + _more(pairs, counts[clip]),
            "measure on clips of other scenes, or leave these out of one of the two parts",
            "thin" if len(pairs) >= MUCH * counts[clip] else "note",
        )
        for clip, pairs in by_clip.items()
    ][:NAMED]


def _alike(
    these: Impressions, those: Impressions, most: int, *, across: bool = False
) -> list[_Pair]:
    """For each of these the most alike of those, if it is alike; what is blank shows nothing.

    Args:
        these: frames.
        those: frames; the same mapping if pairs within it are wanted, each once.
        most: bits in which frames of different clips may differ.
        across: the two have no clip in common, whatever the clips are called.
    """
    one = [frame for frame, seen in these.items() if not seen.blank]
    other = [frame for frame, seen in those.items() if not seen.blank]
    if not one or not other:
        return []
    apart = distances(_signs(one, these), _signs(other, those))
    if these is those:
        apart[np.tri(len(one), dtype=bool)] = np.inf
    if not across:
        clips = [np.array([frame.clip for frame in frames]) for frames in (one, other)]
        inside = clips[0][:, None] == clips[1][None]
        later = differences(_small(one, these), _small(other, those)) > SAME_MOMENT
        apart[inside & later] = np.inf
    nearest = apart.argmin(axis=1)
    return [
        _Pair(frame, other[place])
        for row, (frame, place) in enumerate(zip(one, nearest, strict=True))
        if apart[row, place] <= most
    ]


def _signs(frames: Sequence[Frame], seen: Impressions) -> np.ndarray:
    return np.stack([seen[frame].signs for frame in frames])


def _small(frames: Sequence[Frame], seen: Impressions) -> np.ndarray:
    return np.stack([seen[frame].small for frame in frames])


def _by_clips(pairs: Sequence[_Pair]) -> list[list[_Pair]]:
    """Pairs of the same two clips together, the commonest first; no more than `NAMED` of them."""
    groups: dict[tuple[str, str], list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.one.clip, pair.other.clip), []).append(pair)
    return sorted(groups.values(), key=len, reverse=True)[:NAMED]


def _more(pairs: Sequence[_Pair], of: int) -> str:
    return f" ({len(pairs)} of {of} frames are like it)" if len(pairs) > 1 else ""
