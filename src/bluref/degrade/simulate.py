"""Footage with ground truth: a GoPro tree from sharp footage or from still photographs."""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.degrade.camera_path import HandConfig
from bluref.degrade.footage import Exposure, ExposureConfig, expose
from bluref.degrade.handheld import film
from bluref.degrade.interpolate import FlowEstimator
from bluref.degrade.randomness import generator_of
from bluref.degrade.simulation import ClipReport, Failure, SimulateConfig, SimulateReport
from bluref.degrade.sources import find_source, read_footage, read_photograph
from bluref.degrade.stage import HandheldConfig, fits
from bluref.degrade.tree import develop, write_clip
from bluref.errors import UserError
from bluref.media.video import probe_video
from bluref.media.whole import write_text_whole

MANIFEST = "simulated.json"
"""Written last into the output: the choices, the clips and what was left out."""

Progress = Callable[[int, int], None]
"""Called after every frame with the number written so far and the number expected; the latter is
an estimate, 0 where there is none."""

_HAND_RATE = 30.0  # frames per second of a filmed photograph, if nobody says otherwise
_HEAD_START = 0.45  # of a clip: few clips make a test clip as well, but the first is for training


@dataclass(frozen=True)
class Still:
    """A photograph to be filmed.

    Attributes:
        name: of the clip; a plain file name.
        image: sRGB-encoded.
        split: `train` or `test`.
    """

    name: str
    image: Float[Tensor, "1 3 h w"]
    split: str = "train"


def simulate(
    source: Path,
    out: Path,
    config: SimulateConfig,
    flow: FlowEstimator,
    progress: Progress | None = None,
) -> SimulateReport:
    """Make blurry footage with its truth: OUT/{train,test}/SCENE/{blur,sharp}/NNNNNN.png.

    Sharp footage is exposed for long (`expose`), photographs are filmed by hand (`film`). What
    cannot be read is left out and reported; clips appear whole. Everything random is a function
    of the seed, the clip's name and the frame. A clip of footage goes to test/ or train/ by its
    place in time, so that both show the same scene: test scenes proper come from other videos.

    Args:
        source: a video, a folder of videos, a folder of numbered frames, or photographs.
        out: the data folder, which must be empty or not exist.
        config: what to make.
        flow: estimator of motion, (target, reference) -> flow; asked for footage only.
        progress: called after every frame.

    Raises:
        UserError: `source` holds nothing to work with; `out` is not empty or cannot be written.
    """
    found = find_source(source, config.kind)
    work = _Work(out, config, progress)
    if found.kind == "stills":
        work.expected = config.frames * len(found.paths)
        for path in found.paths:
            image = read_photograph(path, work.failed)
            if image is not None:
                work.film(Still(path.stem, image, work.next_split()))
    elif found.kind == "frames":
        if config.rate is not None:
            raise UserError(f"{source} is a folder of frames, without a rate", "leave out --rate")
        work.expected = len(found.paths)
        images = (read_photograph(path, work.failed) for path in found.paths)
        work.expose(source.resolve().name, images, flow)
    else:
        pace = [_pace(path, config.rate) for path in found.paths]
        work.expected = sum(frames // every for every, frames in pace)
        for path, (every, _) in zip(found.paths, pace, strict=True):
            work.expose(path.stem, read_footage(path, work.failed), flow, every)
    return work.finish(found.kind)


def simulate_footage(
    frames: Iterable[Float[Tensor, "1 3 h w"]],
    out: Path,
    config: SimulateConfig,
    flow: FlowEstimator,
    progress: Progress | None = None,
) -> SimulateReport:
    """Expose sharp consecutive frames that come one by one, as clips `footage_NNN`; see `simulate`.

    Only two frames and the exposures under way are held in memory. Every frame is the middle of
    an exposure: `config.rate` has no meaning here.

    Raises:
        UserError: too few frames; `out` is not empty or cannot be written.
    """
    work = _Work(out, config, progress)
    work.expose("footage", frames, flow)
    return work.finish("frames")


def simulate_stills(
    photographs: Iterable[Still],
    out: Path,
    config: SimulateConfig,
    progress: Progress | None = None,
) -> SimulateReport:
    """Film photographs that are in memory, each into the split it names; see `simulate`.

    Raises:
        UserError: no photograph is large enough; `out` is not empty or cannot be written.
    """
    work = _Work(out, config, progress)
    for photograph in photographs:
        work.film(photograph)
    return work.finish("stills")


@dataclass
class _Work:
    """A simulation under way: where it writes and what has been done."""

    out: Path
    config: SimulateConfig
    progress: Progress | None
    clips: list[ClipReport] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    frames: int = 0
    expected: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            raise UserError(
                f"{self.out} exists and is not an empty folder", "choose a new folder for the data"
            )

    def next_split(self) -> str:
        """`test` for the given share of the clips, spread evenly; `train` for the others."""
        done, share = len(self.clips), self.config.test
        due = math.floor((done + 1) * share + _HEAD_START) - math.floor(done * share + _HEAD_START)
        return "test" if due else "train"

    def film(self, still: Still) -> None:
        """Make a clip of a photograph, or note that it is too small."""
        config = HandheldConfig(
            size=self.config.size,
            frames=self.config.frames,
            rate=self.config.rate or _HAND_RATE,
            exposure=self.config.exposure,
            hand=HandConfig(speed=self.config.speed),
        )
        h, w = still.image.shape[-2:]
        if not fits((h, w), config):
            wanted = "{} x {}".format(*self.config.size)
            self.failed.append(Failure(still.name, f"{h} x {w} is too small for {wanted} frames"))
            return
        scene = self._unused(still.name)
        camera = generator_of(self.config.seed, scene, "camera")
        self._write(film(still.image, camera, config), scene, still.split)

    def expose(
        self, name: str, images: Iterable[Tensor | None], flow: FlowEstimator, every: int = 1
    ) -> None:
        """Make clips of sharp footage, cut where a frame is missing (None) or changes its size."""
        config = ExposureConfig(self.config.exposure, self.config.subframes, every)
        clips, failed = len(self.clips), len(self.failed)
        for shape, run in itertools.groupby(images, _shape):
            if shape is None:
                continue
            exposures = expose((image for image in run if image is not None), flow, config)
            least = 1
            while self._write(
                itertools.islice(exposures, self.config.frames),
                self._unused(f"{name}_{len(self.clips) - clips:03d}"),
                self.next_split(),
                least=least,
            ):
                least = math.ceil(self.config.frames / 4)
        if (len(self.clips), len(self.failed)) == (clips, failed):
            self.failed.append(Failure(name, "too few frames for a single exposure"))

    def finish(self, kind: str) -> SimulateReport:
        """Write the manifest and report; UserError if nothing was made."""
        if not self.clips:
            first = self.failed[0] if self.failed else Failure("the source", "nothing in it")
            raise UserError(
                f"no clip could be made; {first.path}: {first.reason}",
                "give other footage, or photographs larger than the frames",
            )
        seconds = time.monotonic() - self.started
        report = SimulateReport(kind, tuple(self.clips), tuple(self.failed), seconds)
        manifest = {"format": 1, "config": asdict(self.config), **asdict(report)}
        write_text_whole(self.out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        return report

    def _unused(self, name: str) -> str:
        taken = {clip.scene for clip in self.clips}
        names = itertools.chain([name], (f"{name}_{k}" for k in itertools.count(2)))
        return next(n for n in names if n not in taken)

    def _write(self, exposures: Iterable[Exposure], scene: str, split: str, least: int = 1) -> bool:
        def develop_frame(blurry: Tensor, frame: int) -> Tensor:
            noise = generator_of(self.config.seed, scene, frame)
            return develop(blurry, noise, noise=self.config.noise, jpeg=self.config.jpeg)

        def tell() -> None:
            self.frames += 1
            if self.progress is not None:
                self.progress(self.frames, self.expected)

        folder = self.out / split / scene
        frames = write_clip(exposures, folder, develop_frame, least=least, wrote=tell)
        if frames:
            self.clips.append(ClipReport(split, scene, frames))
        return frames > 0


def _shape(image: Tensor | None) -> tuple[int, ...] | None:
    return None if image is None else tuple(image.shape)


def _pace(path: Path, rate: float | None) -> tuple[int, int]:
    """Frames of a video per frame of a result with the given rate, and how many it has."""
    try:
        video = probe_video(path)
    except UserError:
        return 1, 0  # reading it tells what is wrong with it
    return max(1, round(video.rate / rate)) if rate else 1, video.frames
