"""What footage is made of: frames that know where they come from, and clips of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True)
class Frame:
    """One frame of a clip, known by (clip, index) and never by its place in a list.

    Attributes:
        clip: name of the clip, unique within a data folder.
        index: frame number within the clip. It is the number in the file name where every name of
            the clip ends in one, so that a lost frame does not shift those after it.
        path: the picture file, or the video that holds the frame.
        position: number of the frame within the video, from 0; None for a picture file.
    """

    clip: str
    index: int
    path: Path
    position: int | None = None

    @property
    def key(self) -> str:
        """The identity as text, `clip/index`: the same on every machine."""
        return f"{self.clip}/{self.index:06d}"

    def __str__(self) -> str:
        """The file, and the frame number if it is a video: how messages name this frame."""
        return str(self.path) if self.position is None else f"{self.path} frame {self.position}"


@dataclass(frozen=True)
class Clip:
    """Frames of one clip by index, before anyone has said which of them serve as what.

    Attributes:
        name: unique within the data folder.
        blurry: frames that may serve as blurry input.
        sharp: frames that may serve as references.
        truth: for a clip of a paired data set, the sharp version of each blurry frame; it serves to
            measure and for the supervised bound, nothing else. Empty for real footage.
        roles_known: somebody has said which is which, as a curated folder does: no split asks.
        others: pictures that are to serve as neither, and show how those beside them moved.
    """

    name: str
    blurry: Mapping[int, Frame]
    sharp: Mapping[int, Frame]
    truth: Mapping[int, Frame]
    roles_known: bool = False
    others: Mapping[int, Frame] = field(default_factory=dict)
