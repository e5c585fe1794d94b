"""The demo: from photographs that come with scikit-image to a deblurred picture, in minutes.

Each photograph is filmed twice by a simulated hand. The first clips are the footage: every second
frame is kept as it is blurred, the others are the sharp references. The second clips are held out:
other movements over the same scenes, which the network never sees before it is measured on them.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.degrade.simulate import MANIFEST, Still, simulate_stills
from bluref.degrade.simulation import SimulateConfig
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.frames.sharpness import image_sharpness, split_by_sharpness
from bluref.measure.psnr import psnr
from bluref.media.picture import read_picture, write_picture
from bluref.report.before_after import Row, before_after
from bluref.report.page.page import write_page
from bluref.restore.deblurrer import Deblurrer
from bluref.train.evaluate import Evaluation, evaluate_pairs
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.run import train

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "motorcycle_left", "rocket")
FOOTAGE = SimulateConfig(kind="stills", frames=20, size=(192, 256), speed=2.4, seed=1)
RECIPE = Recipe(
    split="alternating",
    refs=4,
    steps=1200,
    warm_start=200,
    refresh_every=400,
    batch=4,
    crop=96,
    ema=0.99,
    ramp=50,
    save_every=400,
    snapshot_every=400,
)
SHOWN = 3

Pairs = Sequence[tuple[Frame, Frame]]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class DemoResult:
    """What the demo found, on held-out blurry frames. All PSNR in dB, mean over images.

    Attributes:
        psnr_input: of the blurry frames.
        psnr_output: of the network trained without pairs.
        psnr_warm_start: of the network after its warm start on synthetic blur.
        psnr_bound: of a network trained with pairs as long; None if it was not asked for.
        seconds: duration of everything.
        picture: the before/after picture.
        report: the page of the run.
    """

    psnr_input: float
    psnr_output: float
    psnr_warm_start: float
    psnr_bound: float | None
    seconds: float
    picture: Path
    report: Path


def run_demo(
    folder: Path,
    *,
    with_bound: bool = False,
    observer: Observer | None = None,
    tell: Tell = lambda text: None,
) -> DemoResult:
    """Simulate, train without pairs, measure on held-out frames, and draw the picture.

    Args:
        folder: new, empty, or that of a demo, which then goes on where it was; gets `footage/`,
            `run/` and `before_after.jpg`.
        with_bound: train the supervised bound too, for as many steps.
        observer: watches the training.
        tell: hears in words what is going on.

    Raises:
        UserError: the folder is not empty or cannot be written, or scikit-image is missing.
    """
    started = time.monotonic()
    footage, run = folder / "footage", folder / "run"
    if not (footage / MANIFEST).exists():
        tell("filming photographs with a shaking hand")
        _film(footage)
    tell("training without pairs")
    keeper = _KeepWarmStart(folder / "warm_start", observer or Observer())
    _train_or_go_on(footage, run, RECIPE, keeper)
    if with_bound:
        tell("training the supervised bound")
        bound = replace(RECIPE, supervised=True)
        _train_or_go_on(footage, folder / "bound", bound, observer or Observer())
    tell("measuring on held-out frames")
    pairs = held_out_frames(footage)
    output = _measure(run, pairs)
    picture = folder / "before_after.jpg"
    write_picture(_draw(Deblurrer.from_pretrained(run), pairs), picture, quality=85)
    tell("writing the report")
    report = write_page(run)
    return DemoResult(
        psnr_input=output.identity.psnr,
        psnr_output=output.scores.psnr,
        psnr_warm_start=_measure(folder / "warm_start", pairs).scores.psnr,
        psnr_bound=_measure(folder / "bound", pairs).scores.psnr if with_bound else None,
        seconds=time.monotonic() - started,
        picture=picture,
        report=report,
    )


def _film(footage: Path) -> None:
    """Make the footage; it appears whole, so that an interrupted demo begins anew with it.

    Raises:
        UserError: there is something else in the folder of the demo, or it cannot be written.
    """
    folder, partial = footage.parent, footage.with_name("footage.partial")
    if folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - {partial}):
        raise UserError(f"{folder} is not an empty folder", "remove it, or name another one")
    if partial.is_dir():
        shutil.rmtree(partial)
    simulate_stills(_stills(), partial, FOOTAGE)
    partial.rename(footage)


def _train_or_go_on(footage: Path, run: Path, recipe: Recipe, observer: Observer) -> None:
    """Train; an interruption ends the demo."""
    resume = (run / "recipe.yaml").exists()
    if not train(footage, run, recipe, resume=resume, observer=observer).finished:
        raise KeyboardInterrupt


class _KeepWarmStart(Observer):
    """Passes everything on, and keeps the network with which the first targets are matched."""

    def __init__(self, folder: Path, observer: Observer) -> None:
        self.folder = folder
        self.run: Path | None = None
        for name in vars(Observer):
            if name.startswith("on_") and name not in ("on_start", "on_refresh"):
                setattr(self, name, getattr(observer, name))
        self.observer = observer

    def on_start(self, folder: Path, step: int, steps: int) -> None:
        """Remember where the run is."""
        self.run = folder
        self.observer.on_start(folder, step, steps)

    def on_refresh(self, round_: int, done: int, total: int) -> None:
        """Copy the first teacher before later rounds forget it."""
        if self.run is not None and round_ == 0 and not self.folder.exists():
            partial = self.folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(self.run / "bank" / "round-0000" / "teacher", partial)
            partial.rename(self.folder)
        self.observer.on_refresh(round_, done, total)


def _stills() -> list[Still]:
    """Every photograph twice: once as footage, once held out."""
    try:
        from skimage import data
    except ImportError:
        raise UserError(
            "the demo needs scikit-image, whose photographs it films",
            "pip install 'bluref[train]'",
        ) from None
    stills = []
    for name in PHOTOGRAPHS:
        path = Path(data.data_dir) / (f"{name}.png" if name != "rocket" else "rocket.jpg")
        image = read_picture(path)
        stills += [Still(name, image, "train"), Still(f"{name}-again", image, "test")]
    return stills


def held_out_frames(footage: Path) -> list[tuple[Frame, Frame]]:
    """The blurry frames of the held-out clips, with their truth.

    A hand rests now and then, and nobody mends a frame that is sharp. So the frames that are less
    sharp than their neighbours count, judged as in training: without the truth.
    """
    pairs: list[tuple[Frame, Frame]] = []
    for clip in find_clips(footage, part="test"):
        blurry, _ = split_by_sharpness(
            clip.blurry, lambda frame: image_sharpness(read_picture(frame.path))
        )
        pairs += [(frame, clip.truth[frame.index]) for frame in blurry]
    return pairs


def _measure(model: Path, pairs: Pairs) -> Evaluation:
    return evaluate_pairs(Deblurrer.from_pretrained(model), pairs)


def _draw(deblurrer: Deblurrer, pairs: Pairs) -> Float[Tensor, "1 3 h w"]:
    """Of the first few held-out clips the frame of median blur: before, after, truth."""
    clips: dict[str, list[tuple[float, Frame, Frame]]] = {}
    for blurry, truth in pairs:
        quality = psnr(read_picture(blurry.path), read_picture(truth.path)).item()
        clips.setdefault(blurry.clip, []).append((quality, blurry, truth))
    rows = []
    for frames in list(clips.values())[:SHOWN]:
        quality, blurry, truth = sorted(frames)[len(frames) // 2]
        before, sharp = read_picture(blurry.path), read_picture(truth.path)
        after = deblurrer(before)
        captions = (
            f"before: {quality:.1f} dB",
            f"after: {psnr(after, sharp).item():.1f} dB",
            "truth, never seen in training",
        )
        rows.append(Row((before, after, sharp), captions))
    return before_after(rows)
