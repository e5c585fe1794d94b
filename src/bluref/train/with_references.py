"""Mending the footage that a run learnt from with its own references, beside the network.

At test time one network makes one pass over one picture. Whoever mends the very clip that was
trained on still has its sharp frames: where they are trusted, they know more than any network.
"""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import ReferenceRule, Sample, choose_references
from bluref.frames.split import Footage
from bluref.media.video import probe_video
from bluref.pseudo.blend import blended
from bluref.pseudo.targets import whole_frame
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.work.finish import Place
from bluref.train.banks import heed_motion, sharper_of
from bluref.train.data import find_footage
from bluref.train.moving import motion_of
from bluref.train.observe import Observer
from bluref.train.run_targets import RunTargets, open_targets

Image = Float[Tensor, "1 3 h w"]

MENDED = "mended"
"""The folder, in that of a run, of matches on what its finished network makes of each frame."""

# Mean difference, of values in [0, 1], by which a frame of the film may be unlike what was decoded
# for training: rounding to 8 bit, and colour conversions that round otherwise.
ALIKE = 0.02


class WithReferences:
    """Has the last word on the frames of one clip (`restore.work.finish.Finish`).

    Args:
        targets: of the frames that have references, matched already.
        samples: those frames, by their number in the film, or by the paths of their pictures, links
            resolved.
    """

    def __init__(self, targets: RunTargets, samples: Mapping[Place, Sample]) -> None:
        self.targets, self.samples = targets, samples

    @property
    def identity(self) -> str:
        """Changes whenever a frame would come out otherwise."""
        digest = hashlib.blake2b(digest_size=16)
        for sample in sorted(self.samples.values(), key=lambda sample: sample.blurry.index):
            made = self.targets.bank.digest(self.targets.round, sample)
            digest.update(f"{sample.blurry.key} {made}".encode())
        return digest.hexdigest()

    def knows(self, place: Place) -> bool:
        """Whether a frame or picture has references."""
        return _resolved(place) in self.samples

    @torch.no_grad()
    def __call__(self, place: Place, image: Image, result: Image) -> Image:
        """The result, with what references show of the frame where they are trusted."""
        sample = self.samples.get(_resolved(place))
        if sample is None or not self._is(image, sample.blurry):
            return result
        target, moving = self.targets.target(sample), self.targets.moving
        if moving is None:
            blur = sure = torch.zeros_like(target.weight)
        else:
            reblur = moving.around([(sample, whole_frame(self.targets.store.size(sample.blurry)))])
            blur, sure = reblur.motion.blur(reblur.exposure), reblur.sure
        return blended(result, target, blur, sure).clamp(0, 1)

    def _is(self, image: Image, frame: Frame) -> bool:
        """Whether what lies at this place is the frame that was matched.

        A damaged film may count its frames in another way when it is read for its own sake.
        """
        seen = self.targets.store.image(frame)
        return seen.shape == image.shape and bool((seen - image).abs().mean() < ALIKE)


def _resolved(place: Place) -> Place:
    return place if isinstance(place, int) else place.resolve()


def prepare_references(
    run: Path,
    clip: Path,
    network: Deblurrer,
    *,
    data: Path | None = None,
    observer: Observer | None = None,
    device: str = "cpu",
) -> WithReferences:
    """Match every blurred frame of a clip with its references, on what the network makes of it.

    The references of a frame are the sharp frames nearest to it in its own shot, held back from
    training or not. Frames that nobody looked at are as blurred as the nearest one that was.
    Interrupted, it goes on where it was.

    Args:
        run: of the network; `mended` in it holds the matches.
        clip: a film or folder of pictures that the run learnt from.
        network: the run's.
        data: where the run's footage lies now, if it was moved.
        observer: watches.
        device: where the matcher's network computes, as torch names it.

    Raises:
        UserError: no run there, its footage is gone, or the disk is too full.
    """
    observer = observer or Observer()
    known = _opened(run, clip, data, observer, device)
    samples, bank = list(known.samples.values()), known.targets.bank
    frames = (frame for s in samples for frame in (s.blurry, *s.references))
    bank.store.prepare(frames, tell=observer.on_prepare)
    if known.targets.moving is not None:
        known.targets.moving.motion.find(tell=observer.on_motion)
    bank.refresh(
        0, samples, _AsTeacher(network), tell=lambda done, all_: observer.on_refresh(0, done, all_)
    )
    return known


def kept_references(run: Path, clip: Path, *, data: Path | None = None) -> WithReferences | None:
    """The last word as it was had on a clip, from the matches that the run keeps of it.

    Args:
        run: of the network.
        clip: a film or folder of pictures that it learnt from.
        data: where the run's footage lies now, if it was moved.

    Returns:
        None where no clip was mended with references. Of another one, calling it for a frame
        raises a UserError.

    Raises:
        UserError: no run there, or its footage is gone.
    """
    return _opened(run, clip, data, Observer()) if (run / MENDED).is_dir() else None


def _opened(
    run: Path, clip: Path, data: Path | None, observer: Observer, device: str = "cpu"
) -> WithReferences:
    """The blurred frames of a clip and where their matches belong, there already or not."""
    targets = open_targets(run, data=data, observer=observer, without_rounds=True, device=device)
    recipe = targets.recipe
    footage = find_footage(targets.data, recipe, targets.store, tell=observer.on_prepare)
    mine = _blurred_pictures(footage, clip) if clip.is_dir() else with_those_between(footage, clip)
    rule = ReferenceRule(choice="near", delta=recipe.delta, refs=recipe.refs, seed=recipe.seed)
    samples: list[Sample] = []
    with suppress(UserError):  # not one has a reference: the network has to do without
        samples = choose_references(Footage(tuple(mine), footage.sharp, {}), rule)
    moving = targets.moving
    if moving is not None:
        blurry = [sample.blurry for sample in samples]
        beside = (*footage.blurry, *footage.sharp, *footage.others)
        # Of pictures training may know other neighbours: some are held back. Films show theirs.
        where = run / MENDED if clip.is_dir() else run
        moving = replace(moving, motion=motion_of(blurry, where, targets.bank, beside=beside))
    # `blended` leaves what is hardly blurred to the network, which may have sharpened it.
    plain = replace(recipe, keep_sharp=False)
    bank = targets.bank.beside(run / MENDED, sharper=sharper_of(plain))
    heed_motion(bank, plain, moving)
    known = replace(targets, recipe=plain, bank=bank, round=0, moving=moving)
    return WithReferences(known, {_place(sample.blurry): sample for sample in samples})


def _place(frame: Frame) -> Place:
    return frame.path.resolve() if frame.position is None else frame.position


def _blurred_pictures(footage: Footage, folder: Path) -> list[Frame]:
    """The blurred pictures in a folder; of these every one was looked at."""
    within = folder.resolve()
    return [
        frame
        for frame in footage.blurry
        if frame.position is None and within in frame.path.resolve().parents
    ]


def with_those_between(footage: Footage, film: Path) -> list[Frame]:
    """The blurred frames of a film, and those around them that were not looked at.

    Of a long film only some frames a second are; mended by themselves they would flicker.
    """
    blurry, sharp = (
        {f.position: f for f in frames if f.position is not None and f.path.samefile(film)}
        for frames in (footage.blurry, footage.sharp)
    )
    known = sorted({*blurry, *sharp})
    step = min((after - before for before, after in pairwise(known)), default=1)
    last = probe_video(film).frames - 1 if step > 1 else 0
    found = dict(blurry)
    for position, frame in blurry.items():
        for shift in range(-((step - 1) // 2), step // 2 + 1):
            at = position + shift
            if shift and 0 <= at <= last and at not in sharp:
                found.setdefault(at, replace(frame, index=frame.index + shift, position=at))
    return [found[position] for position in sorted(found)]


@dataclass(frozen=True)
class _AsTeacher:
    """A finished network, whose output is matched."""

    network: Deblurrer

    @property
    def identity(self) -> str:
        return self.network.fingerprint

    def __call__(self, image: Image) -> Image:
        return self.network(image)
