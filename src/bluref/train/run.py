"""A training run: its folder, and everything from a data folder to a trained network."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from torch import nn

import bluref
from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.media.whole import write_text_whole
from bluref.pseudo.bank import Bank
from bluref.pseudo.strategy import strategy_named
from bluref.restore.backbones import build_backbone
from bluref.restore.deblurrer import Deblurrer, prefers_bf16
from bluref.restore.nafnet import NAFNet
from bluref.train import checkpoint
from bluref.train.average import averaged_copy
from bluref.train.batches import Drawing, PseudoBatches, SupervisedBatches, SyntheticBatches
from bluref.train.data import TrainingData, find_training_data
from bluref.train.loop import Trainer
from bluref.train.metrics import MetricsFile
from bluref.train.observe import Observer, Snapshot
from bluref.train.recipe import Recipe, differences, read_run
from bluref.train.source import Curriculum, Source, Supervised

# Crops that a contact sheet follows through training, and the side of each in pixels.
FOLLOWED = 4
FOLLOWED_SIDE = 192


@dataclass(frozen=True)
class TrainResult:
    """What a call of `train` did.

    Attributes:
        run: the run folder.
        steps: steps done so far.
        finished: whether that is all of them.
        seconds: duration of this call.
    """

    run: Path
    steps: int
    finished: bool
    seconds: float


def train(
    data: Path, run: Path, recipe: Recipe, *, resume: bool = False, observer: Observer | None = None
) -> TrainResult:
    """Train a deblurring network on footage, with no pairs (or on pairs, if `recipe.supervised`).

    Args:
        data: the data folder.
        run: the run folder; must be new or empty unless `resume`.
        recipe: every choice; on resume it must be the run's own.
        resume: go on from the run's last checkpoint, bit for bit as if never interrupted.
        observer: watches.

    Raises:
        UserError: anything wrong with the data, the folder, the recipe or the disk.
    """
    started = time.monotonic()
    observer = observer or Observer()
    with _locked(run, resume=resume):
        store = FrameStore(run / "frames")
        found = find_training_data(data, recipe, store, tell=observer.on_prepare)
        _settle_recipe(run, data, recipe, found, observer)
        store.prepare(found.frames, tell=observer.on_prepare)
        trainer = _build(run, recipe, found, store, observer)
        observer.on_start(run, trainer.step, recipe.steps)
        finished = trainer.run()
        observer.on_end(run)
    return TrainResult(run, trainer.step, finished, time.monotonic() - started)


def _build(
    run: Path, recipe: Recipe, found: TrainingData, store: FrameStore, observer: Observer
) -> Trainer:
    torch.manual_seed(recipe.seed)
    model = build_backbone(recipe.backbone)
    _begin_by_doing_nothing(model)
    # The stubs of torch know no `to` with nothing but a memory format.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = checkpoint.State(
        model=model,
        average=averaged_copy(model),
        optimizer=torch.optim.Adam(model.parameters(), lr=recipe.learning_rate),
    )
    source = _source(run, recipe, found, store)
    step = 0
    if checkpoint.exists(run / "last"):
        step = checkpoint.load(run / "last", state)["step"]
    return Trainer(
        recipe=recipe,
        state=state,
        source=source,
        folder=run,
        metrics=MetricsFile(run / "metrics.csv", upto=step),
        observer=observer,
        use_bf16=recipe.precision == "auto" and prefers_bf16(),
        snapshot=_snapshots(recipe, found, store, source, observer),
        step=step,
    )


def _begin_by_doing_nothing(model: NAFNet) -> None:
    """Zero the last convolution: output = input at first, and no step is spent on learning that."""
    for parameter in model.ending.parameters():
        nn.init.zeros_(parameter)


def _source(run: Path, recipe: Recipe, found: TrainingData, store: FrameStore) -> Source:
    drawing = Drawing(recipe.seed, recipe.batch, recipe.crop)
    if recipe.supervised:
        with_truth = [sample for sample in found.samples if sample.truth is not None]
        if not with_truth:
            raise UserError(
                "no blurry frame has a true sharp version to learn from",
                "omit --supervised, or use a paired data set",
            )
        return Supervised(SupervisedBatches(with_truth, store, drawing))
    strategy = strategy_named(recipe.strategy)
    bank = Bank(
        run / "bank",
        matcher=matcher_named(recipe.matcher),
        strategy=strategy,
        threshold=strategy.threshold if recipe.threshold is None else recipe.threshold,
        store=store,
    )
    return Curriculum(
        warm=SyntheticBatches(found.sharp, store, drawing),
        pseudo=PseudoBatches(found.samples, store, drawing, bank, round=0),
        warm_start=min(recipe.warm_start, recipe.steps),
        refresh_every=recipe.refresh_every,
        training_size=recipe.crop,
    )


def _snapshots(
    recipe: Recipe, found: TrainingData, store: FrameStore, source: Source, observer: Observer
) -> Callable[[int, nn.Module], None]:
    """A function that shows the observer the same few crops each time."""
    spread = max(len(found.samples) // FOLLOWED, 1)
    followed = list(found.samples)[spread // 2 :: spread][:FOLLOWED]
    smallest = min(min(store.size(sample.blurry)) for sample in followed)
    side = min(FOLLOWED_SIDE, smallest)

    def middle(sample: Sample) -> Crop:
        height, width = store.size(sample.blurry)
        return Crop((height - side) // 2, (width - side) // 2, side, side)

    def take(step: int, average: nn.Module) -> None:
        blurry = torch.cat([store.cut(s.blurry, middle(s)) for s in followed])
        target, trust = torch.zeros_like(blurry), torch.zeros_like(blurry[:, :1])
        if isinstance(source, Curriculum) and source.phase(step - 1) == "pseudo":
            made = [source.bank.target(source.pseudo.round, s, middle(s)) for s in followed]
            target = torch.cat([m.image for m in made])
            trust = torch.cat([m.weight for m in made])
        deblur = Deblurrer(average, training_size=recipe.crop)
        observer.on_snapshot(Snapshot(step, blurry, target, trust, deblur(blurry)))

    return take


def _settle_recipe(
    run: Path, data: Path, recipe: Recipe, found: TrainingData, observer: Observer
) -> None:
    """Write recipe.yaml, or refuse to go on with another recipe or other footage."""
    path = run / "recipe.yaml"
    versions = {"bluref": bluref.__version__, "torch": str(torch.__version__)}
    versions["python"] = platform.python_version()
    now = {
        "recipe": asdict(recipe),
        "data": {
            "folder": str(data.resolve()),
            "blurry_frames": len(found.samples),
            "sharp_frames": len(found.sharp),
            "left_out": found.left_out,
            "fingerprint": found.fingerprint,
        },
        "versions": versions,
    }
    if not path.exists():
        write_text_whole(path, yaml.safe_dump(now, sort_keys=False))
        return
    before = read_run(run)
    changed = differences(before["recipe"], now["recipe"])
    if changed:
        raise UserError(
            f"{run} was started with other settings ({'; '.join(changed)})",
            "resume with the run's own settings, or start a new run in another folder",
        )
    if before["data"]["fingerprint"] != found.fingerprint:
        raise UserError(
            f"the footage in {data} is not what {run} was started with",
            "bring the frames back, or start a new run in another folder",
        )
    for line in differences(before["versions"], versions):
        observer.on_message(f"version changed since the run began, weights may differ: {line}")


@contextlib.contextmanager
def _locked(run: Path, *, resume: bool) -> Iterator[None]:
    """Hold the run folder for this process alone; the lock dies with the process.

    Raises:
        UserError: the folder is not empty and not to be resumed, another process trains in it, or
            it cannot be written.
    """
    if resume and not (run / "recipe.yaml").is_file():
        raise UserError(f"{run} holds no run", "start it without --resume, or name another folder")
    if not resume and not _is_free(run):
        raise UserError(
            f"{run} is not an empty folder; runs are never overwritten",
            "name another folder, or go on with the run in it by --resume",
        )
    try:
        run.mkdir(parents=True, exist_ok=True)
        handle = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"cannot write to {run}: {error.strerror}", "choose another folder"
        ) from None
    try:
        _lock(handle, run)
        yield
    finally:
        os.close(handle)


def _is_free(run: Path) -> bool:
    """Whether nothing is there, or only what a run leaves that died before its recipe was known."""
    if not run.exists():
        return True
    return run.is_dir() and {p.name for p in run.iterdir()} <= {".lock", "frames"}


def _lock(handle: int, run: Path) -> None:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(
            f"another process is training in {run}", "wait for it, or name another folder"
        ) from None
