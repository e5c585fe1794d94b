"""Video files in, as a stream of frames: never more than one decoded picture is held for you."""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import torch
import torch.nn.functional as F
from av.stream import Disposition
from av.video.frame import PictureType
from av.video.stream import VideoStream
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.media.combing import is_combed
from bluref.media.foreign import of_another_kind
from bluref.media.picture import MAX_PIXELS
from bluref.media.pixels import from_array
from bluref.media.upright import turn_of

if TYPE_CHECKING:
    Packet = av.Packet[Any]
else:  # only the stubs of PyAV know a packet's kind
    Packet = av.Packet

VIDEO_SUFFIXES = frozenset(
    [
        ".3gp",
        ".avi",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ts",
        ".webm",
        ".wmv",
    ]
)
"""Lower-case suffixes, with the dot, of the files that count as video."""

# Containers of recorded footage only. Playlists are left out: they may name other files and hosts.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,h264,hevc,mjpeg"
MAY_BEGIN_ANEW = ("mpegts", "mpeg")
"""Containers that can be put one behind the other; the clock of each then begins anew."""
BACK = Fraction(1, 10)
"""Seconds by which it falls where it does, at least."""
_COPY_AGAIN = "copy it again from its source, or remove it"
_ABOUT = 0.00051  # s by which a frame's time may differ from what is asked: half the last digit
_BUILT_ON = (PictureType.P, PictureType.B)
_EARLIER = (0, 2, 10)  # s before the time asked that seeking aims at, one after the other
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED in ITU-T H.273 and FFmpeg
TALLEST_STANDARD_DEFINITION = 576  # lines; above it, untagged video is BT.709 by convention


@dataclass(frozen=True)
class VideoInfo:
    """What a video says about itself, as it is seen after its rotation is applied.

    Attributes:
        path: the file.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        frames: how many there are, as the container says or else as its packets are counted.
        rate: average frames per second; 0 where unknown.
    """

    path: Path
    height: int
    width: int
    frames: int
    rate: float


@dataclass(frozen=True)
class VideoFrame:
    """One decoded frame.

    Attributes:
        index: 0 for the first frame that can be decoded.
        time: presentation time in seconds, as the file says; frames need not be evenly spaced.
        image: RGB in [0, 1], upright.
    """

    index: int
    time: float
    image: Float[Tensor, "1 3 h w"]


def is_video(path: Path | str) -> bool:
    """Whether the name ends like a video's, in either case; the file is not opened."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def probe_video(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> VideoInfo:
    """Read what a video says about itself, and decode its first frame to see that it can be.

    Raises:
        UserError: as `stream_video`.
    """
    path = Path(path)
    with _opened(path, max_pixels) as (container, stream):
        frame = next(container.decode(stream), None)
        if frame is None:
            raise UserError(f"{path} holds no frame that can be decoded", _COPY_AGAIN)
        sides = (frame.height, frame.width)
        sides = sides[::-1] if turn_of(frame).sideways else sides
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        counted = stream.frames if says_what_it_shows(stream) else 0
    return VideoInfo(path, *sides, counted or count_frames(path, max_pixels=max_pixels), rate)


def stream_video(
    path: Path | str, *, only: Collection[int] | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[VideoFrame]:
    """Decode a video frame by frame, upright, in the order of presentation; memory stays constant.

    Rotations by quarter turns are applied. Colours follow the file's tags; where it has none,
    BT.709 above 576 lines and BT.601 up to there, as players do.

    Args:
        path: a file whose content is video; `VIDEO_SUFFIXES` are not looked at.
        only: numbers of the frames that are wanted; nothing is decoded after the last of them, and
            those that the file does not hold do not come.
        max_pixels: larger frames are refused before they are decoded.

    Raises:
        UserError: at the first frame if the file is missing, empty, not a video or too large; later
            where it is damaged, after the frames before the damage.
    """
    path = Path(path)
    with _opened(path, max_pixels) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate or 1
        wanted = None if only is None else frozenset(only)
        last = math.inf if wanted is None else max(wanted, default=0)
        index = -1
        for index, frame in enumerate(container.decode(stream)):
            if wanted is None or index in wanted:
                time = index / float(rate) if frame.time is None else frame.time
                yield VideoFrame(index, time, _upright(frame))
            if index >= last:
                return
        if index < 0:
            raise UserError(f"{path} holds no frame that can be decoded", _COPY_AGAIN)


def seek_video(
    path: Path | str, times: Mapping[int, float], *, max_pixels: int = MAX_PIXELS
) -> Iterator[VideoFrame]:
    """A few frames of a long video, each decoded from the last key frame before it.

    Args:
        path: as of `stream_video`.
        times: of each frame wanted, by its number, as `stream_video` gives it, to a millisecond.
        max_pixels: as of `stream_video`.

    Yields:
        the frames, first those that seeking finds, then the others, each lot in order. For these,
        as in a file that has no times, not the ones given, or some twice (`MAY_BEGIN_ANEW`), the
        file is read from its start.

    Raises:
        UserError: as `stream_video`.
    """
    path = Path(path)
    missing = sorted(times)
    with _opened(path, max_pixels) as (container, stream):
        for index in () if _begins_anew(container, stream) else sorted(times):
            frame = _decoded_at(container, stream, times[index])
            if frame is not None:
                missing.remove(index)
                yield VideoFrame(index, times[index], _upright(frame))
    if missing:
        yield from stream_video(path, only=missing, max_pixels=max_pixels)


def _begins_anew(container: av.container.InputContainer, stream: VideoStream) -> bool:
    """Whether times come twice; where they may the file is read for it, and nothing decoded."""
    if container.format.name not in MAY_BEGIN_ANEW:
        return False
    tick = stream.time_base or Fraction(1, av.time_base)
    stored = (packet.dts * tick for packet in container.demux(stream) if packet.dts is not None)
    return any(later < earlier - BACK for earlier, later in pairwise(stored))


def _decoded_at(
    container: av.container.InputContainer, stream: VideoStream, time: float
) -> av.VideoFrame | None:
    """The frame of that time, or None."""
    try:
        for earlier in _EARLIER:
            frames = _decoded_from(container, stream, time - earlier)
            first = next(frames, None)
            # Some containers land behind what was asked, some pictures build on what came before.
            if first is None or first.time is None or first.time > time + _ABOUT:
                continue
            if first.pict_type in _BUILT_ON:
                continue
            for frame in chain([first], frames):
                if frame.time is None or frame.time > time + _ABOUT:
                    return None
                if frame.time >= time - _ABOUT:
                    return frame
    except (av.FFmpegError, ValueError, OverflowError):
        return None  # no such time, no seeking in this file, or damage: reading it all will tell
    return None


def _decoded_from(
    container: av.container.InputContainer, stream: VideoStream, time: float
) -> Iterator[av.VideoFrame]:
    base = stream.time_base or Fraction(1, av.time_base)
    container.seek(math.floor((time - _ABOUT) / base), stream=stream)
    yield from container.decode(stream)


@dataclass(frozen=True)
class GreyFrame:
    """One decoded frame, grey and small, as it is stored: not turned upright.

    Attributes:
        index: as of a `VideoFrame`.
        time: as of a `VideoFrame`; it goes on where the clock of the file begins anew.
        grey: levels in [0, 255].
        reduced: pixels of the file, in either direction, per pixel of `grey`.
        interlaced: whether the frame is of two fields, as it says or as its lines tell; `grey` then
            shows the first alone.
    """

    index: int
    time: float
    grey: Float[Tensor, "h w"]
    reduced: int
    interlaced: bool


def stream_grey(
    path: Path | str, *, longest: int, every: int = 1, max_pixels: int = MAX_PIXELS
) -> Iterator[GreyFrame]:
    """Every n-th frame of a video, made smaller by a whole number: cheap to look at.

    Args:
        path: as of `stream_video`, whose numbers these frames bear.
        longest: about how long the longer side shall be, in pixels; never enlarged.
        every: n, at least 1.
        max_pixels: larger frames are refused before they are decoded.

    Raises:
        UserError: as `stream_video`.
    """
    path = Path(path)
    with _opened(path, max_pixels) as (container, stream):
        step = 1 / float(stream.average_rate or stream.guessed_rate or 1)
        index, time, ahead = -1, -math.inf, 0.0
        for index, frame in enumerate(container.decode(stream)):
            last, time = time, (index * step if frame.time is None else frame.time) + ahead
            if time < last - BACK and container.format.name in MAY_BEGIN_ANEW:
                ahead += last + step - time
                time = last + step
            if index % every == 0:
                reduced = max(1, round(max(frame.width, frame.height) / longest))
                woven = bool(frame.interlaced_frame) or is_combed(frame)
                grey, reduced = _grey(frame, reduced, woven=woven)
                yield GreyFrame(index, time, grey, reduced, woven)
        if index < 0:
            raise UserError(f"{path} holds no frame that can be decoded", _COPY_AGAIN)


def _grey(frame: av.VideoFrame, reduced: int, *, woven: bool) -> tuple[Float[Tensor, "h w"], int]:
    """Brightness, and how much smaller it is."""
    if not woven:
        size = max(1, frame.width // reduced), max(1, frame.height // reduced)
        small = frame.reformat(*size, format="gray8", interpolation="AREA")
        return torch.from_numpy(small.to_ndarray()).float(), reduced
    # Two moments in turn, line by line, would look like the finest detail there is.
    field = torch.from_numpy(frame.reformat(format="gray8").to_ndarray()[::2].copy()).float()
    reduced += reduced % 2
    return F.avg_pool2d(field[None], (reduced // 2, reduced))[0], reduced


def count_frames(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> int:
    """Frames that a video holds, whatever it says: reads the file once, decodes nothing.

    Raises:
        UserError: as `stream_video`.
    """
    path = Path(path)
    with _opened(path, max_pixels) as (container, stream):
        hides = stream.codec_context.name == "vp8"
        return sum(
            # Without a byte it repeats the frame before; what is discarded was cut away.
            packet.size > 0 and not packet.is_discard and not (hides and _is_hidden(packet))
            for packet in container.demux(stream)
        )


def _is_hidden(packet: Packet) -> bool:
    """Whether a packet of VP8 is a frame to build others on, never shown (RFC 6386, 9.1)."""
    return not bytes(packet)[0] & 0x10


def says_what_it_shows(stream: VideoStream) -> bool:
    """Whether the number of frames that a container states is that of those that it shows.

    AVI counts the places of frames that were dropped, and a film that was cut without being encoded
    anew those that its edit list leaves out.
    """
    shown = sum(not entry.is_discard for entry in stream.index_entries)
    return shown >= stream.frames


def _upright(frame: av.VideoFrame) -> Float[Tensor, "1 3 h w"]:
    untagged = int(frame.colorspace) == _UNSPECIFIED
    guess = "ITU709" if untagged and frame.height > TALLEST_STANDARD_DEFINITION else None
    pixels = frame.to_ndarray(format="rgb24", src_colorspace=guess)
    return turn_of(frame).upright(from_array(pixels))


@contextmanager
def open_container(path: Path | str) -> Iterator[av.container.InputContainer]:
    """A file of recorded footage, opened for reading; playlists are refused, as are protocols.

    Text in it that is no UTF-8 comes as surrogates. Errors of its use in the block pass through.

    Raises:
        UserError: the file is missing, empty, or of no kind that is read here.
    """
    path = Path(path)
    try:
        # Opened here and not by FFmpeg, to which `concat:` or `http:` in a name means a protocol.
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot open {path}: {reason}", "check the path") from error
    with file:
        try:
            if not file.peek(1):
                raise UserError(f"{path} is empty", _COPY_AGAIN)
            options = {"format_whitelist": _CONTAINERS}
            container = av.open(file, "r", options=options, metadata_errors="surrogateescape")
        except (av.FFmpegError, OSError) as error:
            file.seek(0)
            raise of_another_kind(path, file.read(16)) or cannot_decode(path, error) from error
        with container:
            yield container


def cannot_decode(path: Path, error: Exception) -> UserError:
    """What to tell of a file that FFmpeg gave up."""
    reason = getattr(error, "strerror", None) or error
    return UserError(f"cannot decode {path} as video: {reason}", _COPY_AGAIN)


@contextmanager
def _opened(
    path: Path, max_pixels: int
) -> Iterator[tuple[av.container.InputContainer, VideoStream]]:
    """The container and its main video stream, size allowed; errors of any use name the file."""
    with open_container(path) as container:
        stream = main_stream(path, container, max_pixels)
        stream.thread_type = "AUTO"  # frames and slices; the default decodes slices only
        try:
            yield container, stream
        except (av.FFmpegError, OSError) as error:
            raise cannot_decode(path, error) from error


def main_stream(
    path: Path, container: av.container.InputContainer, max_pixels: int = MAX_PIXELS
) -> VideoStream:
    """The first video stream that is not a cover picture.

    Raises:
        UserError: there is none, its codec is unknown, or its frames are too large.
    """
    films = [v for v in container.streams.video if not v.disposition & Disposition.attached_pic]
    if not films:
        raise UserError(f"{path} holds no video", "point at a video file")
    stream = films[0]
    if stream.codec_context is None:
        raise UserError(f"{path} uses a codec that is not known here", "convert it to H.264")
    if stream.width * stream.height > max_pixels:
        raise UserError(
            f"{path} has frames of more than {max_pixels:,} pixels",
            "make them smaller, or raise the limit with --max-pixels where there is one",
        )
    return stream
