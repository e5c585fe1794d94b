"""A curated folder as clips: roles are those of its frames.csv, whoever wrote them there."""

from collections.abc import Sequence
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.frame_table import TABLE, FrameRow, read_table
from bluref.media.video import is_video


def read_curated(folder: Path) -> list[Clip]:
    """A clip for every shot of the table: named CLIP, or CLIP/shot-NN where it is cut.

    Raises:
        UserError: the table is missing or wrong, a file of a frame with a role is not there, or no
            frame has a role.
    """
    shots: dict[tuple[str, int], list[FrameRow]] = {}
    for row in read_table(folder):
        shots.setdefault((row.clip, row.shot), []).append(row)
    many = {clip for clip, _ in shots if sum(other == clip for other, _ in shots) > 1}
    _check_files(folder, [row for rows in shots.values() for row in rows])
    clips = []
    for (clip, shot), rows in sorted(shots.items()):
        name = f"{clip}/shot-{shot:02d}" if clip in many else clip
        frames = {
            role: {r.index: _frame(name, r) for r in rows if r.role == role}
            for role in ("blurry", "sharp")
        }
        if frames["blurry"] or frames["sharp"]:
            clips.append(Clip(name, frames["blurry"], frames["sharp"], {}, roles_known=True))
    if not clips:
        raise UserError(
            f"no frame in {folder / TABLE} is sharp or blurry",
            "curate footage that shows more, or give roles by hand in the column role",
        )
    return clips


def _frame(clip: str, row: FrameRow) -> Frame:
    return Frame(clip, row.index, row.file, row.position)


def _check_files(folder: Path, rows: Sequence[FrameRow]) -> None:
    """Name the first line whose file is gone, or is a video without a position."""
    there: dict[Path, bool] = {}
    for row in rows:
        if row.role == "skip":
            continue
        where = f"{folder / TABLE}: {row.clip} frame {row.index}"
        if row.file not in there:
            there[row.file] = row.file.is_file()
        if not there[row.file]:
            raise UserError(
                f"{where}: {row.file} is not there",
                "bring the clips back to where they were curated, or curate them where they are now"
                " (curate --extract keeps copies inside the folder, which then may be moved)",
            )
        if row.position is None and is_video(row.file):
            raise UserError(
                f"{where}: it has no position in the video {row.file}",
                "fill in the number of the frame in the video, from 0",
            )
