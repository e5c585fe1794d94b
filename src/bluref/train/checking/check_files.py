"""A look at every file of a data folder: can it be read, is it of the size of its clip, what is it.

Pictures are decoded whole, since a file that was cut short has a sound header. Of very large
folders a part that is spread over all of it is looked at, and of long videos the beginning.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.workers import one_core_each
from bluref.measure.likeness import Impression, impression
from bluref.media.picture import picture_size, read_picture
from bluref.media.video import stream_video
from bluref.train.checking.check_report import Problem

MOST = 1500
"""Frames that are looked at, at most."""
FEWEST_OF_VIDEO = 48
"""Frames of each video that are looked at, at least, if it has as many."""
COMBED = 1.1
"""How much more neighbouring lines differ than those two apart where two fields are interlaced;
at most 0.5 on progressive frames of davis_blur, 1.5 and more on two
of them interlaced."""
BLANK, INTERLACED = 0.5, 0.5
"""Share of a clip's frames that must be blank, or combed, for the clip to be called so."""
FOREIGN = frozenset(
    [".arw", ".avif", ".bmp", ".cr2", ".cr3", ".dng", ".gif", ".heic", ".heif", ".jxl", ".nef"]
)
"""Pictures that other tools read and training does not."""

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Look:
    """What one look at a frame showed.

    Attributes:
        size: (height, width) in pixels.
        impression: to know the picture again.
        combed: whether neighbouring lines belong to two moments.
    """

    size: tuple[int, int]
    impression: Impression
    combed: bool


@dataclass(frozen=True)
class Survey:
    """What the files of a data folder are like.

    Attributes:
        looks: frames that were decoded.
        sizes: (height, width) of every picture file that has a readable header.
        broken: frames that cannot be read, and why.
    """

    looks: Mapping[Frame, Look] = field(default_factory=dict)
    sizes: Mapping[Frame, tuple[int, int]] = field(default_factory=dict)
    broken: Mapping[Frame, UserError] = field(default_factory=dict)


def frames_of(clips: Iterable[Clip]) -> list[Frame]:
    """Every frame of some clips once, truth included."""
    found: dict[Frame, None] = {}
    for clip in clips:
        for frames in (clip.blurry, clip.sharp, clip.truth):
            found.update(dict.fromkeys(frames.values()))
    return list(found)


def survey(frames: Sequence[Frame], *, tell: Tell = lambda done, total: None) -> Survey:
    """Look at frames, on all processor cores.

    Args:
        frames: of any number of clips.
        tell: called with (done, all).
    """
    pictures = [frame for frame in frames if frame.position is None]
    chosen = set(_spread(pictures, MOST))
    looks: dict[Frame, Look] = {}
    sizes: dict[Frame, tuple[int, int]] = {}
    broken: dict[Frame, UserError] = {}

    def glance(frame: Frame) -> tuple[Look | None, tuple[int, int]] | UserError:
        try:
            if frame in chosen:
                look = _look(read_picture(frame.path))
                return look, look.size
            return None, picture_size(frame.path)
        except UserError as error:
            return error

    with one_core_each(os.cpu_count() or 1) as pool:
        seen_ones = zip(pictures, pool.map(glance, pictures), strict=True)
        for done, (frame, seen) in enumerate(seen_ones, start=1):
            if isinstance(seen, UserError):
                broken[frame] = seen
            else:
                look, sizes[frame] = seen
                looks |= {} if look is None else {frame: look}
            tell(done, len(pictures))
    _survey_videos(frames, looks, broken)
    return Survey(looks, sizes, broken)


def size_problems(seen: Survey) -> list[Problem]:
    """Clips whose pictures differ in size: the first odd one of each, and how many there are."""
    by_clip: dict[str, dict[Frame, tuple[int, int]]] = {}
    for frame, size in seen.sizes.items():
        by_clip.setdefault(frame.clip, {})[frame] = size
    problems = []
    for sizes in by_clip.values():
        (height, width), _ = Counter(sizes.values()).most_common(1)[0]
        odd = [frame for frame, size in sizes.items() if size != (height, width)]
        if odd:
            h, w = sizes[odd[0]]
            problems.append(
                Problem(
                    str(odd[0]),
                    f"{w}x{h}, where most of its clip is {width}x{height}"
                    f" ({len(odd)} of {len(sizes)} are odd)",
                    "put pictures of different size into clips of their own, or resize them",
                    "hopeless",
                )
            )
    return problems


def clip_problems(seen: Survey) -> list[Problem]:
    """Clips that show nothing, and clips of interlaced video."""
    by_clip: dict[str, dict[Frame, Look]] = {}
    for frame, look in seen.looks.items():
        by_clip.setdefault(frame.clip, {})[frame] = look
    problems = []
    for clip, looks in by_clip.items():
        blank = sum(look.impression.blank for look in looks.values())
        combed = sum(look.combed for look in looks.values())
        if blank >= BLANK * len(looks):
            told = f"{blank} of {len(looks)} frames are black, or of one colour"
            problems.append(Problem(clip, told, "leave the clip out", "thin"))
        elif combed >= INTERLACED * len(looks):
            told = "interlaced: every second line was taken at another moment"
            fix = "deinterlace it first, for instance by ffmpeg -i IN -vf bwdif OUT"
            problems.append(Problem(clip, told, fix, "thin"))
    return problems


def foreign_problems(data: Path) -> list[Problem]:
    """Pictures that are passed over, since they are of a kind that training does not read."""
    found = Counter[str]()
    first: dict[str, str] = {}
    for folder, _, names in os.walk(data):
        for name in names:
            suffix = Path(name).suffix.lower()
            if suffix in FOREIGN and not name.startswith("."):
                found[suffix] += 1
                first.setdefault(suffix, str(Path(folder) / name))
    return [
        Problem(first[suffix], f"{count} files {suffix} are passed over", "convert them to PNG")
        for suffix, count in sorted(found.items())
    ]


def _survey_videos(
    frames: Sequence[Frame], looks: dict[Frame, Look], broken: dict[Frame, UserError]
) -> None:
    videos: dict[Path, dict[int, Frame]] = {}
    for frame in frames:
        if frame.position is not None:
            videos.setdefault(frame.path, {})[frame.position] = frame
    most = max(FEWEST_OF_VIDEO, MOST // max(len(videos), 1))
    for path, wanted in videos.items():
        # The first frame in any case: a film that cannot be decoded is told.
        near = {0, *(number for number in wanted if number < most)}
        try:
            for picture in stream_video(path, only=near):
                if picture.index in wanted:
                    looks[wanted[picture.index]] = _look(picture.image)
        except UserError as error:
            broken[wanted[min(wanted)]] = error


def _look(image: Float[Tensor, "1 3 h w"]) -> Look:
    green = image[:, 1]
    near, apart = (green[:, n:].sub(green[:, :-n]).square().mean() for n in (1, 2))
    combed = bool(near > COMBED * apart) if green.shape[1] > 2 else False
    return Look((image.shape[-2], image.shape[-1]), impression(image), combed)


def _spread(frames: Sequence[Frame], most: int) -> Sequence[Frame]:
    if len(frames) <= most:
        return frames
    return [frames[place * len(frames) // most] for place in range(most)]
