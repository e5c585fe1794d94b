"""A video file as the frames it shows, each with its own samples and its exact time.

Frames that the decoder could not make keep their place: the one before is shown again, as a player
would do it. So there are as many frames as the file has, and every one knows whether to be trusted.
"""

import heapq
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from bluref.errors import UserError
from bluref.media.films.clock import Clock
from bluref.media.films.planes import copied, planar
from bluref.media.picture import MAX_PIXELS
from bluref.media.video import (
    Packet,
    cannot_decode,
    main_stream,
    open_container,
    says_what_it_shows,
)

# Of these one packet is one frame that is shown, so that a missing frame can be told from a hidden
# one, such as VP8 has.
_PACKET_IS_FRAME = frozenset(
    [
        *("av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg"),
        *("mpeg1video", "mpeg2video", "mpeg4", "png", "prores", "vp9"),
    ]
)
TOLD = 3  # places where the recording began anew
_NOTHING_NEW = 8  # bytes: MPEG-4 has packets that say that the frame stays
_SLACK = 1.0  # s by which the streams may end before the length that the file states


@dataclass(frozen=True)
class Shown:
    """One frame as the file shows it.

    Attributes:
        index: 0 for the first.
        pts: when it is shown, in ticks of the stream; always later than the frame before.
        duration: ticks that it says it stays; 0 where it does not say.
        frame: its samples, in a planar format, as stored: not turned upright.
        corrupt: whether the decoder found it damaged, or gave none and this is the one before.
    """

    index: int
    pts: int
    duration: int
    frame: av.VideoFrame
    corrupt: bool


class Recording:
    """A video file opened for its frames; see `open_recording`.

    Attributes:
        path: the file.
        container: as PyAV has it.
        stream: the video stream that is read.
        rate: frames per second, on average; 25 where the file does not know.
        notes: what was found amiss while reading, one line each.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self.path = path
        self.container = container
        self.stream = stream
        self.rate = _rate(stream)
        self.notes: list[str] = []
        self._packets = 0
        self._end = 0.0
        self._clock = Clock(container.format.name)
        context = stream.codec_context
        context.thread_type = "SLICE"  # with threads by frame, damage is told of the wrong frame
        if context.name == "libdav1d":
            context.flags |= av.codec.context.Flags.low_delay

    @property
    def codec(self) -> str:
        """Name of the codec: `h264`, whoever decodes it."""
        return str(self.stream.codec_context.codec.canonical_name)

    @property
    def about(self) -> int:
        """How many frames there are, so far as is known without reading all; 0 where it is not."""
        length = (self.container.duration or 0) / av.time_base
        return self.stream.frames or round(length * float(self.rate))

    def frames(self) -> Generator[Shown, None, None]:
        """All frames in the order of presentation. Can be asked for once.

        Raises:
            UserError: no frame can be decoded, or the size changes on the way.
        """
        last: Shown | None = None
        for frame, pts, corrupt in self._completed():
            if last is not None and (frame.width, frame.height) != _size(last.frame):
                raise UserError(
                    f"{self.path} changes its size at frame {last.index + 1}", "cut it there"
                )
            pts = self._in_order(pts, last)
            index = 0 if last is None else last.index + 1
            last = Shown(index, pts, frame.duration or 0, frame, corrupt)
            yield last
        if last is None:
            raise UserError(
                f"{self.path} holds no frame that can be decoded",
                "copy it again from its source, or remove it",
            )
        self._note_length()

    def _note_length(self) -> None:
        """Tell where the film breaks off, or where parts of it were put together."""
        jumps = self._clock.jumps
        if not jumps:  # or nobody knows how long it ought to be
            self._note_truncation()
            return
        after = ", ".join(f"{jump:.1f}" for jump in jumps[:TOLD])
        more = f", ... ({len(jumps)} times)" if len(jumps) > TOLD else ""
        self._note(f"its clock begins anew after {after} s{more}: what follows is shown next")

    def _in_order(self, pts: int | None, last: Shown | None) -> int:
        """The time of a frame, made later than that of the one before where it is not."""
        if last is None:
            return 0 if pts is None else pts
        if pts is not None and pts > last.pts:
            return pts
        self._note("timestamps that do not increase were moved")
        step = last.duration or round(1 / (self.rate * (self.stream.time_base or 1)))
        return last.pts + (max(step, 1) if pts is None else 1)

    def _completed(self) -> Iterator[tuple[av.VideoFrame, int | None, bool]]:
        """Frames with time and damage, and in the place of missing ones the frame before."""
        # AVI knows when frames are decoded, not when they are shown.
        untimed = self.container.format.name == "avi" and self.stream.codec_context.has_b_frames
        expected = _Expected(self.codec, timed=not untimed)
        before: av.VideoFrame | None = None
        for decoded in self._decoded(expected):
            name = planar(decoded.format.name) if before is None else before.format.name
            frame = _in_planes(decoded, name)
            lost = expected.before(frame)
            for pts in lost:  # those before the first frame show the first
                yield copied(before or frame), pts, True
            before = copied(frame)
            yield frame, frame.pts, frame.is_corrupt or expected.damaged(frame.pts)
        if before is not None:
            for pts in expected.rest():
                yield copied(before), pts, True

    def _decoded(self, expected: "_Expected") -> Iterator[av.VideoFrame]:
        try:
            for packet in self.container.demux():
                self._clock.set(packet)
                self._past(packet)
                empty = packet.size == 0 and packet.dts is not None  # AVI: nothing new to show
                if packet.stream.index != self.stream.index or empty:
                    continue
                expected.packet(packet)
                try:
                    yield from self.stream.decode(packet)
                except av.error.InvalidDataError:
                    expected.failed(packet)
        except av.FFmpegError as error:
            self._note(f"the file breaks off: {error.strerror}")
        except OSError as error:
            raise cannot_decode(self.path, error) from error

    def _past(self, packet: Packet) -> None:
        """Remember how many packets of the video came, and how far any stream went, in seconds."""
        self._packets += packet.stream.index == self.stream.index and packet.dts is not None
        if packet.pts is not None and packet.stream.type in ("video", "audio"):
            end = (packet.pts + (packet.duration or 0)) * (packet.time_base or Fraction(1))
            self._end = max(self._end, float(end))

    def _note_truncation(self) -> None:
        container = self.container
        known = container.format.name.startswith("mov") and says_what_it_shows(self.stream)
        stated = self.stream.frames if known else 0
        if self._packets < stated:
            self._note(f"the file is cut short: {self._packets} of {stated} frames are there")
        elif container.duration is not None and not stated:
            begin, length = (
                (container.start_time or 0) / av.time_base,
                container.duration / av.time_base,
            )
            if self._end - begin < length - _SLACK:
                there = f"{self._end - begin:.1f} of {length:.1f} s"
                self._note(f"the file is cut short: {there} are there")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


@contextmanager
def open_recording(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Iterator[Recording]:
    """Open a video file for its frames.

    Args:
        path: a file whose content is video, whatever its suffix.
        max_pixels: larger frames are refused before they are decoded.

    Raises:
        UserError: the file is missing, empty, not a video, or its frames are too large.
    """
    path = Path(path)
    with open_container(path) as container:
        yield Recording(path, container, main_stream(path, container, max_pixels))


class _Expected:
    """The times of packets that no frame has come of yet."""

    def __init__(self, codec: str, *, timed: bool) -> None:
        self._codec = codec
        # Whether a frame may be missed that no error told of.
        self._silent = timed and codec in _PACKET_IS_FRAME
        self._times: list[int] = []  # a heap
        self._failed: set[int] = set()
        self._keys: set[int] = set()
        self._started = False

    def packet(self, packet: Packet) -> None:
        if packet.is_discard or packet.size == 0:
            return
        if packet.size <= _NOTHING_NEW and self._codec == "mpeg4":
            return
        if packet.pts is None:
            self._silent = False
            return
        heapq.heappush(self._times, packet.pts)
        if packet.is_keyframe and not self._started:
            self._keys.add(packet.pts)
        if packet.is_corrupt:
            self._failed.add(packet.pts)

    def failed(self, packet: Packet) -> None:
        if packet.pts is not None:
            self._failed.add(packet.pts)

    def before(self, frame: av.VideoFrame) -> list[int]:
        """Times of frames that are missing before this one."""
        self._silent = self._silent and not frame.interlaced_frame and frame.pts is not None
        if frame.pts is None:
            return []
        earlier = []
        while self._times and self._times[0] < frame.pts:
            earlier.append(heapq.heappop(self._times))
        if self._times and self._times[0] == frame.pts:
            heapq.heappop(self._times)
        else:
            self._silent = False  # its time is no packet's: times are not to be reasoned with
        lost = self._missing(earlier)
        self._started = True
        return lost

    def rest(self) -> list[int]:
        """Times of frames that are missing at the end."""
        return self._missing(sorted(self._times))

    def damaged(self, pts: int | None) -> bool:
        """Whether the packet of a frame was; asked once."""
        if pts not in self._failed:
            return False
        self._failed.discard(pts)
        return True

    def _missing(self, times: list[int]) -> list[int]:
        # A stream may begin with frames that need others from before its beginning; key frames do
        # not.
        missing = [
            pts
            for pts in times
            if pts in self._failed or (self._silent and (self._started or pts in self._keys))
        ]
        self._failed.difference_update(times)
        return missing


def _in_planes(frame: av.VideoFrame, name: str) -> av.VideoFrame:
    if frame.format.name == name and all(plane.line_size > 0 for plane in frame.planes):
        return frame
    return reformatted(frame, name)


def reformatted(frame: av.VideoFrame, name: str) -> av.VideoFrame:
    """A frame in another pixel format, with the same range, tags, time and side data.

    RGB that has to become Y'CbCr does so by BT.709 in limited range, and is tagged so.
    """
    if frame.format.name.startswith("yuvj"):
        frame.color_range = ColorRange.JPEG
    from_rgb, into_rgb = (
        frame.format.is_rgb or frame.format.has_palette,
        av.VideoFormat(name).is_rgb,
    )
    if from_rgb and not into_rgb:
        return frame.reformat(
            format=name, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
    if into_rgb and not from_rgb:
        return frame.reformat(format=name, dst_color_range=ColorRange.JPEG, threads=1)
    # With threads, chroma of small p010 frames comes out wrong now and then (PyAV 18, FFmpeg 8).
    return frame.reformat(format=name, threads=1)


def _size(frame: av.VideoFrame) -> tuple[int, int]:
    return frame.width, frame.height


def _rate(stream: VideoStream) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 0 < rate < 1000 else Fraction(25)
