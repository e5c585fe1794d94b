"""A matcher's training run: from sharp frames to a matcher that sees through blur."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bluref.degrade.camera import CameraConfig
from bluref.degrade.geometry import GeometryConfig
from bluref.degrade.kernels import MotionConfig
from bluref.degrade.objects import ObjectConfig
from bluref.frames.clip import Frame
from bluref.frames.sharp import sharp_frames
from bluref.frames.store import FrameStore
from bluref.match.pairs import PairConfig, Pairs, PairSource
from bluref.match.pdcnet.config import CONFIGS
from bluref.match.pdcnet.network import PDCNet
from bluref.train import checkpoint
from bluref.train.average import averaged_copy
from bluref.train.loop import TellRefresh, Trainer
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.matching import COLUMNS, MatcherFiles, Matching, Siamese
from bluref.train.metrics import MetricsFile
from bluref.train.observe import Observer
from bluref.train.run import TrainResult
from bluref.train.run_folder import locked, settle
from bluref.weights.precision import prefers_bf16

# Motion and blur in the first step, over those of the recipe.
BEGINNING = 1 / 3


@dataclass(frozen=True)
class Curriculum:
    """Small pairs of little motion and blur first, then large ones with all of it.

    Attributes:
        frames: sharp ones.
        store: where they are read from.
        recipe: every choice.
    """

    frames: Sequence[Frame]
    store: FrameStore
    recipe: MatcherRecipe

    def phase(self, step: int) -> str:
        """`small` or `large`."""
        return "small" if step < self.recipe.first_steps else "large"

    def round_at(self, step: int) -> int | None:
        """There are no rounds."""
        return None

    def renew(self, round_: int, average: nn.Module, tell: TellRefresh) -> None:
        """Nothing is renewed."""

    def __call__(self, step: int) -> Pairs:
        """The pairs of this step."""
        recipe = self.recipe
        grown = min(1.0, BEGINNING + (1 - BEGINNING) * step / max(recipe.first_steps, 1))
        crop = recipe.first_crop if step < recipe.first_steps else recipe.crop
        config = pair_config(recipe, crop=crop, share=grown)
        return PairSource(self.frames, self.store, recipe.seed, recipe.batch, config)(step)


def pair_config(recipe: MatcherRecipe, *, crop: int, share: float) -> PairConfig:
    """How pairs are made, with a share in (0, 1] of the recipe's motion and blur."""
    low, high = recipe.strength
    length = recipe.blur_length * share
    camera = CameraConfig(motion=MotionConfig(length=(0.0, length), size=_odd(length)))
    return PairConfig(
        crop=crop,
        geometry=GeometryConfig(
            strength=(low, max(low, high * share)), max_shift=recipe.max_shift * share
        ),
        objects=ObjectConfig(most=recipe.objects),
        camera=camera if recipe.blur else camera.without_blur(),
    )


def train_matcher(
    sharp: Sequence[Path],
    run: Path,
    recipe: MatcherRecipe,
    *,
    resume: bool = False,
    observer: Observer | None = None,
) -> TrainResult:
    """Train a matcher on pairs made from sharp frames; nothing else is needed.

    Args:
        sharp: pictures, videos, folders of either, or data trees, whose training part is used.
        run: the run folder; must be new or empty unless `resume`.
        recipe: every choice; on resume it must be the run's own.
        resume: go on from the run's last checkpoint, bit for bit as if never interrupted.
        observer: watches.

    Raises:
        UserError: anything wrong with the frames, the folder, the recipe or the disk.
    """
    started = time.monotonic()
    observer = observer or Observer()
    with locked(run, resume=resume):
        frames = sharp_frames(sharp, part="train")
        store = FrameStore(run / "frames")
        settle(run, _described(sharp, recipe, frames), observer)
        store.prepare(frames, tell=observer.on_prepare)
        trainer = _build(run, recipe, frames, store, observer)
        observer.on_start(run, trainer.step, recipe.steps)
        finished = trainer.run()
        observer.on_end(run)
    return TrainResult(run, trainer.step, finished, time.monotonic() - started)


def _build(
    run: Path,
    recipe: MatcherRecipe,
    frames: Sequence[Frame],
    store: FrameStore,
    observer: Observer,
) -> Trainer[Pairs]:
    torch.manual_seed(recipe.seed)
    model = Siamese(PDCNet(CONFIGS[recipe.network]))
    # The stubs of torch know no `to` with nothing but a memory format.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    state = checkpoint.State(model=model, average=averaged_copy(model), optimizer=adam)
    files = MatcherFiles()
    step = 0
    if checkpoint.exists(run / "last"):
        step = checkpoint.load(run / "last", state, files=files)["step"]
    return Trainer(
        recipe=recipe,
        state=state,
        source=Curriculum(frames, store, recipe),
        task=Matching(recipe.level_weights, recipe.precision == "auto" and prefers_bf16()),
        files=files,
        folder=run,
        metrics=MetricsFile(run / "metrics.csv", upto=step, told=COLUMNS),
        observer=observer,
        snapshot=_snapshots(recipe, frames, store, observer),
        step=step,
    )


def _snapshots(
    recipe: MatcherRecipe, frames: Sequence[Frame], store: FrameStore, observer: Observer
) -> Callable[[int, nn.Module], None]:
    """Nothing yet to look at while a matcher trains."""

    def take(step: int, average: nn.Module) -> None:
        del step, average

    return take


def _described(
    sharp: Sequence[Path], recipe: MatcherRecipe, frames: Sequence[Frame]
) -> dict[str, dict[str, Any]]:
    """What recipe.yaml says."""
    digest = hashlib.blake2b(digest_size=16)
    for frame in frames:
        digest.update(f"{frame.key}\n".encode())
    return {
        "recipe": asdict(recipe),
        "data": {
            "folder": ", ".join(str(path.resolve()) for path in sharp),
            "sharp_frames": len(frames),
            "fingerprint": digest.hexdigest(),
        },
    }


def _odd(length: float) -> int:
    """Side of the smallest kernels that hold paths of this length."""
    return 2 * int(length // 2 + 1) + 1
