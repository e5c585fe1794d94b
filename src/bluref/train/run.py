"""A training run: its folder, and everything from a data folder to a trained network."""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.bank import Bank
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.backbones import Backbone, build_backbone
from bluref.train import checkpoint
from bluref.train.average import averaged_copy
from bluref.train.banks import bank_of, heed_motion
from bluref.train.batches import Batch, PseudoBatches, needs_motion, synthesises
from bluref.train.best import best_from
from bluref.train.checking.check import check_before
from bluref.train.covering import choose_by_coverage
from bluref.train.data import TrainingData, find_training_data
from bluref.train.deblurring import DeblurringFiles, deblurring_of
from bluref.train.fitting import fitted, refuse_to_draw
from bluref.train.given import Given, source_of
from bluref.train.held import hold_ready
from bluref.train.imported import weights_to_start_from
from bluref.train.loop import Source, Trainer
from bluref.train.metrics import MetricsFile
from bluref.train.moving import find_moving
from bluref.train.named_files import named_files
from bluref.train.observe import Observer, Snapshot
from bluref.train.pair_batches import paired
from bluref.train.processes import Processes, find_processes
from bluref.train.recipe import Recipe
from bluref.train.run_folder import locked, settle
from bluref.train.source import Curriculum
from bluref.train.validation import Held, HeldOutValidation, Look
from bluref.weights.device import require_compiler
from bluref.weights.precision import prefers_bf16

# Crops that a contact sheet follows through training, and the side of each in pixels.
FOLLOWED = 4
FOLLOWED_SIDE = 192
# Share of what synthetic pairs show below which they teach next to nothing.
LITTLE_REST = 0.1


@dataclass(frozen=True)
class TrainResult:
    """What a call of `train` did.

    Attributes:
        run: the run folder.
        steps: steps done so far.
        finished: whether that is all of them, or as many as made it better.
        seconds: duration of this call.
        best: what frames held back say of the network in `best`; None where there are none.
    """

    run: Path
    steps: int
    finished: bool
    seconds: float
    best: Look | None = None


def train(  # noqa: PLR0913 - what, where to and how are four of them
    data: Path,
    run: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    observer: Observer | None = None,
    device: str = "cpu",
    check: bool = False,
) -> TrainResult:
    """Train a deblurring network on footage, with no pairs.

    On true pairs if `recipe.supervised`, on those that another run made if `recipe.pairs`.

    Args:
        data: the data folder.
        run: the run folder; must be new or empty unless `resume`.
        recipe: every choice; on resume it must be the run's own.
        resume: go on from the run's last checkpoint, bit for bit as if never interrupted.
        observer: watches.
        device: where to compute, as torch names it, unless several processes were launched.
        check: look at the footage first, and write RUN/check.json; not again on resume.

    Raises:
        UserError: anything wrong with the data, the folder, the recipe or the disk; or the check
            found that training on this cannot work.
    """
    started = time.monotonic()
    processes = find_processes(device)
    observer = (observer if processes.rank == 0 else None) or Observer()
    store = FrameStore(run / "frames")
    # What cannot be had is told here, before frames are decoded for nothing.
    if recipe.compile:
        require_compiler(processes.device)
    bank, matches = _banks(run, recipe, store, processes)
    start = _start(run, recipe)
    with contextlib.ExitStack() as stack:
        with processes.first_goes_first():
            if processes.rank == 0:
                stack.enter_context(locked(run, resume=resume))
            if check and not resume and not recipe.pairs and processes.rank == 0:
                check_before(data, run, recipe, store, str(processes.device), observer)
            found = find_training_data(data, recipe, store, tell=observer.on_prepare)
            recipe = fitted(run, recipe, found, store, processes.device, observer)
            refuse_to_draw(recipe, found, store, processes.count)
            settle(run, _described(data, recipe, found), processes, observer)
            store.prepare(found.frames, tell=observer.on_prepare)
            checkpoint.repair(run / "last")
            checkpoint.repair(run / "best")
        if bank is not None and any(len(s.references) > recipe.refs for s in found.samples):
            found = choose_by_coverage(run, recipe, found, bank, observer, processes)
        given = _given(run, Given(recipe, found, store, bank, None, processes), matches, observer)
        # Several processes greet each other while a trainer is built.
        trainer = _build(run, given, start, observer)
        trainer.prepared = time.monotonic() - started
        observer.on_start(run, trainer.step, recipe.steps)
        finished = trainer.run()
        observer.on_end(run)
    seconds = time.monotonic() - started
    return TrainResult(run, trainer.step, finished, seconds, _seen_at_best(trainer))


def _banks(
    run: Path, recipe: Recipe, store: FrameStore, processes: Processes
) -> tuple[Bank | None, Bank | None]:
    """The bank of the run, still to be filled, none where there are pairs; and what tells motion.

    True pairs ask for no targets; what is blurred beside them moves all the same.
    """
    if recipe.pairs or (recipe.supervised and not recipe.anchor):
        return None, None
    bank = bank_of(run, recipe, store, device=processes.device)
    return None if recipe.supervised else bank, bank


def _start(run: Path, recipe: Recipe) -> Mapping[str, Tensor] | None:
    """The weights to begin with, where they are given and the run has none of its own yet."""
    if recipe.init is None or checkpoint.exists(run / "last"):
        return None
    return weights_to_start_from(recipe.init, recipe.backbone)


def _given(run: Path, given: Given, matches: Bank | None, observer: Observer) -> Given:
    """With how things move, and with the frames held back, where targets are made."""
    recipe, found, bank, processes = given.recipe, given.found, given.bank, given.processes
    moving = None
    if matches is not None and needs_motion(recipe, found):
        moving = find_moving(run, recipe, found, matches, observer, processes)
    held: list[Held] = []
    if bank is not None:
        heed_motion(bank, recipe, moving)
        with processes.first_goes_first():
            if processes.rank == 0:
                held = hold_ready(run, recipe, found, bank, moving, observer)
    given = replace(given, moving=moving, held=held)
    if synthesises(recipe, given.found):
        _tell_rest(given, observer)
    return given


def _tell_rest(given: Given, observer: Observer) -> None:
    """Say so where synthetic pairs have next to nothing to show."""
    rest = given.rest()
    if rest is not None and rest < LITTLE_REST:
        observer.on_message(
            f"of the sharper frames only {rest:.0%} stood still while the shutter was open, and"
            " serves as a truth to be blurred: the warm start and the anchor teach little (film"
            " more moments of rest, or raise --still)"
        )


def _build(
    run: Path, given: Given, start: Mapping[str, Tensor] | None, observer: Observer
) -> Trainer[Batch]:
    recipe, processes = given.recipe, given.processes
    torch.manual_seed(recipe.seed)
    model = build_backbone(recipe.backbone)
    resumed = checkpoint.exists(run / "last")
    if start is not None:
        model.load_state_dict(start)
    elif not resumed:
        _begin_by_doing_nothing(model)
    # The stubs of torch know no `to` with a memory format but for four-dimensional tensors.
    model.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = checkpoint.State(
        model=model,
        average=averaged_copy(model),
        optimizer=torch.optim.Adam(model.parameters(), lr=recipe.learning_rate),
    )
    source = source_of(given)
    files = DeblurringFiles(given.drawing.crop)
    meta: dict[str, Any] = {}
    if resumed:
        meta = checkpoint.load(run / "last", state, files=files)
    if recipe.compile:
        model.compile()
    step = int(meta.get("step", 0))
    use_bf16 = recipe.precision == "auto" and prefers_bf16(processes.device)
    return Trainer(
        recipe=recipe,
        state=state,
        source=source,
        task=deblurring_of(recipe, processes, use_bf16=use_bf16),
        files=files,
        folder=run,
        metrics=MetricsFile(run / "metrics.csv", upto=step, write=processes.rank == 0),
        observer=observer,
        snapshot=_snapshots(given, source, observer),
        processes=processes,
        step=step,
        validation=given.validation(run, step),
        best=best_from(meta),
    )


def _seen_at_best(trainer: Trainer[Batch]) -> Look | None:
    validation, step = trainer.validation, trainer.best.step
    if not isinstance(validation, HeldOutValidation) or step is None:
        return None
    look = validation.look_at(step)
    return look if look.rows else None  # the table may have been removed


def _begin_by_doing_nothing(model: Backbone) -> None:
    """Zero the last convolution: output = input at first, and no step is spent on learning that."""
    for parameter in model.ending.parameters():
        nn.init.zeros_(parameter)


def _snapshots(
    given: Given, source: Source[Batch], observer: Observer
) -> Callable[[int, nn.Module], None]:
    """A function that shows the observer the same few crops each time."""
    found, store = given.found, given.store
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
        boxes = [(s, middle(s)) for s in followed]
        if isinstance(source, Curriculum) and source.phase(step - 1) == "pseudo":
            target, trust = _shown(source.pseudo, boxes, blurry, step - 1)
        elif given.recipe.pairs:
            shown = [paired(store, sample, crop) for sample, crop in boxes]
            target, trust = (torch.cat(parts) for parts in zip(*shown, strict=True))
        deblur = Deblurrer(averaged_copy(average).cpu(), training_size=given.drawing.crop)
        observer.on_snapshot(Snapshot(step, blurry, target, trust, deblur(blurry)))

    return take


def _shown(
    pseudo: PseudoBatches, boxes: list[tuple[Sample, Crop]], blurry: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """Targets of boxes at a step, and how far they are trusted."""
    reblur = pseudo.moving.around(boxes) if pseudo.moving else None
    made = pseudo.targets(boxes, blurry, reblur, threshold=pseudo.threshold_at(step))
    return made.image, made.weight


def _described(data: Path, recipe: Recipe, found: TrainingData) -> dict[str, dict[str, Any]]:
    """What recipe.yaml says."""
    return {
        "recipe": asdict(recipe),
        "data": {
            "folder": str(data.resolve()),
            "blurry_frames": len(found.samples),
            "sharp_frames": len(found.sharp),
            "left_out": found.left_out,
            "held_out": len(found.held),
            "fingerprint": found.fingerprint,
        },
        "files": named_files(recipe),
    }
