"""Pictures of a curated folder: a timeline and a sheet of frames for each clip."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from bluref.frames.frame_table import FrameRow, read_table
from bluref.media.picture import write_picture
from bluref.report.frame_sheet import frame_sheet, pick, read_frames
from bluref.report.timeline import draw_timeline

PICTURES = "pictures"
"""Folder in DATA that holds CLIP.timeline.png and CLIP.frames.jpg."""
_LARGEST = 4096  # table lines of a clip of which every one is drawn


def draw_curated(
    data: Path, *, tell: Callable[[str, int, int], None] = lambda clip, done, total: None
) -> list[Path]:
    """Draw what lies in `data`/frames.csv, roles changed by hand included.

    Args:
        data: a curated folder.
        tell: called with (what is drawn, clips done, all).

    Returns:
        the pictures, in order of the clips.

    Raises:
        UserError: the table is wrong, a clip cannot be read any more, or the disk is full.
    """
    clips: dict[str, list[FrameRow]] = {}
    for row in read_table(data):
        clips.setdefault(row.clip, []).append(row)
    pictures = []
    for done, (clip, rows) in enumerate(clips.items(), start=1):
        name = _file_name(clip)
        timeline = data / PICTURES / f"{name}.timeline.png"
        draw_timeline(rows[:: -(-len(rows) // _LARGEST)], timeline)
        pictures.append(timeline)
        picks = pick(rows)
        images = read_frames(picks)
        sheet = frame_sheet(picks, lambda row, images=images: images[row.clip, row.index])  # type: ignore[misc]
        if sheet is not None:
            write_picture(sheet, data / PICTURES / f"{name}.frames.jpg", quality=90)
            pictures.append(data / PICTURES / f"{name}.frames.jpg")
        tell("pictures", done, len(clips))
    return pictures


def _file_name(clip: str) -> str:
    """The clip's name as a file's: a hand-edited table may hold anything."""
    plain = "".join(c if c.isalnum() or c in " -_." else "_" for c in clip).strip(". ")[:100]
    if plain == clip:
        return plain
    return f"{plain}-{hashlib.blake2b(clip.encode(), digest_size=4).hexdigest()}"
