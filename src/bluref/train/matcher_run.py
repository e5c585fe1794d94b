"""A matcher's training run: from sharp frames to a matcher that sees through blur."""

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.degrade.camera import CameraConfig
from bluref.degrade.geometry import GeometryConfig
from bluref.degrade.kernels import MotionConfig
from bluref.degrade.objects import ObjectConfig
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.randomness import item_generator
from bluref.frames.sharp import sharp_frames
from bluref.frames.store import FrameStore
from bluref.match.files import load_matcher
from bluref.match.footage import FootageConfig
from bluref.match.pairs import PairConfig, Pairs, PairSource
from bluref.match.pdcnet.config import CONFIGS
from bluref.match.pdcnet.network import PDCNet
from bluref.train import checkpoint
from bluref.train.average import averaged_copy
from bluref.train.loop import TellRefresh, Trainer
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.matching import COLUMNS, Lesson, MatcherFiles, Matching, Siamese
from bluref.train.metrics import MetricsFile
from bluref.train.named_files import hashes
from bluref.train.observe import Observer
from bluref.train.processes import Processes, find_processes
from bluref.train.run import TrainResult
from bluref.train.run_folder import locked, settle
from bluref.weights.precision import prefers_bf16

# Motion and blur in the first step, over those of the recipe.
BEGINNING = 1 / 3

# Pairs on the sheet that a person can look at.
LOOKED_AT = 100


@dataclass(frozen=True)
class Curriculum:
    """Small pairs of little motion and blur first, then large ones with all of it.

    Attributes:
        frames: sharp ones.
        store: where they are read from.
        recipe: every choice.
        processes: who draws which items of a step.
    """

    frames: Sequence[Frame]
    store: FrameStore
    recipe: MatcherRecipe
    processes: Processes

    def phase(self, step: int) -> str:
        """`small` or `large`."""
        return "small" if step < self.recipe.first_steps else "large"

    def round_at(self, step: int) -> int | None:
        """There are no rounds."""
        return None

    def renew(self, round_: int, average: nn.Module, tell: TellRefresh) -> None:
        """Nothing is renewed."""

    def __call__(self, step: int) -> Lesson:
        """The pairs of this step, and the errors to be mended in them."""
        recipe = self.recipe
        grown = 1.0
        if recipe.init is None and step < recipe.first_steps:
            grown = BEGINNING + (1 - BEGINNING) * step / recipe.first_steps
        crop = recipe.first_crop if step < recipe.first_steps else recipe.crop
        config = pair_config(recipe, crop=crop, share=grown, generator=self._generator(step))
        source = PairSource(self.frames, self.store, recipe.seed, recipe.batch, config)
        first = self.processes.rank * recipe.batch
        errors = [
            random_disturbance(self._generator(step, item), recipe.disturbance)
            for item in range(first, first + recipe.batch)
        ]
        return Lesson(source(step, first=first), torch.cat(errors))

    def _generator(self, step: int, item: int = -1) -> torch.Generator:
        """Apart from those that the pairs draw from."""
        return item_generator(self.recipe.seed, "lesson", step, item)


def random_disturbance(generator: torch.Generator, most: float) -> Float[Tensor, "1 2 4 4"]:
    """Smooth errors of a flow in pixels: none for half of the items, else up to `most`.

    Their standard deviation is drawn log-uniformly from `most` / 64 on.
    """
    chance, size = torch.rand(2, generator=generator).tolist()
    strength = most * 64 ** (size - 1) if chance < 0.5 else 0.0
    return strength * torch.randn(1, 2, 4, 4, generator=generator)


def pair_config(
    recipe: MatcherRecipe, *, crop: int, share: float, generator: torch.Generator
) -> PairConfig:
    """How pairs of one step are made.

    Args:
        recipe: bounds of everything.
        crop: side of the pairs.
        share: of the recipe's motion and blur, in (0, 1].
        generator: draws the largest shift of this step, small ones more often than large ones.
    """
    low, high = recipe.strength
    shift = recipe.max_shift * share * torch.rand((), generator=generator).item() ** 2
    length = recipe.blur_length * share
    motion = MotionConfig(length=(0.0, length), size=_odd(length))
    # Blur is what this matcher is for; noise and codecs come milder than in BSRGAN.
    camera = CameraConfig(motion=motion, lens=0.3, resized=0.15, noisy=0.4, compressed=0.3)
    return PairConfig(
        crop=crop,
        scale=(recipe.smallest, 1.0),
        squeeze=recipe.squeeze,
        footage=FootageConfig(share=recipe.footage),
        geometry=GeometryConfig(
            strength=(low, max(low, high * share)),
            max_shift=shift,
            still=recipe.still,
            smooth=0.5,
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
    device: str = "cpu",
) -> TrainResult:
    """Train a matcher on pairs made from sharp frames; nothing else is needed.

    Args:
        sharp: pictures, videos, folders of either, or data trees, whose training part is used.
        run: the run folder; must be new or empty unless `resume`.
        recipe: every choice; on resume it must be the run's own.
        resume: go on from the run's last checkpoint, bit for bit as if never interrupted.
        observer: watches.
        device: where to compute, as torch names it, unless several processes were launched.

    Raises:
        UserError: anything wrong with the frames, the folder, the recipe or the disk.
    """
    started = time.monotonic()
    processes = find_processes(device)
    observer = (observer if processes.rank == 0 else None) or Observer()
    # What cannot be had is told here, before the folder is written to.
    start = _start(run, recipe)
    with contextlib.ExitStack() as stack:
        with processes.first_goes_first():
            if processes.rank == 0:
                stack.enter_context(locked(run, resume=resume))
            frames = sharp_frames(sharp, part="train")
            store = FrameStore(run / "frames")
            settle(run, _described(sharp, recipe, frames), processes, observer)
            store.prepare(frames, tell=observer.on_prepare)
            checkpoint.repair(run / "last")
        # Several processes greet each other while a trainer is built.
        source = Curriculum(frames, store, recipe, processes)
        trainer = _build(run, recipe, source, start, observer, processes)
        observer.on_start(run, trainer.step, recipe.steps)
        if trainer.step == 0 and processes.rank == 0:
            observer.on_pairs(_to_be_looked_at(recipe, frames, store))
        finished = trainer.run()
        observer.on_end(run)
    return TrainResult(run, trainer.step, finished, time.monotonic() - started)


def _build(
    run: Path,
    recipe: MatcherRecipe,
    source: Curriculum,
    start: Mapping[str, Tensor] | None,
    observer: Observer,
    processes: Processes,
) -> Trainer[Lesson]:
    torch.manual_seed(recipe.seed)
    network = PDCNet(CONFIGS[recipe.network])
    resumed = checkpoint.exists(run / "last")
    if start is not None:
        network.load_state_dict(start)
    model = Siamese(network)
    # The stubs of torch know no `to` with a memory format but for four-dimensional tensors.
    model.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    adam = torch.optim.Adam(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    state = checkpoint.State(model=model, average=averaged_copy(model), optimizer=adam)
    files = MatcherFiles()
    step = 0
    if resumed:
        step = checkpoint.load(run / "last", state, files=files)["step"]
    use_bf16 = recipe.precision == "auto" and prefers_bf16(processes.device)
    return Trainer(
        recipe=recipe,
        state=state,
        source=source,
        task=Matching(recipe.level_weights, processes.device, use_bf16),
        files=files,
        folder=run,
        metrics=MetricsFile(
            run / "metrics.csv", upto=step, told=COLUMNS, write=processes.rank == 0
        ),
        observer=observer,
        snapshot=lambda step, average: observer.on_draw(),
        processes=processes,
        step=step,
    )


def _to_be_looked_at(recipe: MatcherRecipe, frames: Sequence[Frame], store: FrameStore) -> Pairs:
    """Pairs as the run makes them, at its full motion and blur."""
    generator = item_generator(recipe.seed, "to be looked at")
    config = pair_config(recipe, crop=recipe.first_crop, share=1.0, generator=generator)
    return PairSource(frames, store, recipe.seed, LOOKED_AT, config)(recipe.steps)


def _start(run: Path, recipe: MatcherRecipe) -> Mapping[str, Tensor] | None:
    """The weights to begin with, where they are given and the run has none of its own yet."""
    if recipe.init is None or checkpoint.exists(run / "last"):
        return None
    earlier, config = load_matcher(Path(recipe.init)).network, CONFIGS[recipe.network]
    if replace(earlier.config, polish=config.polish) != config:
        raise UserError(
            f"{recipe.init} holds a {earlier.config.name!r} of other sizes than {config.name!r}",
            "give --network as that one was trained, or leave --init out",
        )
    return earlier.state_dict()


def _described(
    sharp: Sequence[Path], recipe: MatcherRecipe, frames: Sequence[Frame]
) -> dict[str, dict[str, Any]]:
    """What recipe.yaml says."""
    digest = hashlib.blake2b(digest_size=16)
    for frame in frames:
        digest.update(f"{frame.key} {frame.path.stat().st_size}\n".encode())
    return {
        "recipe": asdict(recipe),
        "data": {
            "folder": ", ".join(str(path.resolve()) for path in sharp),
            "folders": [str(path.resolve()) for path in sharp],
            "sharp_frames": len(frames),
            "fingerprint": digest.hexdigest(),
        },
        "files": hashes({"init": Path(recipe.init) if recipe.init else None}),
    }


def _odd(length: float) -> int:
    """Side of the smallest kernels that hold paths of this length."""
    return 2 * int(length // 2 + 1) + 1
