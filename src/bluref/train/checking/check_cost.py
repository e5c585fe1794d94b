"""What a run will take of time and disk, from a few of its steps taken on this machine.

Everything that a run repeats is done once or a few times, with the run's own code: consecutive
blurry frames are matched, batches are made while steps are taken, the network deblurs a piece.
"""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.protocol import Match
from bluref.pseudo.bank import Bank, BlurryItself
from bluref.pseudo.coverage import SHRINK
from bluref.pseudo.exposure import FRAMES as FITTED
from bluref.pseudo.exposure import REFERENCES
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.restore.networks.backbones import build_backbone
from bluref.train.average import averaged_copy, move_average
from bluref.train.banks import bank_of, gate_of, heed_motion
from bluref.train.batches import (
    Batch,
    BatchAt,
    PseudoBatches,
    SupervisedBatches,
    SyntheticBatches,
    drawing_of,
    needs_motion,
    parts_of,
)
from bluref.train.data import TrainingData
from bluref.train.deblurring import deblurring_of
from bluref.train.motion_batches import MotionBatches
from bluref.train.moving import USUAL, Moving
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.weights.precision import prefers_bf16

MATCHED = 2
"""Blurry frames that are matched, or as many as there are cores, up to `MOST_MATCHED`."""
MOST_MATCHED = 8
STEPS, SECONDS = 4, 4.0
"""Steps that are timed, and seconds after which no further one is begun."""
PROBE, LONG = 64, 15.0
"""Side of a crop whose step tells whether a whole one would take longer than `LONG` seconds; then
that is reckoned from it."""
PIECE = 256
"""Side of what the network deblurs, px."""
SHEET_BYTES, FIXED_BYTES = 250_000, 500_000
"""Of a contact sheet, and of a run's small files together."""


@dataclass(frozen=True)
class Cost:
    """What was measured, and what it adds up to.

    Attributes:
        step: seconds of a step, its batch included.
        pair: seconds of finding one reference in one blurry frame.
        teacher: seconds of deblurring one blurry frame.
        entry: bytes of the bank for one reference of one frame.
        parameters: of the network.
        refining: seconds of refining one match.
    """

    step: float
    pair: float
    teacher: float
    entry: float
    parameters: int
    refining: float = 0.0

    def hours(self, recipe: Recipe, found: TrainingData) -> float:
        """Of the whole run, decoding left out."""
        blurry, pairs, candidates = _counts(recipe, found)
        rounds = rounds_of(recipe)
        # The first round knows no teacher where nothing was learnt before.
        by_itself = rounds > 0 and recipe.warm_start == 0 and recipe.init is None
        fitted = (
            min(FITTED, blurry) * min(recipe.refs, REFERENCES) if recipe.exposure is None else 0
        )
        seconds = recipe.steps * self.step
        if _follows(recipe, found):
            seconds += (2 * len(found.learnt) + fitted) * self.pair
        if not recipe.supervised:
            seconds += candidates * self.pair / SHRINK**2
            seconds += rounds * pairs * (self.pair + self.refining)
            seconds += (rounds - by_itself) * blurry * self.teacher
        return seconds / 3600

    def disk_bytes(self, recipe: Recipe, found: TrainingData, store: FrameStore) -> int:
        """That the run folder holds at most."""
        frames = sum(3 * math.prod(store.size(frame)) for frame in found.frames)
        # Network, average and the two means of Adam, beside those that they replace; the teacher.
        weights = 4 * self.parameters * (2 * 4 + 1)
        sheets = recipe.steps // recipe.snapshot_every * SHEET_BYTES
        _, pairs, _ = _counts(recipe, found)
        # A round is forgotten once the next one stands; of true pairs there are none.
        followed = 2 * len(found.learnt) if _follows(recipe, found) else 0
        matches = self.entry * (min(rounds_of(recipe), 2) * pairs + followed)
        return round(frames + weights + sheets + matches + FIXED_BYTES)


def rounds_of(recipe: Recipe) -> int:
    """How often targets are made."""
    if recipe.supervised:
        return 0
    return math.ceil(max(recipe.steps - recipe.warm_start, 0) / recipe.refresh_every)


def measure_cost(found: TrainingData, recipe: Recipe, store: FrameStore, device: str) -> Cost:
    """Time what a run repeats; takes seconds.

    Args:
        found: what will be trained on.
        recipe: of the run.
        store: where frames are read from; those that are measured on must be small enough for it.
        device: where the run will compute.

    Raises:
        UserError: a frame is smaller than the crop, or cannot be read.
    """
    count = min(max(MATCHED, os.cpu_count() or 1), MOST_MATCHED)
    with TemporaryDirectory() as folder:
        usable = [s for s in found.samples if s.truth is not None or not recipe.supervised]
        middle = max(len(usable) // 2 - count // 2, 0)
        samples = [_narrowed(s, recipe) for s in usable[middle : middle + count]]
        shown = [f for s in samples for f in (s.blurry, s.truth, *s.references)]
        store.prepare([frame for frame in shown if frame is not None])
        follows, pair, entry, refining = _follows(recipe, found), 0.0, 0.0, 0.0
        if follows or not recipe.supervised:
            bank = bank_of(Path(folder), recipe, store, device=device)
            pair, entry = _time_matching(bank, samples)
            moving = _moving(samples, found, bank) if follows else None
            if not recipe.supervised:
                refining = _time_refining(bank, samples[0], recipe, moving)
            source = _source(samples, moving, bank, recipe, found)
        else:
            source = SupervisedBatches(samples, store, drawing_of(recipe))
        model = build_backbone(recipe.backbone)
        step = _time_steps(model, source, recipe, device)
        teacher = _time_teacher(model, store.size(samples[0].blurry), device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(step, pair, teacher, entry, parameters, refining)


def _follows(recipe: Recipe, found: TrainingData) -> bool:
    """Whether a run asks for motion, and there is some."""
    return found.moves and needs_motion(recipe, found)


def _narrowed(sample: Sample, recipe: Recipe) -> Sample:
    return replace(sample, references=sample.references[: recipe.refs])


def _counts(recipe: Recipe, found: TrainingData) -> tuple[int, int, int]:
    """Blurry frames, pairs of one with a reference, and pairs that are chosen among."""
    many = [len(sample.references) for sample in found.samples]
    pairs = sum(min(n, recipe.refs) for n in many)
    return len(many), pairs, sum(n for n in many if n > recipe.refs)


def _time_matching(bank: Bank, samples: list[Sample]) -> tuple[float, float]:
    """Seconds and bytes of one reference in one blurry frame."""
    started = time.monotonic()
    bank.refresh(0, samples, BlurryItself())
    seconds = time.monotonic() - started
    pairs = sum(len(sample.references) for sample in samples)
    size = sum(path.stat().st_size for path in bank.folder.rglob("*.safetensors"))
    return seconds / pairs, size / pairs


def _time_refining(bank: Bank, sample: Sample, recipe: Recipe, moving: Moving | None) -> float:
    """Seconds of moving one match of a frame whose motion is known."""
    refining = bank.beside(bank.folder.parent / "refined")
    heed_motion(refining, recipe, moving)
    if refining.refine is None:
        return 0.0
    blurry, *references = map(bank.store.image, (sample.blurry, *sample.references))
    flow = torch.zeros(1, 2, *blurry.shape[-2:])
    sure = torch.ones_like(flow[:, :1])
    still = [Match(flow, sure, sure > 0) for _ in references]
    started = time.monotonic()
    refining.refine(sample.blurry, blurry, references, still)
    return (time.monotonic() - started) / len(references)


def _source(
    samples: list[Sample], moving: Moving | None, bank: Bank, recipe: Recipe, found: TrainingData
) -> BatchAt:
    """Batches of a later round, or of true pairs, as a run makes them."""
    own, synthetic = parts_of(recipe, found)
    footage: BatchAt = (
        SupervisedBatches(samples, bank.store, own)
        if recipe.supervised
        else PseudoBatches(
            samples, bank.store, own, bank, round=0, moving=moving, gate=gate_of(recipe)
        )
    )
    if not synthetic.batch:
        return footage
    if moving is None or recipe.blur == "kernels":
        sharp = [frame for sample in samples for frame in sample.references]
        kernels = SyntheticBatches(sharp, bank.store, synthetic)
        return lambda step: footage(step).anchored(kernels(step))
    motion = moving.motion
    frames = [sample.blurry for sample in motion.samples]
    anchor = MotionBatches(
        frames,
        motion.samples,
        motion,
        moving.exposure,
        bank.store,
        synthetic,
        # Boxes that stood still are looked for here too, in a frame that stands for the others.
        picked=frozenset(frames) if found.picked and recipe.still else frozenset(),
        still=recipe.still,
    )
    return lambda step: footage(step).anchored(anchor(step))


def _moving(samples: list[Sample], found: TrainingData, bank: Bank) -> Moving | None:
    """The motion of the first of the samples."""
    near = with_neighbours([samples[0].blurry], [*found.learnt, *found.beside])
    if not near:
        return None
    bank.store.prepare([frame for sample in near for frame in sample.references])
    plain = strategy_named("average")
    matches = bank.beside(bank.folder.parent / "motion", strategy=plain, threshold=0.0, even=False)
    motion = FootageMotion(near, matches)
    motion.find()
    return Moving(motion, USUAL)


def _time_steps(model: nn.Module, source: BatchAt, recipe: Recipe, device: str) -> float:
    """Seconds of a step, the next batch being made meanwhile, as the loop does it."""
    step = _stepper(model, recipe, device)
    tiny = torch.zeros(1, 3, PROBE, PROBE)
    step(Batch(tiny, tiny, torch.ones_like(tiny[:, :1])))
    started = time.monotonic()
    step(Batch(tiny, tiny, torch.ones_like(tiny[:, :1])))
    drawing = drawing_of(recipe)
    reckoned = (time.monotonic() - started) * drawing.batch * (drawing.crop / PROBE) ** 2
    if reckoned > LONG:
        return reckoned
    seconds: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(source, 0)
        began = time.monotonic()
        for number in range(STEPS + 1):
            started = time.monotonic()
            batch = ahead.result()
            ahead = pool.submit(source, number + 1)
            step(batch)
            seconds.append(time.monotonic() - started)
            if number and time.monotonic() - began > SECONDS:
                break
    later = seconds[1:]  # the first one waits for its batch
    return sum(later) / len(later)


def _stepper(model: nn.Module, recipe: Recipe, device: str) -> Callable[[Batch], None]:
    processes = Alone(device)
    model.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = averaged_copy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.final_rate)
    use_bf16 = recipe.precision == "auto" and prefers_bf16(processes.device)
    task = deblurring_of(recipe, processes, use_bf16=use_bf16)

    def step(batch: Batch) -> None:
        loss, _ = task.loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_norm)
        optimizer.step()
        move_average(average, model, step=0, decay=recipe.ema)
        loss.item()

    return step


@torch.no_grad()
def _time_teacher(model: nn.Module, size: tuple[int, int], device: str) -> float:
    """Seconds of deblurring a frame, reckoned from a piece of it."""
    height, width = (min(side, PIECE) for side in size)
    place = torch.device(device)
    piece = torch.zeros(1, 3, height, width, device=place)
    piece = piece.contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.autocast(place.type, dtype=torch.bfloat16, enabled=prefers_bf16(place)):
        for _ in range(2):
            started = time.monotonic()
            model(piece).sum().item()
            seconds.append(time.monotonic() - started)
    return min(seconds) * math.prod(size) / (height * width)
