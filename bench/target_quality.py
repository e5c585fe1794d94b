"""How good are pseudo-sharp targets before any training?

For a paired data set, every strategy is given references matched (a) on the blurry frame and (b) on
the sharp truth, and its target is compared with the truth inside its own mask.

    python bench/target_quality.py DATA --delta 1 5 10 --every 4 --matcher dis compact
    python bench/target_quality.py DATA --no-truth --gate 0.04 --exposure 1.4 --thresholds 0.7 0.5

"Gain" is what the loss sees: dB of the trust-weighted error of the target over that of the input.
"Removed" is the share of the input's squared error that is gone where the target takes its place,
by trust. "Lean" is the share of the input's error that lives on in the target's, by regression:
what a network learns to leave in, while the rest of the error averages out. With `--gate` each
target is also judged by what it looks like when blurred again, the frame kept where it is hardly
blurred, and matches refined; with `--sharper` also believed only where references are the sharper
ones. `--split sharpness` takes the sharper of the blurry frames for references. With
`--network RUN` references are also matched on what that network makes of the frame, and, if there
is a gate, its output is written with them, as `bluref mend --with-references` does it.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import ReferenceRule, Sample, choose_references
from bluref.frames.sharpness import image_sharpness
from bluref.frames.split import split_clips
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.match.protocol import Matcher
from bluref.pseudo.bank import Bank, Encoded
from bluref.pseudo.blend import blended
from bluref.pseudo.compact import compact
from bluref.pseudo.gate import Gate
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.refine import refined
from bluref.pseudo.sharper import Sharper
from bluref.pseudo.strategy import STRATEGIES, strategy_named
from bluref.pseudo.target import PseudoSharp
from bluref.pseudo.targets import target_in_box, whole_frame
from bluref.restore.deblurrer import Deblurrer


def psnr_db(squared_error: float) -> float:
    return -10 * torch.tensor(squared_error).log10().item()


class Tally:
    """Per row: mean over frames of the PSNR inside the mask, of the input there, and coverage."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)

    def add(self, row: tuple[str, str], target: PseudoSharp, blurry, truth) -> None:
        mask = target.mask
        if not mask.any():
            return
        chosen = mask.expand_as(truth)
        errors = [((image - truth)[chosen] ** 2).mean().item() for image in (target.image, blurry)]
        weighted = [
            (target.weight * (image - truth) ** 2).mean().item() for image in (target.image, blurry)
        ]
        gain = psnr_db(weighted[0]) - psnr_db(weighted[1])
        coverage = mask.float().mean().item()
        removed = (weighted[1] - weighted[0]) / (blurry - truth).square().mean().item()
        wrong, blur = target.image - truth, blurry - truth
        lean = (target.weight * wrong * blur).sum() / (target.weight * blur.square()).sum()
        self.rows[row].append(
            (psnr_db(errors[0]), psnr_db(errors[1]), coverage, gain, removed, lean.item())
        )

    def print(self, delta: int) -> None:
        for (shown, method), values in self.rows.items():
            target, identity, coverage, gain, removed, lean = (
                torch.tensor(values).mean(dim=0).tolist()
            )
            cells = [delta, shown, method, f"{target:.2f}", f"{identity:.2f}", f"{coverage:.3f}"]
            cells += [f"{gain:+.2f}", f"{removed:.3f}", f"{lean:.3f}"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)


def whole(image: torch.Tensor) -> PseudoSharp:
    ones = torch.ones_like(image[:, :1])
    return PseudoSharp(image, ones, ones)


def motion_around(frame: Frame, among: Sequence[Frame], store: FrameStore, matcher: Matcher):
    """What the matcher finds between a frame and its neighbours, as training keeps it."""
    strategy = strategy_named("average")
    bank = Bank(
        store.folder / "motion", matcher=matcher, strategy=strategy, threshold=0.0, store=store
    )
    motion = FootageMotion(with_neighbours([frame], among), bank)
    motion.find()
    return motion.around(motion.samples[0], whole_frame(store.size(frame)))


def measure(options, sample: Sample, motion, store, matcher: Matcher, tally: Tally) -> None:
    blurry, truth = store.image(sample.blurry), store.image(sample.truth)
    references = [Encoded(i, matcher.encode(i)) for i in map(store.image, sample.references)]
    tally.add(("-", "identity"), whole(blurry), blurry, truth)
    best = min(references, key=lambda r: (r.image - truth).square().mean().item())
    tally.add(("-", "copy of the best neighbour"), whole(best.image), blurry, truth)
    seen_as = {"blurry": blurry}
    if options.network:
        seen_as["network"] = options.network(blurry)
        tally.add(("-", "network alone"), whole(seen_as["network"]), blurry, truth)
    if options.truth:
        seen_as["truth"] = truth
    for shown, seen in seen_as.items():
        matched = {}  # three of the strategies match alike
        for strategy in (STRATEGIES[name] for name in options.strategy):
            for threshold in options.thresholds or [strategy.threshold_for(matcher)]:
                if strategy.match not in matched:
                    matched[strategy.match] = strategy.match(matcher, seen, references, threshold)
                found = matched[strategy.match]
                fused = partial(
                    target_in_box,
                    references=sample.references,
                    crop=whole_frame(store.size(sample.blurry)),
                    store=store,
                    strategy=strategy,
                    threshold=threshold,
                )
                name = f"{strategy.name}, {threshold:g}"
                target = fused(compact(found))
                tally.add((shown, name), target, blurry, truth)
                images = [r.image for r in references]
                pair = {
                    told: fused(compact(moved))
                    for told, moved in moves(options, found, blurry, images, motion, threshold)
                }
                judge(options, (shown, name), pair, (blurry, seen, truth), motion, tally)


def moves(options, found, blurry, images, motion, threshold: float):
    """What a gate is to judge, if there is one: matches as found, refined, and of the sharper."""
    if motion is None:
        return
    yield "gate", found
    moved = refined(found, blurry, images, *motion, options.exposure)
    yield "gate, refined", moved
    if options.sharper:
        warped = torch.cat([m.warp(image) for m, image in zip(moved, images, strict=True)])
        yield "gate, refined, sharper", Sharper()(moved, warped, blurry, threshold=threshold)


def judge(options, row: tuple[str, str], targets, images, motion, tally: Tally) -> None:
    """Rows of targets that the gate has judged, and of what is written with them."""
    shown, name = row
    blurry, seen, truth = images
    for judged_by, target in targets.items():
        for keep in (False, True):
            judged = Gate(options.gate, keep)(target, blurry, *motion, options.exposure)
            kept = ", keep" if keep else ""
            tally.add((shown, f"{name}, {judged_by}{kept}"), judged, blurry, truth)
            if shown == "network" and not keep:
                blur, sure = motion[0].blur(options.exposure), motion[1]
                written = blended(seen, judged, blur, sure).clamp(0, 1)
                tally.add((shown, f"{judged_by}, written"), whole(written), blurry, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--delta", type=int, nargs="+", default=[1, 5, 10])
    parser.add_argument("--refs", type=int, default=6)
    parser.add_argument("--every", type=int, default=4, help="take every n-th blurry frame")
    parser.add_argument("--matcher", nargs="+", default=["dis"])
    parser.add_argument("--strategy", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--thresholds", type=float, nargs="+", default=[])
    parser.add_argument("--gate", type=float, help="difference that halves the trust")
    parser.add_argument("--exposure", type=float, help="of the gate, in frame intervals")
    parser.add_argument("--network", type=Deblurrer.from_pretrained, help="a run, or a model")
    parser.add_argument("--sharper", action="store_true", help="with --gate: rows of these too")
    parser.add_argument("--split", default="alternating", help="or sharpness, or halves")
    parser.add_argument("--no-truth", dest="truth", action="store_false")
    options = parser.parse_args()
    if options.gate and not options.exposure:
        parser.error("--gate needs --exposure; `bluref train` says what it finds")
    columns = ("delta", "matcher sees", "method", "target dB", "input dB in its mask")
    print("|", " | ".join((*columns, "coverage", "gain", "removed", "lean")), "|")
    print("|---" * 9 + "|")
    with tempfile.TemporaryDirectory() as folder:
        store = FrameStore(Path(folder))
        footage = split_clips(
            find_clips(options.data), options.split, lambda f: image_sharpness(store.image(f))
        )
        frames = [*footage.blurry, *footage.sharp, *footage.others]
        for delta in options.delta:
            rule = ReferenceRule(delta=delta, refs=options.refs)
            samples = choose_references(footage, rule)[:: options.every]
            for name in options.matcher:
                print(f"matcher {name}")
                tally, matcher = Tally(), matcher_named(name)
                for sample in samples:
                    motion = None
                    if options.gate:
                        motion = motion_around(sample.blurry, frames, store, matcher)
                    measure(options, sample, motion, store, matcher, tally)
                tally.print(delta)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
