"""Which frames are blurry input and which are sharp references."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.sharpness import Sharpness, split_by_sharpness

Split = str
SPLITS: tuple[Split, ...] = ("auto", "alternating", "halves", "sharpness")


@dataclass(frozen=True)
class Footage:
    """Frames with roles. No frame has both.

    Attributes:
        blurry: frames to learn from, as input.
        sharp: frames to take references from.
        truth: sharp version of a blurry frame by `Frame.key`, where a paired data set has one. It
            measures, and trains the supervised bound; training without pairs never reads it.
        others: frames that a split by sharpness left between those with a role, or that were
            skipped in a table. They show how their neighbours moved.
        picked: sharp frames that are the better ones of the footage itself. The shutter was open
            for them as long as for the blurry ones, so that what moves fast is blurred in them too.
    """

    blurry: tuple[Frame, ...]
    sharp: tuple[Frame, ...]
    truth: Mapping[str, Frame]
    others: tuple[Frame, ...] = ()
    picked: frozenset[Frame] = frozenset()


def split_clips(clips: Iterable[Clip], how: Split, sharpness: Sharpness) -> Footage:
    """Give every frame a role, clip by clip.

    `alternating`: even frame numbers are blurry, odd ones sharp, the only split with which the
    paper's Delta = 1 and its counts agree; of a clip that keeps every k-th frame the numbers are
    divided by k. `halves`: the first half of a clip is blurry, the second sharp, so that the two
    never interleave. `sharpness`: frames that are sharper than their neighbours in time are sharp,
    those that are less sharp are blurry, the rest is left out; of a paired data set it looks at the
    blurry frames alone, as if they were plain footage. `auto`: `alternating` for paired data sets,
    `sharpness` for plain clips. Clips that were recorded as blurry or as sharp, and frames
    of a curated folder, keep their role whatever the split.

    Args:
        clips: what `layouts.find_clips` found.
        how: one of `SPLITS`.
        sharpness: measures a frame; called only by the `sharpness` split.

    Raises:
        UserError: unknown split, no blurry or no sharp frame left, or a file that is in both sets.
    """
    if how not in SPLITS:
        raise UserError(f"unknown split {how!r}", f"use one of {', '.join(SPLITS)}")
    blurry: list[Frame] = []
    sharp: list[Frame] = []
    others: list[Frame] = []
    picked: list[Frame] = []
    truth: dict[str, Frame] = {}
    for clip in clips:
        mine, references = _split_clip(clip, how, sharpness)
        blurry += mine
        sharp += references
        others += clip.others.values()
        if clip.roles_known:
            picked += references
        if to_be_measured(clip, how):
            picked += references
            given = {*mine, *references}
            others += [frame for frame in clip.blurry.values() if frame not in given]
        truth |= {f.key: clip.truth[f.index] for f in mine if f.index in clip.truth}
    for frames, role in ((blurry, "blurry"), (sharp, "sharp")):
        if not frames:
            raise _without(role, known=all(clip.roles_known for clip in clips))
    _refuse_shared(blurry, sharp)
    return Footage(tuple(blurry), tuple(sharp), truth, tuple(others), frozenset(picked))


def _without(role: str, *, known: bool) -> UserError:
    """What to tell of an empty set."""
    if known:
        return UserError(
            f"no frame is {role}, as the roles stand",
            "curate clips with blurred and with sharp moments, or give roles by hand",
        )
    return UserError(
        f"no frame is left for the {role} set",
        "give longer clips (at least two frames), or another --split",
    )


def to_be_measured(clip: Clip, how: Split) -> list[Frame]:
    """The frames of a clip whose sharpness `split_clips` asks for; none unless it decides."""
    if clip.roles_known or not clip.blurry or not clip.sharp:
        return []
    if how == "sharpness" or (how == "auto" and not clip.truth):
        return list(clip.blurry.values())
    return []


def _split_clip(clip: Clip, how: Split, sharpness: Sharpness) -> tuple[list[Frame], list[Frame]]:
    if clip.roles_known or not clip.blurry or not clip.sharp:
        return list(clip.blurry.values()), list(clip.sharp.values())
    if to_be_measured(clip, how):
        return split_by_sharpness(clip.blurry, sharpness)
    indices = sorted(clip.blurry.keys() | clip.sharp.keys())
    if how == "halves":
        blurry_indices = set(indices[: len(indices) // 2])
    else:
        stride = math.gcd(*(after - before for before, after in pairwise(indices))) or 1
        blurry_indices = {i for i in indices if i // stride % 2 == 0}
    return (
        [clip.blurry[i] for i in sorted(clip.blurry) if i in blurry_indices],
        [clip.sharp[i] for i in sorted(clip.sharp) if i not in blurry_indices],
    )


def _refuse_shared(blurry: list[Frame], sharp: list[Frame]) -> None:
    """Refuse a file that would be its own reference: equal content in both sets.

    A video whose frames are shared out between the two sets is one file in both, and fine.
    """
    videos = {f.path for f in blurry if f.position is not None}
    videos &= {f.path for f in sharp if f.position is not None}
    sizes = [
        {path: path.stat().st_size for path in {f.path: None for f in frames} if path not in videos}
        for frames in (blurry, sharp)
    ]
    common = set(sizes[0].values()) & set(sizes[1].values())
    references = {_digest(path): path for path, size in sizes[1].items() if size in common}
    for path, size in sizes[0].items():
        other = references.get(_digest(path)) if size in common else None
        if other is not None:
            raise UserError(
                f"{path} and {other} are the same file, once blurry, once sharp",
                "remove it from one of the two folders",
            )


def _digest(path: Path) -> bytes:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
