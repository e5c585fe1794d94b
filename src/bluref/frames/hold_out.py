"""Frames held back from training: on them one sees whether what was learnt helps elsewhere."""

import math
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from bluref.frames.clip import Frame
from bluref.frames.randomness import item_generator, randint
from bluref.frames.split import Footage

# Share of the blurry frames held back where nobody says otherwise, and how many at most.
USUAL, ENOUGH = 0.1, 200
# Whole clips are held back only if there are so many of them that at least these are.
FEWEST_CLIPS = 2
# Frames of a clip, or of each piece of a long one, below which nothing is cut out of it.
SHORTEST, PIECE = 24, 300
# Frames of a slice at least, and of the gap on either side of it at most.
FEWEST, WIDEST = 6, 12


@dataclass(frozen=True)
class HeldOut:
    """Footage in parts that share no frame.

    Attributes:
        training: what is learnt from.
        held: what is not; its sharp frames serve its blurry ones.
        gap: neighbours in time of what is held back, which serve neither.
    """

    training: Footage
    held: Footage
    gap: tuple[Frame, ...]


def usual_share(footage: Footage) -> float:
    """A tenth, or less of long footage; none of a paired data set, whose truth tells more."""
    if footage.truth or not footage.blurry:
        return 0.0
    return min(USUAL, ENOUGH / len(footage.blurry))


def hold_out(footage: Footage, share: float, *, seed: int) -> HeldOut:
    """Hold back a share of the footage, a function of the seed and of names and numbers alone.

    Of many clips some are held back whole, blurry and sharp. Of few, every clip long enough gives
    a slice of consecutive frames of both roles, a long one several, and half as many frames again
    on either side of a slice are left out altogether: a neighbour shows nearly the same.

    Args:
        footage: frames with roles.
        share: of the blurry frames, in [0, 1].
        seed: of the choice.

    Returns:
        nothing held back where clips are too short for it, or nothing would be left.
    """
    whole = _whole_clips(footage, share, seed)
    held, gap = (whole, set[Frame]()) if whole else _slices(footage, share, seed)
    out = held | gap
    training = _only(footage, {*footage.blurry, *footage.sharp} - out)
    kept = _only(footage, held)
    if not (kept.blurry and training.blurry and training.sharp):
        return HeldOut(footage, Footage((), (), {}), ())
    return HeldOut(training, kept, tuple(sorted(gap)))


def scene_of(clip: str) -> str:
    """What two clips share that were recorded of one scene, one blurry and one sharp."""
    return clip.removeprefix("blurry/").removeprefix("sharp/")


def _whole_clips(footage: Footage, share: float, seed: int) -> set[Frame]:
    """Every frame of the scenes held back; empty if they are too few or too large for it."""
    counts: dict[str, int] = {}
    for frame in footage.blurry:
        scene = scene_of(frame.clip)
        counts[scene] = counts.get(scene, 0) + 1
    wanted = share * len(footage.blurry)
    drawn: set[str] = set()
    count = 0
    for scene in sorted(counts, key=lambda name: (_drawn(seed, name), name)):
        if count < wanted and count + counts[scene] <= 2 * wanted:
            drawn.add(scene)
            count += counts[scene]
    if len(drawn) < FEWEST_CLIPS or count < wanted / 2:
        return set()
    return {f for f in (*footage.blurry, *footage.sharp) if scene_of(f.clip) in drawn}


def _slices(footage: Footage, share: float, seed: int) -> tuple[set[Frame], set[Frame]]:
    """A slice of every piece of a clip that is long enough, and the gaps around it."""
    held, gap, blurry = set[Frame](), set[Frame](), set(footage.blurry)
    for clip, frames in _by_clip(footage).items():
        pieces = math.ceil(len(frames) / PIECE)
        bounds = [len(frames) * k // pieces for k in range(pieces + 1)]
        for place in range(pieces):
            piece = frames[bounds[place] : bounds[place + 1]]
            size = max(FEWEST, round(share * len(piece)))
            beside = min(WIDEST, size // 2)
            room = len(piece) - size - 2 * beside
            if len(piece) < SHORTEST or room < 0 or share == 0:
                continue
            begins = _telling(piece, size, range(beside, beside + room + 1), blurry)
            first = begins[randint(item_generator(seed, "hold out", clip, place), len(begins))]
            held.update(piece[first : first + size])
            gap.update(piece[first - beside : first])
            gap.update(piece[first + size : first + size + beside])
    return held, gap


def _telling(
    piece: Sequence[Frame], size: int, begins: Sequence[int], blurry: Set[Frame]
) -> Sequence[int]:
    """Where slices begin that hold both roles, as many of the rarer one as any does, or half that.

    Blur comes and goes: a slice without a blurry frame tells nothing, and one without a sharp frame
    has nothing to be judged by.
    """
    counts = [sum(frame in blurry for frame in piece[b : b + size]) for b in begins]
    rarer = [min(count, size - count) for count in counts]
    least = max(rarer) / 2
    return [b for b, count in zip(begins, rarer, strict=True) if count >= least]


def _by_clip(footage: Footage) -> dict[str, list[Frame]]:
    """Frames in order of time, of whatever role, of the clips that have blurry ones."""
    clips: dict[str, list[Frame]] = {frame.clip: [] for frame in footage.blurry}
    for frame in sorted((*footage.blurry, *footage.sharp)):
        if frame.clip in clips:
            clips[frame.clip].append(frame)
    return clips


def _drawn(seed: int, scene: str) -> int:
    return item_generator(seed, "hold out", scene).initial_seed()


def _only(footage: Footage, among: Iterable[Frame]) -> Footage:
    """What of the footage is among these, in its order."""
    kept = set(among)
    blurry = tuple(frame for frame in footage.blurry if frame in kept)
    truth = {f.key: footage.truth[f.key] for f in blurry if f.key in footage.truth}
    sharp = tuple(frame for frame in footage.sharp if frame in kept)
    return Footage(blurry, sharp, truth, footage.others)
