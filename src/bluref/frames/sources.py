"""Clips that a person names, videos and folders of pictures in any mix, read to be measured."""

import hashlib
import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch.nn.functional as F

from bluref.errors import UserError
from bluref.frames.curation import LeftOut
from bluref.frames.layouts import (
    frame_numbers,
    own_name,
    pictures_by_stem,
    refuse_unreadable_name,
)
from bluref.frames.measured import Looked
from bluref.media.picture import is_picture, list_pictures, read_picture
from bluref.media.video import is_video, probe_video, stream_grey

LONGEST = 960
"""Pixels of the longer side that frames are about reduced to before they are measured."""
SHORT = 60.0
"""Seconds up to which every frame of a video is looked at, unless a rate is given."""
RATE = 10.0
"""Frames looked at per second of a longer one."""


@dataclass
class Source:
    """One clip, known by where it lies.

    Attributes:
        name: in the table; no other clip has it.
        path: the video, or the folder of pictures.
        pictures: files by number, of a folder; empty for a video.
        notes: what was noticed while reading, one line each.
        failed: pictures that could not be read.
    """

    name: str
    path: Path
    pictures: dict[int, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failed: list[LeftOut] = field(default_factory=list)

    def identity(self, *asked: object) -> str:
        """Digest of which files these are, their sizes and ages, and of what is asked of them."""
        seen = [
            (path, path.stat().st_size, path.stat().st_mtime_ns)
            for path in (self.pictures.values() or [self.path])
        ]
        told = "|".join(map(str, (*seen, *asked)))
        return hashlib.blake2b(os.fsencode(told), digest_size=16).hexdigest()

    def pace(self, rate: float | None) -> tuple[int, int]:
        """(n, about how many frames): every n-th frame is looked at.

        Raises:
            UserError: the video cannot be read.
        """
        if self.pictures:
            return 1, len(self.pictures)
        video = probe_video(self.path)
        own = video.rate or 25.0
        if rate is None:
            rate = own if video.frames <= SHORT * own else RATE
        every = max(1, int(own / rate + 0.01))
        return every, -(-video.frames // every)

    def look(self, every: int) -> Generator[Looked, None, None]:
        """Every n-th frame in order, decoded as they are asked for.

        Raises:
            UserError: nothing of the clip can be read. Damage on the way ends it, with a note.
        """
        yield from self._look_at_pictures() if self.pictures else self._look_at_video(every)

    def _look_at_video(self, every: int) -> Iterator[Looked]:
        video = probe_video(self.path)
        last = -1
        interlaced = 0
        try:
            for frame in stream_grey(self.path, longest=LONGEST, every=every):
                last, size = frame.index, (video.height, video.width)
                interlaced += frame.interlaced
                if interlaced == 1 and frame.interlaced:
                    self.notes.append(
                        "interlaced: each frame shows two moments; deinterlace it before training"
                    )
                yield Looked(frame.index, frame.time, frame.grey, frame.reduced, size)
        except UserError as error:
            if last < 0:
                raise
            self.notes.append(f"damaged after frame {last}, the rest is left out: {error.problem}")

    def _look_at_pictures(self) -> Iterator[Looked]:
        count = 0
        for index, path in self.pictures.items():
            try:
                image = read_picture(path)
            except UserError as error:
                self.failed.append(LeftOut(str(path), error.problem))
                continue
            count += 1
            grey = 255 * (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
            h, w = grey.shape[-2:]
            reduced = max(1, round(max(h, w) / LONGEST))
            small = F.avg_pool2d(grey, reduced)[0] if min(h, w) >= reduced else grey[0]
            yield Looked(index, float(index), small, reduced, (h, w), path.name)
        if not count:
            why = "; ".join(failure.reason for failure in self.failed[:1])
            raise UserError(f"no picture in {self.path} can be read: {why}", "copy them again")


def settled(path: Path) -> Path:
    """The path as tables have it, from wherever it is named; a link keeps the name that it has."""
    if ".." not in path.parts:
        return path.absolute()
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name


def find_sources(paths: Sequence[Path], *, leave_out: Path) -> tuple[list[Source], list[LeftOut]]:
    """The clips among files and folders, and what was named but is none.

    Every video is a clip, and so is every folder that holds pictures, at any depth; pictures that
    are named themselves are clips by the folder they lie in. Names are those of files and folders;
    where two are the same the later one gets a number.

    Args:
        paths: what a person named.
        leave_out: a folder that is not looked into: the output.

    Raises:
        UserError: one of the paths does not exist, or there is no clip in any.
    """
    found, failed = _named([settled(path) for path in paths], leave_out.resolve())
    sources: dict[str, Source] = {}
    for path, pictures in found:
        refuse_unreadable_name(path)
        name = _unused(own_name(path) if pictures else path.stem, sources)
        try:
            sources[name] = Source(name, path.absolute(), _numbered(path, pictures))
        except UserError as error:
            failed.append(LeftOut(str(path), error.problem))
    if not sources and failed:
        raise UserError(failed[0].reason, "give clips that can be read")
    if not sources:
        named = ", ".join(map(str, paths)) or "nothing"
        raise UserError(
            f"no video and no picture in {named}", "name videos, or folders of videos or pictures"
        )
    return list(sources.values()), failed


Found = list[tuple[Path, list[Path]]]
"""Videos, and folders with those of their pictures that are meant."""


def _named(paths: Sequence[Path], leave_out: Path) -> tuple[Found, list[LeftOut]]:
    found: Found = []
    failed: list[LeftOut] = []
    loose: dict[Path, list[Path]] = {}
    for path in paths:
        if path.is_dir():
            found += _in_folder(path, leave_out, failed)
        elif not path.exists():
            raise UserError(f"{path} does not exist", "check the path")
        elif is_video(path):
            found.append((path, []))
        elif is_picture(path):
            loose.setdefault(path.parent, []).append(path)
        else:
            failed.append(LeftOut(str(path), f"{path} is neither a video nor a picture"))
    once = {(path.resolve(), tuple(pictures)): (path, pictures) for path, pictures in found}
    whole = {path.resolve() for path, pictures in found if pictures}  # all of its pictures
    return [
        *once.values(),
        *((folder, some) for folder, some in loose.items() if folder.resolve() not in whole),
    ], failed


def _in_folder(folder: Path, leave_out: Path, failed: list[LeftOut]) -> Found:
    """Videos and folders of pictures in and below a folder, by name; hidden ones are left out."""
    if folder.resolve() == leave_out:
        return []
    found: Found = []
    try:
        pictures = list_pictures(folder)
    except UserError as error:
        failed.append(LeftOut(str(folder), error.problem))
        return []
    if pictures:
        found.append((folder, pictures))
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            found += _in_folder(path, leave_out, failed)
        elif path.is_file() and is_video(path):
            found.append((path, []))
    return found


def _numbered(folder: Path, pictures: Sequence[Path]) -> dict[int, Path]:
    if not pictures:
        return {}
    named = set(pictures)
    by_stem = {s: p for s, p in pictures_by_stem(folder).items() if p in named}
    numbers = frame_numbers(by_stem)
    return {numbers[stem]: path.absolute() for stem, path in by_stem.items()}


def _unused(name: str, taken: dict[str, Source]) -> str:
    count = 2
    name = unused = name.strip() or "clip"  # tables are read without the blanks around a name
    while unused in taken:
        unused, count = f"{name}-{count}", count + 1
    return unused
