"""Judge a network on a paired data set, always beside doing nothing."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.measure import psnr as psnr_module
from bluref.measure import ssim as ssim_module
from bluref.measure.worst import Window, worst_window
from bluref.media.picture import read_picture

Image = Float[Tensor, "1 3 h w"]
Cut = Float[Tensor, "1 3 a b"]

SHOWN = 16
"""Clips of which the worst place is kept as pictures: those that lose most."""


@dataclass(frozen=True)
class Scores:
    """Means over images.

    Attributes:
        psnr: dB.
        ssim: two-dimensional SSIM.
        ssim3d: volumetric SSIM, the one of published deblurring tables.
    """

    psnr: float
    ssim: float
    ssim3d: float


@dataclass(frozen=True)
class Worst:
    """The place of a clip in which a network's output loses most against its input.

    Attributes:
        frame: the picture.
        window: where in it, and what is lost.
        shown: what the window shows of input, output and truth; None for all but the clips that
            lose most.
    """

    frame: Frame
    window: Window
    shown: tuple[Cut, Cut, Cut] | None


@dataclass(frozen=True)
class Evaluation:
    """What a network is worth on a data set.

    Attributes:
        images: number of images.
        scores: of the network's output.
        identity: of the blurry input itself.
        per_clip: clip -> (scores, identity).
        count: clip -> number of its images.
        below: clip -> number of pictures whose PSNR lies below that of the input.
        worst: clip -> where it loses most.
    """

    images: int
    scores: Scores
    identity: Scores
    per_clip: dict[str, tuple[Scores, Scores]]
    count: dict[str, int]
    below: dict[str, int]
    worst: dict[str, Worst]


PROTOCOL = {
    "psnr": psnr_module.PROTOCOL,
    "ssim": ssim_module.PROTOCOL,
    "ssim3d": ssim_module.PROTOCOL_3D,
    "rounding": "output and truth rounded to 8 bits",
    "mean": "of per-image values",
}


def evaluate(
    deblur: Callable[[Image], Image],
    data: Path,
    *,
    part: str = "test",
    layout: str = "auto",
    every: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Deblur every blurry picture of a paired data set and compare with its truth.

    Args:
        deblur: the network.
        data: a paired data set.
        part: `train` or `test`.
        layout: see `frames.layouts`.
        every: take every n-th picture of a clip.
        tell: called with (done, all).

    Raises:
        UserError: the data set has no truth, or a picture cannot be read.
    """
    return evaluate_pairs(
        deblur, paired_frames(data, part=part, layout=layout, every=every), tell=tell
    )


def evaluate_pairs(
    deblur: Callable[[Image], Image],
    pairs: Sequence[tuple[Frame, Frame]],
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Deblur every blurry frame and compare it with its truth.

    Args:
        deblur: the network.
        pairs: blurry frames with their true sharp versions, picture files; at least one.
        tell: called with (done, all).

    Raises:
        UserError: a picture cannot be read or is too small for SSIM, or a pair differs in size.
    """
    by_clip: dict[str, list[tuple[Scores, Scores]]] = {}
    worst: dict[str, Worst] = {}
    for done, (blurry, truth) in enumerate(pairs, start=1):
        image, sharp = read_picture(blurry.path), read_picture(truth.path)
        if image.shape != sharp.shape:
            raise UserError(
                f"{blurry.path} and {truth.path} differ in size", "give pictures of one size"
            )
        if min(image.shape[-2:]) < ssim_module.SIZE:
            raise UserError(
                f"{blurry.path} is too small to be measured",
                f"give pictures of at least {ssim_module.SIZE} pixels each way",
            )
        output = psnr_module.on_8_bit(deblur(image))
        by_clip.setdefault(blurry.clip, []).append((_score(output, sharp), _score(image, sharp)))
        place = _worst(blurry, image, output, sharp)
        known = worst.get(blurry.clip)
        if known is None or place.window.lost > known.window.lost:
            worst[blurry.clip] = place
            _keep_the_worst(worst)
        tell(done, len(pairs))
    every_pair = [both for of_clip in by_clip.values() for both in of_clip]
    return Evaluation(
        images=len(every_pair),
        scores=_mean([scores for scores, _ in every_pair]),
        identity=_mean([identity for _, identity in every_pair]),
        per_clip={
            clip: (_mean([s for s, _ in of_clip]), _mean([i for _, i in of_clip]))
            for clip, of_clip in by_clip.items()
        },
        count={clip: len(of_clip) for clip, of_clip in by_clip.items()},
        below={
            clip: sum(output.psnr < identity.psnr for output, identity in of_clip)
            for clip, of_clip in by_clip.items()
        },
        worst=worst,
    )


def paired_frames(
    data: Path, *, part: str, layout: str, every: int = 1
) -> list[tuple[Frame, Frame]]:
    """Every n-th blurry frame of every clip with its true sharp version.

    Raises:
        UserError: there is none, or n is less than 1.
    """
    if every < 1:
        raise UserError(f"every is {every}", "it must be at least 1")
    pairs = []
    for clip in find_clips(data, part=part, layout=layout):
        paired = [i for i in sorted(clip.blurry) if i in clip.truth]
        pairs += [(clip.blurry[i], clip.truth[i]) for i in paired[::every]]
    if not pairs:
        raise UserError(
            f"{data} holds no pairs to measure on", "give a tree of SCENE/blur and SCENE/sharp"
        )
    return pairs


def _worst(frame: Frame, blurry: Image, output: Image, truth: Image) -> Worst:
    window = worst_window(output, blurry, truth)
    cuts = (window.cut(image).clone() for image in (blurry, output, truth))
    return Worst(frame, window, (next(cuts), next(cuts), next(cuts)))


def _keep_the_worst(worst: dict[str, Worst]) -> None:
    """Let go of the pictures of the clip that loses least, where there are too many."""
    held = [clip for clip, one in worst.items() if one.shown is not None]
    if len(held) > SHOWN:
        least = min(held, key=lambda clip: worst[clip].window.lost)
        worst[least] = replace(worst[least], shown=None)


def _score(image: Image, truth: Image) -> Scores:
    rounded = psnr_module.on_8_bit(image)
    return Scores(
        psnr=min(psnr_module.psnr(rounded, truth).item(), 99.0),
        ssim=ssim_module.ssim(rounded, truth).item(),
        ssim3d=ssim_module.ssim3d(rounded, truth).item(),
    )


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(
        psnr=statistics.fmean(s.psnr for s in scores),
        ssim=statistics.fmean(s.ssim for s in scores),
        ssim3d=statistics.fmean(s.ssim3d for s in scores),
    )
