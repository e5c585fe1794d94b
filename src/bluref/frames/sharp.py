"""Sharp frames out of folders of any kind: what synthetic pairs are made from."""

from collections.abc import Sequence
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.layouts import find_clips, video_frames
from bluref.frames.split import split_clips
from bluref.media.picture import is_picture
from bluref.media.video import is_video


def sharp_frames(
    sources: Sequence[Path], *, part: str = "train", most: int | None = None
) -> list[Frame]:
    """The frames of every source that may serve as sharp ones, in order of sources and clips.

    Of the training part of a paired data set these are the odd frames (`split.split_clips`): the
    others are the truth of its blurry frames, which nothing may learn from.

    Args:
        sources: pictures, videos, folders of either, or data trees, as `frames.layouts` reads them.
        part: `train` or `test`, where a folder has such parts.
        most: take no more than so many, spread evenly over all of them; at least 1.

    Raises:
        UserError: a source cannot be read or holds no clip, or there is no sharp frame in any.
        ValueError: `most` below 1.
    """
    if most is not None and most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    frames = [frame for source in sources for frame in _frames_of(source, part)]
    if not frames:
        named = ", ".join(map(str, sources)) or "nothing"
        raise UserError(f"no sharp frame in {named}", "give folders of sharp pictures or clips")
    if most is None or most >= len(frames):
        return frames
    return [frames[place * len(frames) // most] for place in range(most)]


def _frames_of(source: Path, part: str) -> list[Frame]:
    if source.is_file() and is_picture(source):
        return [Frame(f"{source.absolute().parent.name}/{source.stem}", 0, source)]
    if source.is_file() and is_video(source):
        return list(video_frames(source.stem, source).values())
    return [frame for clip in find_clips(source, part=part) for frame in _sharp_of(clip, part)]


def _sharp_of(clip: Clip, part: str) -> list[Frame]:
    if part == "train" and clip.truth:
        return list(split_clips([clip], "alternating", _never).sharp)
    return [clip.sharp[index] for index in sorted(clip.sharp)]


def _never(frame: Frame) -> float:
    raise AssertionError(f"this split measures nothing, but was asked about {frame}")
