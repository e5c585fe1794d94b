"""Copies of the frames that have a role, as pictures beside their table."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.frame_table import FrameRow
from bluref.media.picture import read_picture, write_picture
from bluref.media.video import stream_video
from bluref.media.whole import write_text_whole

FRAMES = "frames"
"""Folder in DATA that holds a folder of pictures per clip."""
ORIGIN = ".origin"
"""In that of a clip: digest of the files that its pictures were made from."""


def extract(
    rows: Sequence[FrameRow], out: Path, tell: Callable[[str, int, int], None]
) -> list[FrameRow]:
    """Write every sharp and blurry frame as `out`/frames/CLIP/NNNNNN.png, upright.

    A picture that is there already is kept, so that an interrupted extraction goes on; where the
    clip of that name is another one now, or has changed, its pictures are made anew.

    Args:
        rows: of the whole table.
        out: the data folder.
        tell: called with (clip, done, all) as pictures are written.

    Returns:
        the rows, those of written frames pointing to the pictures.

    Raises:
        UserError: the disk is full, a frame cannot be read any more, or a folder that copies would
            go to holds pictures already that are none.
    """
    targets = {
        place: out.absolute() / FRAMES / row.clip / f"{row.index:06d}.png"
        for place, row in enumerate(rows)
        if row.role != "skip"
    }
    _forget_others(rows, targets)
    missing = {place: path for place, path in targets.items() if not path.is_file()}
    by_file: dict[Path, list[int]] = {}
    for place in missing:
        by_file.setdefault(rows[place].file, []).append(place)
    done = 0
    for file, places in by_file.items():
        wanted = {rows[place].position: missing[place] for place in places}
        clip = f"{rows[places[0]].clip}, copied"
        if None in wanted:
            write_picture(read_picture(file), wanted.pop(None))
            tell(clip, done := done + 1, len(missing))
            continue
        for frame in stream_video(file, only=[n for n in wanted if n is not None]):
            write_picture(frame.image, wanted.pop(frame.index))
            tell(clip, done := done + 1, len(missing))
        if wanted:
            raise UserError(
                f"{file} ends before frame {min(p for p in wanted if p is not None)}",
                "it has changed: curate it again",
            )
    return [
        replace(row, file=targets[place], position=None) if place in targets else row
        for place, row in enumerate(rows)
    ]


def _forget_others(rows: Sequence[FrameRow], targets: Mapping[int, Path]) -> None:
    """Remove the pictures of clips that are not what they were made from, and say what is to come.

    Raises:
        UserError: a file of a clip is gone, the folder cannot be written, or is not ours.
    """
    files: dict[Path, set[Path]] = {}
    for place, target in targets.items():
        files.setdefault(target.parent, set()).add(rows[place].file)
    _refuse_foreign(files)
    for folder, sources in files.items():
        origin = folder / ORIGIN
        now = _digest(sources)
        if origin.is_file() and origin.read_text("utf-8", "replace") == now:
            continue
        for picture in folder.glob("*.png"):
            picture.unlink()
        write_text_whole(origin, now)


def _refuse_foreign(files: Mapping[Path, set[Path]]) -> None:
    """Refuse to write where somebody's own pictures lie, before any is touched."""
    every = {file.resolve() for sources in files.values() for file in sources}
    read = {parent for file in every for parent in file.parents}
    for folder in files:
        others = not (folder / ORIGIN).exists() and any(folder.glob("*.png"))
        if others or folder.resolve() in read:
            raise UserError(
                f"copies would go to {folder}, which holds pictures of its own",
                "name another output folder, or leave --extract out",
            )


def _digest(files: Iterable[Path]) -> str:
    """Of which files they are, their sizes and ages."""
    try:
        told = [f"{f}|{f.stat().st_size}|{f.stat().st_mtime_ns}" for f in sorted(files)]
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}", "curate again") from None
    return hashlib.blake2b(os.fsencode("|".join(told)), digest_size=16).hexdigest()
