"""From a data folder and a recipe to samples that can be trained on."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.frames.references import ReferenceRule, Sample, choose_references
from bluref.frames.sharpness import image_sharpness
from bluref.frames.split import split_clips, to_be_measured
from bluref.frames.store import FrameStore, check_sizes
from bluref.train.found_pairs import check_pair_sizes, find_pairs, refuse_pairs
from bluref.train.recipe import Recipe


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        samples: blurry frames with their references.
        sharp: every sharp frame of the footage.
        left_out: blurry frames that no reference serves.
    """

    samples: Sequence[Sample]
    sharp: Sequence[Frame]
    left_out: int

    @property
    def frames(self) -> list[Frame]:
        """Every frame that training may read, truth included."""
        of_samples = [
            frame
            for sample in self.samples
            for frame in (sample.blurry, *sample.references, sample.truth)
            if frame is not None
        ]
        return list(dict.fromkeys([*of_samples, *self.sharp]))

    @property
    def fingerprint(self) -> str:
        """Digest of which frames serve which, by identity: changes when the footage does."""
        digest = hashlib.blake2b(digest_size=16)
        for sample in self.samples:
            frames = (sample.blurry, *sample.references, sample.truth)
            digest.update("|".join(frame.key if frame else "-" for frame in frames).encode())
        return digest.hexdigest()


def find_training_data(
    data: Path,
    recipe: Recipe,
    store: FrameStore,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingData:
    """Find the clips, give their frames roles, and choose references.

    Args:
        data: the data folder.
        recipe: layout, split and choice of references.
        store: where frames are decoded to; roles by sharpness need them all.
        tell: called with (done, all) as frames are decoded.

    Raises:
        UserError: no clips, no usable frame, frames of mixed size in a clip or between a blurry
            frame and its references, unreadable files.
    """
    if recipe.pairs:
        found = TrainingData(find_pairs(data), (), left_out=0)
        check_pair_sizes(found.samples, store)
        return found
    refuse_pairs(data)
    clips = find_clips(data, part="train", layout=recipe.layout)
    # A video is decoded once from its start, not once per frame that is measured.
    store.prepare(
        (frame for clip in clips for frame in to_be_measured(clip, recipe.split)), tell=tell
    )
    footage = split_clips(clips, recipe.split, lambda frame: image_sharpness(store.image(frame)))
    rule = ReferenceRule(
        choice=recipe.choice, delta=recipe.delta, refs=recipe.refs, seed=recipe.seed
    )
    samples = choose_references(footage, rule)
    found = TrainingData(samples, footage.sharp, len(footage.blurry) - len(samples))
    check_sizes(found.frames, store)
    for sample in samples:
        _check_references(sample, store)
    return found


def _check_references(sample: Sample, store: FrameStore) -> None:
    height, width = store.size(sample.blurry)
    for frame in sample.references:
        if store.size(frame) != (height, width):
            h, w = store.size(frame)
            raise UserError(
                f"{frame} is {w}x{h}, but {sample.blurry}, which it serves, is {width}x{height}",
                "use references of the same camera and size, or resize them",
            )
