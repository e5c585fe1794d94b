"""A curated folder as clips: roles are those of its frames.csv, whoever wrote them there."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.frame_table import TABLE, FrameRow, read_lines
from bluref.media.video import count_frames, is_video, probe_video


def read_curated(folder: Path) -> list[Clip]:
    """A clip for every shot of the table: named CLIP, or CLIP/shot-NN where it is cut.

    Raises:
        UserError: the table is missing or wrong, a file of a frame with a role is not there, or no
            frame has a role.
    """
    shots: dict[tuple[str, int], list[FrameRow]] = {}
    lines = read_lines(folder)
    _check_files(folder, lines)
    for _, row in lines:
        shots.setdefault((row.clip, row.shot), []).append(row)
    many = {clip for clip, _ in shots if sum(other == clip for other, _ in shots) > 1}
    clips = []
    for (clip, shot), rows in sorted(shots.items()):
        name = f"{clip}/shot-{shot:02d}" if clip in many else clip
        frames = {
            role: {r.index: _frame(name, r) for r in rows if r.role == role}
            for role in ("blurry", "sharp")
        }
        if frames["blurry"] or frames["sharp"]:
            others = {r.index: _frame(name, r) for r in rows if _shows_motion(r)}
            clips.append(Clip(name, **frames, truth={}, roles_known=True, others=others))
    if not clips:
        raise UserError(
            f"no frame in {folder / TABLE} is sharp or blurry",
            "curate footage that shows more, or give roles by hand in the column role",
        )
    return clips


def _shows_motion(row: FrameRow) -> bool:
    """Whether it is a skipped picture that was looked at, and not the one before once more.

    Of a film every frame shows motion, whatever the table says.
    """
    fresh = row.role == "skip" and row.sharpness is not None and row.duplicate is None
    return fresh and row.position is None and row.file.is_file() and not is_video(row.file)


def _frame(clip: str, row: FrameRow) -> Frame:
    return Frame(clip, row.index, row.file, row.position)


def _check_files(folder: Path, lines: Sequence[tuple[int, FrameRow]]) -> None:
    """Name the first line whose file is gone, or is a video without such a frame.

    Raises:
        UserError: there is one.
    """
    there: dict[Path, bool] = {}
    for line, row in lines:
        if row.role == "skip":
            continue
        where = f"{folder / TABLE} line {line}"
        if row.file not in there:
            there[row.file] = row.file.is_file()
        if not there[row.file]:
            raise UserError(
                f"{where}: {row.file} is not there",
                "mend the name; or bring the clips back to where they were curated, or curate them"
                " where they are now (curate --extract keeps copies inside the folder, which then"
                " may be moved)",
            )
        if row.position is None and is_video(row.file):
            raise UserError(
                f"{where}: it has no position in the video {row.file}",
                "fill in the number of the frame in the video, from 0",
            )
    for (line, row), frames in _beyond(lines):
        raise UserError(
            f"{folder / TABLE} line {line}: {row.file} has {frames} frames, none of number"
            f" {row.position}",
            "mend the position, which counts from 0; or curate again, if the video has changed",
        )


def _beyond(
    lines: Sequence[tuple[int, FrameRow]],
) -> Iterator[tuple[tuple[int, FrameRow], int]]:
    """Lines whose position lies beyond what their video holds, and how many frames that is."""
    last: dict[Path, tuple[int, FrameRow]] = {}
    for line, row in lines:
        if row.role != "skip" and row.position is not None:
            before = last.get(row.file)
            if before is None or row.position > (before[1].position or 0):
                last[row.file] = (line, row)
    for file, (line, row) in last.items():
        position, frames = row.position or 0, None
        with suppress(UserError):  # a video that cannot be read is told by whoever reads it
            # What a file says of itself may be wrong: before anybody is blamed it is counted.
            if is_video(file) and position >= probe_video(file).frames:
                frames = count_frames(file)
        if frames is not None and position >= frames:
            yield (line, row), frames
