"""From a data folder and a recipe to samples that can be trained on."""

import hashlib
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.hold_out import HeldOut, hold_out, scene_of, usual_share
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import ReferenceRule, Sample, choose_references
from bluref.frames.sharpness import image_sharpness
from bluref.frames.split import Footage, split_clips, to_be_measured
from bluref.frames.store import FrameStore, check_sizes
from bluref.media.picture import read_picture
from bluref.train.found_pairs import check_pair_sizes, find_pairs, refuse_pairs
from bluref.train.recipe import Recipe

# Frames of either role, where nobody says otherwise: more make every round of matching longer, and
# the disk fuller.
MOST = 400


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from.

    Attributes:
        samples: blurry frames with their references.
        sharp: sharp frames of the footage to be blurred again; references may be others.
        left_out: blurry frames that no reference serves.
        held: blurry frames held back for validation, with references that nobody trains on, or,
            where their scene has no sharp frames of its own, with those of training.
        around: the frames held back and those beside them in time, which show how they moved.
        beside: pictures next in time to what is learnt from, which show how that moved.
        picked: sharp frames that are the better ones of the footage itself (`frames.split`).
    """

    samples: Sequence[Sample]
    sharp: Sequence[Frame]
    left_out: int
    held: Sequence[Sample] = ()
    around: Sequence[Frame] = ()
    beside: Sequence[Frame] = ()
    picked: Set[Frame] = frozenset()

    @property
    def learnt(self) -> list[Frame]:
        """Sharp frames that are blurred again, then blurry ones: all whose motion is asked for."""
        return [*self.sharp, *(sample.blurry for sample in self.samples)]

    @cached_property
    def moves(self) -> bool:
        """Whether any of these has a neighbour in time, which shows how it moved."""
        return bool(with_neighbours(self.learnt, [*self.learnt, *self.beside]))

    @property
    def frames(self) -> list[Frame]:
        """Every frame that training may read, truth included."""
        of_samples = [
            frame
            for sample in (*self.samples, *self.held)
            for frame in (sample.blurry, *sample.references, sample.truth)
            if frame is not None
        ]
        return list(dict.fromkeys([*of_samples, *self.sharp, *self.around, *self.beside]))

    @property
    def fingerprint(self) -> str:
        """Digest of which frames serve which, and of the sizes of their files.

        It changes when the footage does, and not when that is moved or copied.
        """
        digest = hashlib.blake2b(digest_size=16)
        for sample in (*self.samples, *self.held):
            frames = (sample.blurry, *sample.references, sample.truth)
            digest.update("|".join(frame.key if frame else "-" for frame in frames).encode())
        for others in (self.beside, self.sharp, self.around):
            digest.update("".join(f"|{frame.key}" for frame in others).encode() + b"\n")
        for path in dict.fromkeys(frame.path for frame in self.frames):
            digest.update(f"|{path.stat().st_size}".encode())
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
    footage = find_footage(data, recipe, store, tell=tell)
    rule = ReferenceRule(
        choice=recipe.choice, delta=recipe.delta, refs=recipe.refs, seed=recipe.seed
    )
    parts, held_samples = _parted(footage, recipe, rule, store)
    most = recipe.most if recipe.most is not None else 0 if footage.truth else MOST
    blurry, sharp = spread(parts.training.blurry, most), spread(parts.training.sharp, most)
    held, others = parts.held, footage.others
    samples = choose_references(replace(parts.training, blurry=blurry), rule, size_of=store.size)
    found = TrainingData(
        samples,
        sharp,
        left_out=len(blurry) - len(samples),
        held=held_samples,
        around=(
            *held.blurry,
            *held.sharp,
            *parts.gap,
            *_next_to(held.blurry, (*held.sharp, *parts.gap), others, store),
        ),
        beside=_next_to(
            (*sharp, *blurry),
            (*parts.training.sharp, *parts.training.blurry),
            others,
            store,
        ),
        picked=footage.picked,
    )
    check_sizes(found.frames, store)
    for sample in (*samples, *found.held):
        _check_references(sample, store)
    return found


def spread(frames: Sequence[Frame], most: int) -> tuple[Frame, ...]:
    """At most so many, evenly spread over all; 0 for all."""
    count = min(most or len(frames), len(frames))
    return tuple(frames[place * len(frames) // count] for place in range(count))


def _next_to(
    frames: Iterable[Frame], among: Iterable[Frame], others: Sequence[Frame], store: FrameStore
) -> tuple[Frame, ...]:
    """Pictures just before and after these that are none of them; films show their own.

    Args:
        frames: whose neighbours are wanted.
        among: what has a role, or is next to what is held back.
        others: what has none; what of it does not serve is left out, nobody asked for it.
        store: reads them.
    """
    pictures = {frame: None for frame in frames if frame.position is None}
    near = with_neighbours(pictures, (*pictures, *among, *others))
    found = {beside: sample.blurry for sample in near for beside in sample.references}
    unasked = set(others)
    return tuple(
        frame
        for frame, neighbour in found.items()
        if frame not in pictures and frame.position is None
        if frame not in unasked or _serves(frame, neighbour, store)
    )


def _serves(frame: Frame, neighbour: Frame, store: FrameStore) -> bool:
    """Whether it can be read, and is as large."""
    with suppress(UserError):
        if store.size(frame) == store.size(neighbour):
            read_picture(frame.path)  # not by the store, whose full disk is no fault of the picture
            return True
    return False


def find_footage(
    data: Path,
    recipe: Recipe,
    store: FrameStore,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Footage:
    """Find the clips and give their frames roles; arguments and errors as above."""
    refuse_pairs(data)
    clips = find_clips(data, part="train", layout=recipe.layout)
    # A video is decoded once from its start, not once per frame that is measured.
    store.prepare(
        (frame for clip in clips for frame in to_be_measured(clip, recipe.split)), tell=tell
    )
    return split_clips(clips, recipe.split, lambda frame: image_sharpness(store.image(frame)))


def _parted(
    footage: Footage, recipe: Recipe, rule: ReferenceRule, store: FrameStore
) -> tuple[HeldOut, list[Sample]]:
    """What is learnt from, and what is held back, with its references.

    Nothing is held back where none of it would have any: frames would be lost for nothing.
    """
    share = usual_share(footage) if recipe.hold_out is None else recipe.hold_out
    if recipe.supervised:
        share = 0.0
    if recipe.supervised and recipe.hold_out:
        raise UserError(
            f"hold_out is {recipe.hold_out:g}, but --supervised has a truth to judge by",
            "leave --hold-out out, and judge by bluref eval",
        )
    parts = hold_out(footage, share, seed=recipe.seed)
    if recipe.hold_out and not parts.held.blurry:
        raise UserError(
            f"hold_out is {recipe.hold_out:g}, but then the clips leave nothing to hold back or to"
            " learn from",
            "hold back another share, give longer clips or more of them, or leave --hold-out out",
        )
    samples = _held_samples(parts, rule, store)
    if recipe.hold_out and not samples:
        raise UserError(
            f"hold_out is {recipe.hold_out:g}, but no frame that is held back would have a"
            f" reference {recipe.delta} frames from it",
            "lower --delta, give longer clips or more of them, or leave --hold-out out",
        )
    return parts if samples else hold_out(footage, 0.0, seed=recipe.seed), samples


def _held_samples(parts: HeldOut, rule: ReferenceRule, store: FrameStore) -> list[Sample]:
    """Blurry frames held back, with references.

    Of a scene that has sharp frames, only those that are held back serve. Others have to make do
    with what training learns from.
    """
    sharp, held = parts.training.sharp, parts.held
    served = {scene_of(frame.clip) for frame in held.sharp}
    learnt = {scene_of(frame.clip) for frame in sharp}
    own = tuple(f for f in held.blurry if scene_of(f.clip) in served)
    foreign = tuple(f for f in held.blurry if scene_of(f.clip) not in served | learnt)
    samples: list[Sample] = []
    for blurry, references in ((own, held.sharp), (foreign, sharp)):
        for frame in (*blurry, *references) if blurry else ():
            store.size(frame)  # what cannot be read is told, not taken for no reference
        with suppress(UserError):  # not one has a reference: validation then does without
            footage = Footage(blurry, references, held.truth)
            samples += choose_references(footage, rule, size_of=store.size)
    return sorted(samples, key=lambda sample: sample.blurry)


def _check_references(sample: Sample, store: FrameStore) -> None:
    height, width = store.size(sample.blurry)
    for frame in sample.references:
        if store.size(frame) != (height, width):
            h, w = store.size(frame)
            raise UserError(
                f"{frame} is {w}x{h}, but {sample.blurry}, which it serves, is {width}x{height}",
                "use references of the same camera and size, or resize them",
            )
