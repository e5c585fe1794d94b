"""The frames, network and targets of a run that is over, opened again for its page.

Nothing in the run changes. Matches that the bank still holds are used after their seal is checked;
those of frames that training never saw are made in a folder that is gone afterwards.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.motion import Motion
from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import ReferenceRule, Sample, choose_references
from bluref.frames.sharpness import image_sharpness
from bluref.frames.split import Footage, split_clips
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.measure.shift import mean_shift
from bluref.pseudo.bank import Bank, BlurryItself, Teacher
from bluref.pseudo.coverage import most_covering
from bluref.pseudo.gate import THRESHOLD, gated
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.pseudo.target import PseudoSharp
from bluref.restore.deblurrer import Deblurrer
from bluref.train.moving import FIT, USUAL
from bluref.train.recipe import Recipe

# Pixels around a box that the network sees too, so that its edge is not that of a picture.
CONTEXT = 48
# Cap of an agreement in dB: of pictures that are equal.
EQUAL = 99.0


@dataclass(frozen=True)
class Look:
    """A box of a blurry frame, and what became of it.

    Attributes:
        crop: the box.
        blurry: what it shows.
        output: what the network makes of it.
        target: the pseudo-sharp target; the blurry frame where it is silent.
        trust: in the target, 0 where it is silent.
        truth: the true sharp frame, where the footage has it.
    """

    crop: Crop
    blurry: Float[Tensor, "1 3 h w"]
    output: Float[Tensor, "1 3 h w"]
    target: Float[Tensor, "1 3 h w"]
    trust: Float[Tensor, "1 1 h w"]
    truth: Float[Tensor, "1 3 h w"] | None

    @property
    def coverage(self) -> float:
        """Share of the box for which references speak."""
        return (self.trust > 0).float().mean().item()

    @property
    def apart(self) -> tuple[float, float]:
        """Pixels by which input and output lie beside the target, where that speaks."""
        seen = torch.where(self.trust > 0, self.output, self.target)
        both = mean_shift(torch.cat((self.blurry, seen)), torch.cat((self.target, self.target)))
        before, after = both.norm(dim=1).tolist()
        return before, after


class RunFootage:
    """What a run learnt from, and what it became.

    Args:
        run: the run folder.
        recipe: of the run.
        data: its data folder.
        scratch: an empty folder for what is computed anew.

    Raises:
        UserError: frames or network are not there any more, or cannot be read.
    """

    def __init__(self, run: Path, recipe: Recipe, data: Path, scratch: Path) -> None:
        self.run, self.recipe, self.scratch = run, recipe, scratch
        self.store = FrameStore(run / "frames")
        self.deblur = Deblurrer.from_pretrained(run)
        clips = find_clips(data, part="train", layout=recipe.layout)
        self.footage: Footage = split_clips(
            clips, recipe.split, lambda frame: image_sharpness(self.store.image(frame))
        )
        rule = ReferenceRule(recipe.choice, recipe.delta, recipe.refs, recipe.seed)
        samples = choose_references(self.footage, rule)
        self.samples = {(s.blurry.clip, s.blurry.index): s for s in samples}

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Decode what will be asked for, each video once from its start."""
        frames = [f for s in samples for f in (s.blurry, *s.references, s.truth) if f is not None]
        self.store.prepare(frames)

    def look(self, sample: Sample, crop: Crop) -> Look:
        """A box of a frame: what it shows, what the network and the references make of it."""
        blurry = self.store.cut(sample.blurry, crop)
        truth = None if sample.truth is None else self.store.cut(sample.truth, crop)
        target, trust = blurry, torch.zeros_like(blurry[:, :1])
        if not self.recipe.supervised:
            made = self._target(sample, crop, blurry)
            target, trust = torch.where(made.mask, made.image, blurry), made.weight
        elif truth is not None:
            target, trust = truth, torch.ones_like(trust)
        return Look(crop, blurry, self._output(sample, crop), target, trust, truth)

    def _output(self, sample: Sample, crop: Crop) -> Float[Tensor, "1 3 h w"]:
        height, width = self.store.size(sample.blurry)
        top, left = max(crop.top - CONTEXT, 0), max(crop.left - CONTEXT, 0)
        bottom = min(crop.top + crop.height + CONTEXT, height)
        right = min(crop.left + crop.width + CONTEXT, width)
        seen = self.store.cut(sample.blurry, Crop(top, left, bottom - top, right - left))
        y, x = crop.top - top, crop.left - left
        return self.deblur(seen)[..., y : y + crop.height, x : x + crop.width].clamp(0, 1)

    def _target(self, sample: Sample, crop: Crop, blurry: Float[Tensor, "1 3 h w"]) -> PseudoSharp:
        if len(sample.references) > self.recipe.refs:
            matcher, refs = self._bank.matcher, self.recipe.refs
            sample = most_covering([sample], refs, matcher=matcher, store=self.store)[0]
        made = self._matched(sample).target(self._round, sample, crop)
        around = self._around(sample, crop)
        if around is None:
            return made
        return gated(made, blurry, *around, self._exposure, half=self.recipe.gate)

    def _matched(self, sample: Sample) -> Bank:
        """The bank, once it holds the sample: as training matched it, if it did."""
        name = f"round-{self._round:04d}"
        entry = sample.blurry.key.replace("/", "__") + ".safetensors"
        kept, copy = self.run / "bank" / name / entry, self._bank.folder / name / entry
        if kept.is_file() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, copy)
        self._bank.refresh(self._round, [sample], self._teacher)
        return self._bank

    def _around(self, sample: Sample, crop: Crop) -> tuple[Motion, Float[Tensor, "1 1 h w"]] | None:
        """The motion by which the target is judged; None where training knew of none."""
        moving = self._motion.sample(sample.blurry) if self.recipe.gate else None
        if moving is None:
            return None
        with suppress(UserError):  # never matched, as for frames that were held out
            return self._motion.around(moving, crop)
        return None

    @cached_property
    def _bank(self) -> Bank:
        recipe = self.recipe
        strategy, matcher = strategy_named(recipe.strategy), matcher_named(recipe.matcher)
        threshold = strategy.threshold_for(matcher)
        if recipe.threshold is not None:
            threshold = recipe.threshold
        elif recipe.gate and self._motion.samples:
            threshold = min(threshold, THRESHOLD)
        return Bank(
            self.scratch / "bank",
            matcher=matcher,
            strategy=strategy,
            threshold=threshold,
            store=self.store,
            even=recipe.even,
        )

    @cached_property
    def _motion(self) -> FootageMotion:
        frames = [*self.footage.sharp, *(s.blurry for s in self.samples.values())]
        bank = Bank(
            self.run / "motion",
            matcher=matcher_named(self.recipe.matcher),
            strategy=strategy_named("average"),
            threshold=0.0,
            store=self.store,
        )
        return FootageMotion(with_neighbours(frames, frames), bank)

    @cached_property
    def _exposure(self) -> float:
        if self.recipe.exposure is not None:
            return self.recipe.exposure
        with suppress(OSError, ValueError, TypeError, KeyError):
            told = json.loads((self.run / FIT).read_text("utf-8"))
            return float(told["exposure"] or USUAL)
        return USUAL

    @cached_property
    def _round(self) -> int:
        """The last round of targets; the first, where training ended in its warm start."""
        rounds = [path.name.removeprefix("round-") for path in (self.run / "bank").glob("round-*")]
        return max((int(name) for name in rounds if name.isdigit()), default=0)

    @cached_property
    def _teacher(self) -> Teacher:
        folder = self.run / "bank" / f"round-{self._round:04d}" / "teacher"
        return _Kept(folder) if (folder / "model.json").is_file() else BlurryItself()


class _Kept:
    """The network on whose outputs a round was matched, as the round keeps it."""

    def __init__(self, folder: Path) -> None:
        self.identity = (folder / "model.json").read_text("utf-8")
        self._deblur = Deblurrer.from_pretrained(folder)

    def __call__(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
        """Deblur one picture."""
        return self._deblur(image)


def agreement(
    image: Float[Tensor, "1 3 h w"],
    target: Float[Tensor, "1 3 h w"],
    trust: Float[Tensor, "1 1 h w"],
) -> float:
    """-10 log10 of the squared difference, averaged with the trust as weight, in dB.

    At most EQUAL; NaN where nothing is trusted. It is no PSNR: the target is made, not true.
    """
    weight = trust.double().sum()
    if weight == 0:
        return float("nan")
    error = ((image - target).double().square().mean(dim=1, keepdim=True) * trust).sum() / weight
    return min(-10 * torch.log10(error).item(), EQUAL)


def busiest_box(image: Float[Tensor, "1 3 h w"], size: tuple[int, int]) -> Crop:
    """The box with the most edges in it: a wall or the sky tells nothing about sharpness.

    Args:
        image: a frame.
        size: (height, width) of the box; less where the frame is smaller.
    """
    height, width = min(size[0], image.shape[-2]), min(size[1], image.shape[-1])
    grey = image.mean(dim=1, keepdim=True)
    edges = torch.zeros_like(grey)
    edges[..., 1:, :] += (grey[..., 1:, :] - grey[..., :-1, :]).abs()
    edges[..., 1:] += (grey[..., 1:] - grey[..., :-1]).abs()
    step = max(height // 8, 1), max(width // 8, 1)
    found = F.avg_pool2d(edges, (height, width), stride=step)[0, 0]
    row, column = divmod(int(found.argmax()), found.shape[1])
    return Crop(row * step[0], column * step[1], height, width)
