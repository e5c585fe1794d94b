"""The frames and the network of a run that is over, opened again for its page."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.measure.shift import mean_shift
from bluref.media.video import is_video
from bluref.report.page.page_targets import PageTargets, trained_targets, validation_targets
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.work.finish import Place
from bluref.train.data import find_training_data
from bluref.train.pair_batches import paired
from bluref.train.recipe import Recipe
from bluref.train.with_references import WithReferences, kept_references

Image = Float[Tensor, "1 3 h w"]

# Pixels around a box that the network sees too, so that its edge is not that of a picture.
CONTEXT = 48


@dataclass(frozen=True)
class Look:
    """A box of a blurry frame, and what became of it.

    Attributes:
        crop: the box.
        blurry: what it shows.
        output: what the network makes of it.
        target: the pseudo-sharp target; the blurry frame where it is silent.
        trust: in the target, 0 where it is silent.
        shown: what references alone show; the target where none are. Outputs are judged by it.
        truth: the true sharp frame, where the footage has it.
        mended: the output with the references' last word, where the film was mended with them.
    """

    crop: Crop
    blurry: Image
    output: Image
    target: Image
    trust: Float[Tensor, "1 1 h w"]
    shown: Image
    truth: Image | None
    mended: Image | None = None

    @property
    def coverage(self) -> float:
        """Share of the box for which references speak."""
        return (self.trust > 0).float().mean().item()

    @property
    def apart(self) -> tuple[float, float]:
        """Pixels by which input and output lie beside what references show, where they do."""
        seen = torch.where(self.trust > 0, self.output, self.shown)
        both = mean_shift(torch.cat((self.blurry, seen)), torch.cat((self.shown, self.shown)))
        before, after = both.norm(dim=1).tolist()
        return before, after


class RunFootage:
    """What a run learnt from, what it was judged by, and what it became.

    Args:
        run: the run folder.
        recipe: of the run.
        data: its data folder.
        scratch: an empty folder for what is computed anew.

    Attributes:
        found: its frames, as training found them.
        samples: those that it learnt from, by clip and number.
        held: those held back from training, likewise.

    Raises:
        UserError: frames or network are not there any more, or cannot be read.
    """

    def __init__(self, run: Path, recipe: Recipe, data: Path, scratch: Path) -> None:
        self.run, self.recipe, self.data, self.scratch = run, recipe, data, scratch
        self._words: dict[Path, WithReferences | None] = {}
        self.store = FrameStore(run / "frames")
        self.deblur = Deblurrer.from_pretrained(run)
        self.found = find_training_data(data, recipe, self.store)
        self.samples = {(s.blurry.clip, s.blurry.index): s for s in self.found.samples}
        self.held = {(s.blurry.clip, s.blurry.index): s for s in self.found.held}

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Decode what will be asked for, each video once from its start."""
        frames = [f for s in samples for f in (s.blurry, *s.references, s.truth) if f is not None]
        self.store.prepare(frames)

    def look(self, sample: Sample, crop: Crop) -> Look:
        """A box of a frame: what it shows, what the network and the references make of it."""
        blurry = self.store.cut(sample.blurry, crop)
        truth = None if sample.truth is None else self.store.cut(sample.truth, crop)
        *images, trust = self._taught(sample, crop, blurry, truth)
        target, shown = (torch.where(trust > 0, image, blurry) for image in images)
        output, mended = self._output(sample, crop), self._mended(sample, crop)
        return Look(crop, blurry, output, target, trust, shown, truth, mended)

    def _taught(
        self, sample: Sample, crop: Crop, blurry: Image, truth: Image | None
    ) -> tuple[Image, Image, Float[Tensor, "1 1 h w"]]:
        """The target, what references alone show, and the trust in both: 0 where there is none."""
        if self.recipe.pairs:
            image, trust = paired(self.store, sample, crop)
            return image, image, trust
        if self.recipe.supervised:
            known = torch.full_like(blurry[:, :1], float(truth is not None))
            image = blurry if truth is None else truth
            return image, image, known
        held = (sample.blurry.clip, sample.blurry.index) in self.held
        made, shown = (self._validating if held else self._training).target(sample, crop, blurry)
        return made.image, shown, made.weight

    def _output(self, sample: Sample, crop: Crop) -> Image:
        height, width = self.store.size(sample.blurry)
        top, left = max(crop.top - CONTEXT, 0), max(crop.left - CONTEXT, 0)
        bottom = min(crop.top + crop.height + CONTEXT, height)
        right = min(crop.left + crop.width + CONTEXT, width)
        seen = self.store.cut(sample.blurry, Crop(top, left, bottom - top, right - left))
        y, x = crop.top - top, crop.left - left
        return self.deblur(seen)[..., y : y + crop.height, x : x + crop.width].clamp(0, 1)

    def _mended(self, sample: Sample, crop: Crop) -> Image | None:
        """What references made of the box in a mended clip; None where they had no word."""
        frame = sample.blurry
        place: Place = frame.path if frame.position is None else frame.position
        word = self._word_on(frame.path if is_video(frame.path) else frame.path.parent)
        if word is None or not word.knows(place):
            return None
        image = self.store.image(frame)
        with suppress(UserError):  # its matches are gone, or were never there
            said = word(place, image, self.deblur(image))
            return said[..., crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        return None

    def _word_on(self, clip: Path) -> WithReferences | None:
        if clip not in self._words:
            self._words[clip] = None
            with suppress(UserError):  # a page shows what there is
                self._words[clip] = kept_references(self.run, clip, data=self.data)
        return self._words[clip]

    @cached_property
    def _training(self) -> PageTargets:
        return trained_targets(self.run, self.recipe, self.found, self.store, self.scratch)

    @cached_property
    def _validating(self) -> PageTargets:
        return validation_targets(self.run, self.recipe, self.found, self.store, self.scratch)


def busiest_box(image: Image, size: tuple[int, int]) -> Crop:
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
