"""What a simulation can start from: videos, numbered frames, or photographs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bluref.degrade.simulation import Failure
from bluref.errors import UserError
from bluref.media.picture import is_picture, list_pictures, picture_size, read_picture
from bluref.media.video import is_video, stream_video

_FEWEST_FRAMES = 3  # a folder with fewer pictures is never taken for footage


@dataclass(frozen=True)
class Source:
    """Files to work with.

    Attributes:
        kind: `videos`, `frames` (of one video, in order) or `stills`.
        paths: at least one.
    """

    kind: str
    paths: tuple[Path, ...]


def find_source(path: Path, kind: str) -> Source:
    """Look at a file or folder and say what it is.

    Args:
        path: a video, a photograph, or a folder of either (its subfolders are not looked at).
        kind: `video` or `stills` to insist, `auto` to find out: a folder of pictures is taken for
            frames when all share one size and are numbered without gaps.

    Raises:
        UserError: nothing there, nothing usable, or not the kind that was insisted on.
    """
    if path.is_dir():
        videos = tuple(sorted(p for p in path.iterdir() if p.is_file() and is_video(p)))
        pictures = tuple(list_pictures(path))
    elif path.is_file():
        videos = (path,) if is_video(path) else ()
        pictures = (path,) if is_picture(path) else ()
    else:
        raise UserError(f"{path} does not exist", "point at a video or a folder of pictures")
    if kind == "auto" and videos and pictures:
        raise UserError(
            f"{path} holds both videos and pictures", "choose with --kind video or --kind stills"
        )
    if videos and kind != "stills":
        return Source("videos", videos)
    if pictures and (kind == "video" or (kind == "auto" and _are_frames(pictures))):
        return Source("frames", pictures)
    if pictures:
        return Source("stills", pictures)
    wanted = {"video": "video or frames", "stills": "photographs"}.get(kind, "video or pictures")
    raise UserError(f"{path} holds no {wanted}", "point at a video or a folder of pictures")


def read_photograph(path: Path, failed: list[Failure]) -> Tensor | None:
    """The picture `1 3 h w`, or None with the reason added to `failed`."""
    try:
        return read_picture(path)
    except UserError as error:
        failed.append(Failure(path.name, error.problem))
        return None


def read_footage(path: Path, failed: list[Failure]) -> Iterator[Tensor]:
    """The frames `1 3 h w` of a video up to its end or to the damage that is added to `failed`."""
    try:
        for frame in stream_video(path):
            yield frame.image
    except UserError as error:
        failed.append(Failure(path.name, error.problem))


def _are_frames(pictures: tuple[Path, ...]) -> bool:
    numbers = [re.search(r"(\d+)\D*$", picture.stem) for picture in pictures]
    if len(pictures) < _FEWEST_FRAMES or not all(numbers):
        return False
    counted = [int(match.group(1)) for match in numbers if match]
    if counted != list(range(counted[0], counted[0] + len(counted))):
        return False
    return len({size for picture in pictures if (size := _size(picture))}) == 1


def _size(picture: Path) -> tuple[int, int] | None:
    try:
        return picture_size(picture)
    except UserError:
        return None  # reported when its turn comes to be read
