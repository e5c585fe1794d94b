"""What comes just before and after each frame: between neighbours one sees how things moved."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.media.video import probe_video

# Frames between which motion may still be taken for steady.
FARTHEST = 3


def with_neighbours(frames: Iterable[Frame], among: Iterable[Frame]) -> list[Sample]:
    """Each frame with the nearest one before and after it in its clip, as what it is matched with.

    Of a video file every frame may be a neighbour, whether anyone looked at it or not: of footage
    that is looked at a few times a second, what was seen last is too far away.

    Args:
        frames: whose neighbours are wanted.
        among: every frame of a folder of pictures that may be a neighbour, whatever its role.

    Returns:
        a sample for each frame that has a neighbour at most `FARTHEST` frames away, the smallest
        step of the clip being one; its references are one or two frames, the earlier first. At
        either end of a clip there is but one.

    Raises:
        UserError: a video cannot be read.
    """
    clips: dict[str, dict[int, Frame]] = {}
    frames = list(frames)
    for frame in (*_in_films(frames), *among):
        clips.setdefault(frame.clip, {})[frame.index] = frame
    near = {clip: _near(sorted(by_index)) for clip, by_index in clips.items()}
    samples = []
    for frame in frames:
        found = near.get(frame.clip, {}).get(frame.index, ())
        if found:
            references = tuple(clips[frame.clip][n] for n in found)
            samples.append(Sample(frame, references, None))
    return samples


def _in_films(frames: Iterable[Frame]) -> list[Frame]:
    """The frames of video files just before and after these."""
    count = lru_cache(maxsize=None)(_frames_in)
    return [
        replace(frame, index=frame.index + step, position=frame.position + step)
        for frame in frames
        if frame.position is not None
        for step in (-1, 1)
        if 0 <= frame.position + step < count(frame.path)
    ]


def _frames_in(path: Path) -> int:
    return probe_video(path).frames


def _near(indices: Sequence[int]) -> dict[int, list[int]]:
    """The number before and the number after each, where there are and not too far."""
    near: dict[int, list[int]] = {index: [] for index in indices}
    steps = list(pairwise(indices))
    farthest = FARTHEST * min((after - before for before, after in steps), default=1)
    for before, after in steps:
        if after - before <= farthest:
            near[before].append(after)
            near[after].insert(0, before)
    return near
