"""Readers of data folders: the published trees as they are, and plain folders of clips.

| layout | tree | truth |
|---|---|---|
| `gopro` | `SCENE/{blur,sharp}/FRAME` | the sharp frame of the same name |
| `rb2v` | `{blur,sharp}/SCENE/FRAME` | the sharp frame of the same name |
| `phonecraft` | `{blurry,sharp}/CLIP`: separate blurry and sharp clips, unrelated in time | none |
| `clips` | `CLIP`: folders of pictures or video files, roles not yet known | none |
| `curated` | a `frames.csv` as `bluref curate` writes it, which holds the roles | none |

Any of them but the last may stand inside `train/` and `test/`. A clip is a folder of pictures or a
video file.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.curated import read_curated
from bluref.frames.frame_table import TABLE
from bluref.media.picture import list_pictures
from bluref.media.video import is_video, probe_video

# Of the number in the name of a frame; longer ones are dates (20240131), or clocks (123456789).
MOST_DIGITS = 7

Layout = str
LAYOUTS: tuple[Layout, ...] = ("auto", "gopro", "rb2v", "phonecraft", "clips", "curated")


def find_clips(data: Path, *, part: str = "train", layout: Layout = "auto") -> list[Clip]:
    """Every clip of a data folder, by name.

    Args:
        data: the data folder.
        part: `train` or `test`; taken as a subfolder where `data` has it. A folder without such
            subfolders is read as it is.
        layout: one of `LAYOUTS`; `auto` looks at the folder names.

    Raises:
        UserError: no such folder, no clip in it, or blurry and sharp names that do not agree.
    """
    if not data.is_dir():
        raise UserError(f"{data} is not a folder", "point at a folder of clips or a data tree")
    if layout == "auto" and (data / TABLE).is_file():
        layout = "curated"
    root = data if layout == "curated" else _part_of(data, part)
    if layout == "auto":
        layout = detect_layout(root)
    if layout not in _READERS:
        raise UserError(f"unknown layout {layout!r}", f"use one of {', '.join(LAYOUTS)}")
    clips = _READERS[layout](root)
    if not clips:
        raise UserError(
            f"no clips in {root} (read as layout {layout!r})",
            "give folders of pictures or video files, or name the tree with --layout",
        )
    return clips


def _part_of(data: Path, part: str) -> Path:
    if (data / part).is_dir():
        return data / part
    other = {"train": "test", "test": "train"}.get(part)
    if other and (data / other).is_dir():
        raise UserError(f"{data} has {other}/ but no {part}/", f"add {data / part}")
    return data


def detect_layout(root: Path) -> Layout:
    """The layout that the folder names of `root` suggest, or a table in it tells."""
    if (root / TABLE).is_file():
        return "curated"
    names = {p.name for p in _entries(root) if p.is_dir()}
    if {"blurry", "sharp"} <= names:
        return "phonecraft"
    if {"blur", "sharp"} <= names:
        return "rb2v"
    if any((root / name / "blur").is_dir() for name in names):
        return "gopro"
    return "clips"


def _read_gopro(root: Path) -> list[Clip]:
    scenes = [p for p in _entries(root) if (p / "blur").is_dir()]
    return [_paired_clip(p.name, p / "blur", p / "sharp") for p in scenes]


def _read_rb2v(root: Path) -> list[Clip]:
    return [
        _paired_clip(p.name, p, root / "sharp" / p.name)
        for p in _entries(root / "blur")
        if p.is_dir()
    ]


def _read_phonecraft(root: Path) -> list[Clip]:
    blurry = _clip_frames(root / "blurry", prefix="blurry/")
    sharp = _clip_frames(root / "sharp", prefix="sharp/")
    if not blurry or not sharp:
        empty = root / ("sharp" if blurry else "blurry")
        raise UserError(f"no clips in {empty}", "put folders of pictures or videos there")
    return [Clip(name, frames, {}, {}) for name, frames in blurry.items()] + [
        Clip(name, {}, frames, {}) for name, frames in sharp.items()
    ]


def _read_clips(root: Path) -> list[Clip]:
    return [Clip(name, frames, frames, {}) for name, frames in _clip_frames(root).items()]


_READERS: Mapping[Layout, Callable[[Path], list[Clip]]] = {
    "gopro": _read_gopro,
    "rb2v": _read_rb2v,
    "phonecraft": _read_phonecraft,
    "clips": _read_clips,
    "curated": read_curated,
}


def _paired_clip(name: str, blur: Path, sharp: Path) -> Clip:
    """A clip whose blurry and sharp frames carry the same names."""
    blurry_files = pictures_by_stem(blur)
    sharp_files = pictures_by_stem(sharp) if sharp.is_dir() else {}
    if not blurry_files:
        raise UserError(f"no pictures in {blur}", "remove the scene, or put its frames there")
    missing = sorted(blurry_files.keys() - sharp_files.keys())
    if missing:
        raise UserError(
            f"{blurry_files[missing[0]]} has no sharp frame of the same name in {sharp}"
            f" ({len(missing)} of {len(blurry_files)} are missing)",
            "use the same file names in both folders; for unpaired clips use --layout phonecraft",
        )
    numbers = frame_numbers(sharp_files)
    truth = {numbers[s]: Frame(name, numbers[s], p) for s, p in sharp_files.items()}
    blurry = {numbers[s]: Frame(name, numbers[s], p) for s, p in blurry_files.items()}
    return Clip(name, blurry, truth, {i: truth[i] for i in blurry})


def _clip_frames(root: Path, *, prefix: str = "") -> dict[str, dict[int, Frame]]:
    """Clip name -> frames, for every video and every folder of pictures directly inside `root`.

    Pictures that lie in `root` itself are one clip more, named like the folder.
    """
    clips: dict[str, dict[int, Frame]] = {}
    for path in [*_entries(root), root]:
        if path.is_dir():
            name = prefix + own_name(path)
            frames = _pictures_as_frames(name, path)
        elif is_video(path):
            name = prefix + path.stem
            frames = video_frames(name, path)
        else:
            continue
        if not frames:
            continue
        if name in clips:
            raise UserError(f"{path} is the second clip called {name!r} there", "rename one")
        clips[name] = frames
    return clips


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name; hidden files and folders are none of ours."""
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(
            f"cannot list {folder}: {error.strerror}", "check the path, and the tree or --layout"
        ) from None
    for path in found:
        refuse_unreadable_name(path)
    return found


def own_name(path: Path) -> str:
    """What a file or folder is called, also if it is given as `.` or `..`."""
    return Path(os.path.abspath(path)).name  # noqa: PTH100 - links keep the name that they have


def refuse_unreadable_name(path: Path) -> None:
    """Refuse a name that no table, message or page could hold.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        told = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise UserError(
            f"the name {told} is not UTF-8", "rename it; for many at once, convmv -f latin1 -t utf8"
        ) from None


def pictures_by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by stem, in natural order: a frame keeps its name as PNG or JPEG."""
    pictures: dict[str, Path] = {}
    for path in list_pictures(folder):
        refuse_unreadable_name(path)
        other = pictures.setdefault(path.stem, path)
        if other is not path:
            raise UserError(f"{path} and {other} bear the same name", "keep one of the two")
    return pictures


def _pictures_as_frames(name: str, folder: Path) -> dict[int, Frame]:
    files = pictures_by_stem(folder)
    numbers = frame_numbers(files)
    return {numbers[stem]: Frame(name, numbers[stem], path) for stem, path in files.items()}


def video_frames(name: str, path: Path) -> dict[int, Frame]:
    """Every frame of a video by number, as the clip of that name."""
    return {i: Frame(name, i, path, i) for i in range(probe_video(path).frames)}


def frame_numbers(stems: Iterable[str]) -> dict[str, int]:
    """The frame number of each file stem: its last run of digits, or its place if that fails.

    Places are used for the whole clip as soon as one stem has no digits, two share a number, or one
    is too long for a count of frames: dates and clocks are none. Of clocks that are as short as a
    count, such as 123456, nobody can tell.

    Args:
        stems: in the order in which places are given.
    """
    ordered = list(stems)
    found = [re.search(r"(\d+)\D*$", stem) for stem in ordered]
    numbers = [int(match[1]) for match in found if match]
    if len(set(numbers)) == len(ordered) and max(numbers, default=0) < 10**MOST_DIGITS:
        return dict(zip(ordered, numbers, strict=True))
    return {stem: place for place, stem in enumerate(ordered)}
