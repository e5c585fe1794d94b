"""What a training step costs: BluRef against supervised, layouts and precisions, peak memory.

    python bench/step_cost.py DATA --backbone small --crop 128 --batch 8
    python bench/step_cost.py DATA --backbone small --crop 256 --batch 8 --memory

All variants are interleaved in one process and medians are quoted: the machine's speed drifts.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch

from bluref.frames.store import FrameStore
from bluref.pseudo.bank import BlurryItself
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.backbones import build_backbone
from bluref.train import checkpoint
from bluref.train.average import averaged_copy
from bluref.train.banks import bank_of, heed_motion
from bluref.train.batches import Drawing, SupervisedBatches
from bluref.train.data import find_training_data
from bluref.train.deblurring import Deblurring, DeblurringFiles
from bluref.train.given import Given, source_of
from bluref.train.loop import Trainer
from bluref.train.moving import find_moving
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.weights.precision import prefers_bf16


class Clock:
    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    def time(self, name, work):
        started = time.perf_counter()
        result = work()
        self.times[name].append(time.perf_counter() - started)
        return result

    def median(self, name) -> float:
        return statistics.median(self.times[name])


def trainer(recipe: Recipe, *, channels_last: bool, bf16: bool) -> Trainer:
    model = build_backbone(recipe.backbone)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    state = checkpoint.State(model, averaged_copy(model), torch.optim.Adam(model.parameters()))
    return Trainer(
        recipe=recipe,
        state=state,
        source=None,
        task=Deblurring(recipe.loss, recipe.min_coverage, bf16),
        files=DeblurringFiles(recipe.crop),
        folder=Path(),
        metrics=None,
        observer=Observer(),
        snapshot=lambda *_: None,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--matched", type=int, default=12, help="frames to time the refresh on")
    parser.add_argument("--memory", action="store_true", help="only train, then print peak memory")
    options = parser.parse_args()
    recipe = Recipe(backbone=options.backbone, crop=options.crop, batch=options.batch, warm_start=0)
    recipe = replace(recipe, exposure=1.0)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, recipe, Path(folder))
    if options.memory:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory of the process: {peak:.2f} GB")


def measure(options, recipe: Recipe, folder: Path) -> None:
    store = FrameStore(folder / "frames")
    found = find_training_data(options.data, recipe, store)
    spread = max(len(found.samples) // options.matched, 1)
    found = replace(found, samples=found.samples[::spread][: options.matched])
    found = replace(found, sharp=found.sharp[:: max(len(found.sharp) // 12, 1)])
    store.prepare(found.frames)
    bank, alone = bank_of(folder, recipe, store), Alone()
    moving = find_moving(folder, recipe, found, bank, Observer(), alone)
    heed_motion(bank, recipe, moving)  # as training does: matches are refined
    source = source_of(Given(recipe, found, store, bank, moving, alone))
    supervised = SupervisedBatches(found.samples, store, Drawing(0, recipe.batch, recipe.crop))
    clock = Clock()
    teacher = Deblurrer(build_backbone(recipe.backbone), training_size=recipe.crop)
    for sample in found.samples[:3]:
        clock.time("teacher", lambda s=sample: teacher(store.image(s.blurry)))
    clock.time("refresh", lambda: source.bank.refresh(0, found.samples, BlurryItself()))
    fast = trainer(recipe, channels_last=True, bf16=prefers_bf16())
    variants = {
        "channels_last + bf16": fast,
        "channels_last, fp32": trainer(recipe, channels_last=True, bf16=False),
        "plain layout, fp32": trainer(recipe, channels_last=False, bf16=False),
    }
    for step in range(options.repeats):
        batch = clock.time("supervised batch", lambda s=step: supervised(s))
        clock.time("pseudo batch", lambda s=step: source(s))
        for name, variant in variants.items():
            if not options.memory or variant is fast:
                clock.time(name, lambda v=variant, b=batch: v.update(b))
    report(options, recipe, clock, len(found.samples))


def report(options, recipe: Recipe, clock: Clock, matched: int) -> None:
    for name in clock.times:
        print(f"{name:24} {clock.median(name) * 1e3:9.1f} ms")
    per_frame = clock.median("refresh") / matched + clock.median("teacher")
    print(f"refresh per frame, with the teacher: {per_frame * 1e3:.0f} ms")
    if options.memory:
        return
    update = clock.median("channels_last + bf16")
    step = clock.median("supervised batch") + update
    pseudo = clock.median("pseudo batch") + update
    print(f"BluRef over supervised, without refresh: {pseudo / step:.3f}")
    for frames in (313, 1050):
        for every in (1500, 5000, 20000):
            total = pseudo + per_frame * frames / every
            print(f"  with {frames} frames refreshed every {every} steps: {total / step:.3f}")
    slow = clock.median("plain layout, fp32")
    print(f"plain fp32 over channels_last + bf16: {slow / update:.2f}")


if __name__ == "__main__":
    main()
