"""Which sharp frames serve which blurry frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.randomness import item_generator, randint
from bluref.frames.split import Footage

Choice = str
CHOICES: tuple[Choice, ...] = ("auto", "near", "random", "coverage")
# Of each reference that is to be chosen by coverage.
CANDIDATES = 4


@dataclass(frozen=True)
class Sample:
    """A blurry frame and its references, by identity.

    Attributes:
        blurry: the frame to deblur.
        references: sharp frames, nearest in time first.
        truth: the sharp version of `blurry`, where the data set has one; for measuring only.
    """

    blurry: Frame
    references: tuple[Frame, ...]
    truth: Frame | None


@dataclass(frozen=True)
class ReferenceRule:
    """How references are chosen.

    Attributes:
        choice: `near` takes the paper's Fig. 3, `random` draws from all sharp frames (PhoneCraft),
            `coverage` gives CANDIDATES times as many, for whoever can look at them to choose from
            (`pseudo.coverage`): the nearest ones for blurry frames whose clip has sharp frames,
            else random ones; `auto` is `near` for the former and `coverage` for the latter.
        delta: smallest distance in frames between the blurry frame and a reference, at least 1.
        refs: number of references N, at least 1.
        seed: of the random choice.
    """

    choice: Choice = "auto"
    delta: int = 1
    refs: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise UserError(f"unknown choice {self.choice!r}", f"use one of {', '.join(CHOICES)}")
        if self.delta < 1 or self.refs < 1:
            raise UserError(
                f"delta is {self.delta} and refs is {self.refs}", "both must be at least 1"
            )


def choose_references(
    footage: Footage,
    rule: ReferenceRule,
    *,
    size_of: Callable[[Frame], tuple[int, int]] = lambda frame: (0, 0),
) -> list[Sample]:
    """A sample for every blurry frame that has a reference, in order of the blurry frames.

    Args:
        footage: frames with roles.
        rule: how to choose.
        size_of: (height, width) of a frame. Of other clips only frames of the same size may serve;
            without it all frames are taken for equal.

    Raises:
        UserError: not one blurry frame has a reference; says why.
    """
    many = replace(rule, refs=CANDIDATES * rule.refs)
    by_clip: dict[str, list[Frame]] = {}
    for frame in footage.sharp:
        by_clip.setdefault(frame.clip, []).append(frame)
    samples = []
    fitting: dict[tuple[str, tuple[int, int]], list[Frame]] = {}
    for frame in footage.blurry:
        own = by_clip.get(frame.clip, [])
        if rule.choice == "random" or (rule.choice != "near" and not own):
            kind = frame.clip, size_of(frame)
            if kind not in fitting:
                fitting[kind] = _fitting(*kind, footage.sharp, size_of)
            chosen = _random(frame, fitting[kind], rule if rule.choice == "random" else many)
        else:
            wanted = many.refs if rule.choice == "coverage" else rule.refs
            chosen = nearest(frame, own, delta=rule.delta, refs=wanted)
        if chosen:
            samples.append(Sample(frame, chosen, footage.truth.get(frame.key)))
    if not samples:
        raise _without_references(footage, rule, size_of)
    return samples


def _without_references(
    footage: Footage, rule: ReferenceRule, size_of: Callable[[Frame], tuple[int, int]]
) -> UserError:
    """Why not one blurry frame has a reference."""
    blurry, sharp = footage.blurry, footage.sharp
    alike = {size_of(frame) for frame in blurry} & {size_of(frame) for frame in sharp}
    if rule.choice != "near" and blurry and sharp and not alike:
        (h, w), (h1, w1) = size_of(blurry[0]), size_of(sharp[0])
        return UserError(
            f"no sharp frame is as large as a blurry one: {blurry[0]} is {w}x{h},"
            f" {sharp[0]} is {w1}x{h1}",
            "use sharp frames of the same camera and size, or resize them",
        )
    return UserError(
        f"no blurry frame has a sharp frame of its clip at distance {rule.delta} or more",
        f"lower --delta, give clips longer than {rule.delta} frames"
        + (", or use --choice random" if rule.choice != "random" else ""),
    )


def nearest(blurry: Frame, sharp: Sequence[Frame], *, delta: int, refs: int) -> tuple[Frame, ...]:
    """Two groups of consecutive sharp frames, one each side (paper Fig. 3, Sec. 4.1).

    Each group holds the refs / 2 sharp frames nearest in time among those at distance `delta` or
    more; of an odd number the later group holds one more. Where the clip ends before a group is
    full, the other side gives more, so that N stays.

    Returns:
        at most `refs` frames, nearest first, the earlier one first at equal distance.
    """
    before = sorted((f for f in sharp if f.index <= blurry.index - delta), key=lambda f: -f.index)
    after = sorted((f for f in sharp if f.index >= blurry.index + delta), key=lambda f: f.index)
    from_before = max(refs // 2, refs - len(after))
    from_after = refs - min(from_before, len(before))
    chosen = before[:from_before] + after[:from_after]
    return tuple(sorted(chosen, key=lambda f: (abs(f.index - blurry.index), f.index)))


def _fitting(
    clip: str,
    size: tuple[int, int],
    sharp: Sequence[Frame],
    size_of: Callable[[Frame], tuple[int, int]],
) -> list[Frame]:
    """Sharp frames that may serve a blurry clip; of one that bears the same name, these alone."""
    fitting = [f for f in sharp if f.clip == clip or size_of(f) == size]
    namesake = "sharp/" + clip.removeprefix("blurry/")
    return [f for f in fitting if f.clip == namesake] or fitting


def _random(blurry: Frame, sharp: Sequence[Frame], rule: ReferenceRule) -> tuple[Frame, ...]:
    """`refs` different frames, a function of the rule's seed and the blurry frame's identity.

    Within the blurry frame's own clip, `delta` still holds.
    """
    pool = [f for f in sharp if f.clip != blurry.clip or abs(f.index - blurry.index) >= rule.delta]
    generator = item_generator(rule.seed, "references", blurry.key)
    return tuple(pool.pop(randint(generator, len(pool))) for _ in range(min(rule.refs, len(pool))))
