"""What a simulation is asked for and what it reports; light to import, for the command line."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SimulateConfig:
    """Choices of `simulate`."""

    kind: Literal["auto", "video", "stills"] = "auto"
    """What the source is: sharp footage (a video, a folder of videos or of numbered frames) or
    still photographs. `auto` takes a folder of pictures for frames when all share one size and
    are numbered without gaps."""

    exposure: float = 1.25
    """Time the shutter is open, in frames of the result; half of it lies before the sharp frame."""

    rate: float | None = None
    """Frames per second of the result; if not given, a video keeps its own and photographs are
    filmed at 30. Of a video, every second frame, or third, is the middle of an exposure, whatever
    comes nearest."""

    frames: int = 60
    """Frames of a clip. A longer video becomes several clips; a rest of less than a quarter of one
    is left out."""

    size: tuple[int, int] = (240, 320)
    """Height and width of a clip of a photograph, in pixels; footage keeps its size."""

    speed: float = 1.8
    """Fastest movement of the hand that films a photograph, in shorter sides of the frame per
    second."""

    subframes: int = 8
    """Sub-frames per frame of the footage, at least; more where it moves fast."""

    noise: float = 1.0
    """Standard deviation of the noise in the blurry frames, in grey levels of 255."""

    jpeg: int | None = None
    """Quality, 1 to 100, of a JPEG compression that the blurry frames go through, if given."""

    test: float = 0.2
    """Share of the clips that go to test/ rather than train/."""

    seed: int = 0
    """Everything random follows from this number and the names of the clips."""

    def __post_init__(self) -> None:
        bounds = {
            "exposure": (0.01, 100),
            "rate": (0.01, 10_000),
            "frames": (1, 1_000_000),
            "size": (32, 16_384),
            "speed": (0, 100),
            "subframes": (1, 1000),
            "noise": (0, 255),
            "jpeg": (1, 100),
            "test": (0, 1),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if not all(v is None or low <= v <= high for v in values):
                raise ValueError(f"{name} must lie in {low} to {high}, got {value}")


@dataclass(frozen=True)
class ClipReport:
    """A clip that was written to OUT/split/scene."""

    split: str
    scene: str
    frames: int


@dataclass(frozen=True)
class Failure:
    """Something in the source that could not be used."""

    path: str
    reason: str


@dataclass(frozen=True)
class SimulateReport:
    """What came out.

    Attributes:
        kind: what the source was taken for: `videos`, `frames` or `stills`.
        clips: in the order of the source.
        failed: files that were left out, with the reason.
        seconds: of wall-clock time.
    """

    kind: str
    clips: tuple[ClipReport, ...]
    failed: tuple[Failure, ...]
    seconds: float

    @property
    def frames(self) -> int:
        """Pairs of a blurry and a sharp frame, in all clips."""
        return sum(clip.frames for clip in self.clips)
