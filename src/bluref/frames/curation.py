"""What curating is asked for and what it reports; light to import, for the command line."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["mixed", "all sharp", "all blurred", "steady", "album", "empty"]
"""What a clip was found to be: `steady` where all frames are alike and neither sharp nor blurred
beyond doubt, `album` where neighbours do not show the same scene, `empty` where nothing is seen."""


@dataclass(frozen=True)
class CurateConfig:
    """Choices of `curate`."""

    rate: float | None = None
    """Frames looked at per second of video. Without it: every frame of a clip of up to a minute,
    ten a second of a longer one. Of a folder of pictures every one is looked at."""

    extract: bool = False
    """Also write the frames that have a role as PNG files into DATA/frames; else nothing is copied,
    and the table points into the clips where they lie."""

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    """Clips that are read at the same time."""

    overwrite: bool = False
    """Measure everything anew, and replace a frames.csv that was changed by hand."""

    def __post_init__(self) -> None:
        if self.rate is not None and not self.rate > 0:
            raise ValueError(f"rate must be above 0, got {self.rate}")
        if self.jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {self.jobs}")


@dataclass(frozen=True)
class CuratedClip:
    """What was found in one clip.

    Attributes:
        clip: its name in the table.
        path: the video, or the folder of pictures.
        kind: see `Kind`.
        shots: pieces between cuts.
        frames: looked at.
        sharp: of these, may serve as references.
        blurry: of these, to be learnt from.
        skip: of these, neither.
        notes: what a person should know of it, one line each.
    """

    clip: str
    path: str
    kind: Kind
    shots: int
    frames: int
    sharp: int
    blurry: int
    skip: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class LeftOut:
    """A clip, or a picture of one, that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class CurateReport:
    """What came out.

    Attributes:
        table: the frames.csv that was written.
        clips: by name.
        failed: what could not be read.
        seconds: of wall-clock time.
    """

    table: Path
    clips: tuple[CuratedClip, ...]
    failed: tuple[LeftOut, ...]
    seconds: float

    @property
    def sharp(self) -> int:
        """Frames that may serve as references."""
        return sum(clip.sharp for clip in self.clips)

    @property
    def blurry(self) -> int:
        """Frames to be learnt from."""
        return sum(clip.blurry for clip in self.clips)

    @property
    def skip(self) -> int:
        """Frames that were looked at and got no role."""
        return sum(clip.skip for clip in self.clips)
