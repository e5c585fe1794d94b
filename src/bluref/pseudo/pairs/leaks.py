"""Whether pairs hold a picture that a network trained on them will be judged by."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.media.picture import read_picture
from bluref.media.pixels import from_array, to_array
from bluref.media.video import stream_video

SIDE = 24  # of the thumbnails that are compared, in pixels
# Two pictures whose thumbnails differ by less are nearly the same: root mean square over pixels, of
# the smaller one's contrast. On `davis_blur` a picture at half its size differs by 0.025 at most,
# as JPEG of quality 60 by 0.009; the next frame of a clip by 0.042 at least, 0.25 in the median.
NEARLY = 0.03
FLAT = 0.01  # contrast, of values in [0, 1], below which a thumbnail tells nothing


@dataclass(frozen=True)
class Leak:
    """A picture of a pair that is also one of validation.

    Attributes:
        blurry: the pair's blurry frame.
        frame: of the pair: the blurry frame or a reference.
        seen: the picture of validation.
        same: whether they are pixel for pixel the same, or else nearly so.
    """

    blurry: Frame
    frame: Frame
    seen: Frame
    same: bool


def pixel_hash(pixels: UInt8[np.ndarray, "h w 3"]) -> str:
    """Of what a frame shows, whatever file it lies in."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


class _Known:
    """The pictures of validation, to be looked up."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._hashes: dict[str, Frame] = {}
        self._thumbnails: list[Float[Tensor, "side side"]] = []

    def add(self, frame: Frame, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
        """Remember one."""
        self._frames.append(frame)
        self._hashes.setdefault(pixel_hash(pixels), frame)
        self._thumbnails.append(_thumbnail(pixels))

    def look(self, frame: Frame, store: FrameStore) -> tuple[Frame, bool] | None:
        """The picture that a frame is, and whether it is the very same; None if there is none."""
        pixels = store.pixels(frame)
        same = self._hashes.get(pixel_hash(pixels))
        if same is not None:
            return same, True
        near = _nearest(_thumbnail(pixels), torch.stack(self._thumbnails))
        return None if near is None else (self._frames[near], False)


def find_leaks(
    samples: Sequence[Sample],
    validation: Sequence[Frame],
    store: FrameStore,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Leak]:
    """Every frame of a pair, blurry or reference, that validation shows too.

    A frame that is the very same picture is told as `same`, others whose
    thumbnails hardly differ as not.

    Args:
        samples: blurry frames with their references.
        validation: frames that networks are judged by, truth included.
        store: where the frames of the samples are read from.
        tell: called with (done, all) as pictures of validation are read.

    Returns:
        at most one for each frame of each sample.

    Raises:
        UserError: a picture cannot be read.
    """
    if not validation:
        return []
    known = _Known()
    for done, (frame, pixels) in enumerate(_pictures(validation), start=1):
        known.add(frame, pixels)
        tell(done, len(validation))
    frames = dict.fromkeys(f for sample in samples for f in (sample.blurry, *sample.references))
    hits = {frame: known.look(frame, store) for frame in frames}
    return [
        Leak(sample.blurry, frame, *hit)
        for sample in samples
        for frame in (sample.blurry, *sample.references)
        if (hit := hits[frame]) is not None
    ]


def without(samples: Sequence[Sample], leaks: Iterable[Leak]) -> list[Sample]:
    """The samples without a picture of validation; where one is but nearly the same they stay."""
    told = {leak.blurry for leak in leaks if leak.same}
    return [sample for sample in samples if sample.blurry not in told]


def _pictures(frames: Sequence[Frame]) -> Iterable[tuple[Frame, UInt8[np.ndarray, "h w 3"]]]:
    """Each frame with its pixels, in any order; a film is read once, and nothing is kept."""
    films: dict[Path, dict[int, Frame]] = {}
    for frame in dict.fromkeys(frames):
        if frame.position is None:
            yield frame, to_array(read_picture(frame.path))
        else:
            films.setdefault(frame.path, {})[frame.position] = frame
    for path, wanted in films.items():
        yield from _of_film(path, wanted)


def _of_film(
    path: Path, wanted: Mapping[int, Frame]
) -> Iterable[tuple[Frame, UInt8[np.ndarray, "h w 3"]]]:
    for picture in stream_video(path, only=wanted):
        yield wanted[picture.index], to_array(picture.image)


def _thumbnail(pixels: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "side side"]:
    """Brightness on a small grid, less its mean."""
    grey = from_array(np.array(pixels)).mean(dim=1, keepdim=True)
    small = F.adaptive_avg_pool2d(grey, SIDE)[0, 0]
    return small - small.mean()


def _nearest(thumb: Float[Tensor, "side side"], stack: Float[Tensor, "n side side"]) -> int | None:
    """Place of the picture that is nearly the same; None if there is none."""
    contrast = torch.minimum(thumb.square().mean().sqrt(), stack.square().mean(dim=(1, 2)).sqrt())
    difference = (stack - thumb).square().mean(dim=(1, 2)).sqrt()
    ratio = (difference / contrast.clamp(min=1e-9)).where(
        contrast >= FLAT, torch.full((), float("inf"))
    )
    place = int(ratio.argmin())
    return place if ratio[place] < NEARLY else None
