"""What comes just before and after each frame: between neighbours one sees how things moved."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from bluref.frames.clip import Frame
from bluref.frames.references import Sample

# Frames between which motion may still be taken for steady.
FARTHEST = 3


def with_neighbours(frames: Iterable[Frame], among: Iterable[Frame]) -> list[Sample]:
    """Each frame with the nearest one before and after it in its clip, as what it is matched with.

    Args:
        frames: whose neighbours are wanted.
        among: every frame that may be a neighbour, whatever its role.

    Returns:
        a sample for each frame that has a neighbour at most `FARTHEST` frames away, the smallest
        step of the clip being one; its references are one or two frames, the earlier first. At
        either end of a clip there is but one.
    """
    clips: dict[str, dict[int, Frame]] = {}
    for frame in among:
        clips.setdefault(frame.clip, {})[frame.index] = frame
    near = {clip: _near(sorted(by_index)) for clip, by_index in clips.items()}
    samples = []
    for frame in frames:
        found = near.get(frame.clip, {}).get(frame.index, ())
        if found:
            references = tuple(clips[frame.clip][n] for n in found)
            samples.append(Sample(frame, references, None))
    return samples


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
