"""A segment: some frames that were encoded by themselves, as one file that is whole or absent.

The packets come first, then the memory of the frames, then where that begins. Packets count time in
frames of the segment; `joined` gives them the film's own times, so that what an encoder or a
container thinks of time bases cannot move a frame.
"""

import json
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.video.codeccontext import VideoCodecContext

from bluref.errors import UserError
from bluref.media.films.encoders import Plan, encoder_of
from bluref.media.films.recording import reformatted
from bluref.media.video import Packet
from bluref.media.whole import whole_file

_MAGIC = b"BluRefS2"
_PACKET = struct.Struct("<qqII")  # shown as, flags, bytes, pieces of side data
_SIDE_DATA = struct.Struct("<II")  # kind, bytes
_TAIL = struct.Struct("<QQ8s")  # where the memory begins, its bytes, _MAGIC


@dataclass(frozen=True)
class Timed:
    """A frame to encode.

    Attributes:
        frame: its samples; its own time does not count.
        pts: when it is shown, in ticks of the source's stream.
        duration: ticks that it stays; 0 where unknown.
        fate: what was done to it, a word to remember.
        told: what else is to be remembered of it; whatever JSON can hold.
    """

    frame: av.VideoFrame
    pts: int
    duration: int
    fate: str
    told: Sequence[Any] = ()


@dataclass(frozen=True)
class Memory:
    """What a segment remembers of its frames: a value for each in all lists.

    Attributes:
        times: when it is shown, in ticks of the source's stream.
        durations: ticks that it stays; 0 where unknown.
        fates: what was done to it.
        told: what else was to be remembered of it.
        delay: by how many places packets are stored later than their frames are shown, at most.
    """

    times: list[int]
    durations: list[int]
    fates: list[str]
    told: list[list[Any]]
    delay: int


def write_segment(path: Path, plan: Plan, frames: Iterable[Timed]) -> Memory:
    """Encode frames into one segment file.

    Args:
        path: the file to write, whole.
        plan: how to encode.
        frames: one at least; their times and types are set anew.

    Raises:
        UserError: `path` cannot be written, or the encoder lost a frame.
    """
    encoder, memory = encoder_of(plan), Memory([], [], [], [], 0)
    stored = delay = 0
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(_MAGIC)
        for packet in _encoded(encoder, plan, frames, memory):
            delay = max(delay, stored - (packet.pts or 0))
            stored += 1
            _write_packet(file, packet)
        if stored != len(memory.times):
            raise UserError(
                f"{plan.encoder} made {stored} pictures of {len(memory.times)}",
                "choose another --codec",
            )
        memory = replace(memory, delay=delay)
        begin, text = file.tell(), json.dumps(asdict(memory)).encode()
        file.write(text + _TAIL.pack(begin, len(text), _MAGIC))
    return memory


def read_memory(path: Path) -> Memory:
    """What a segment remembers.

    Raises:
        ValueError: `path` is no whole segment.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL.size))
        tail = file.read()
        if len(tail) != _TAIL.size:
            raise ValueError(f"{path} is too short for a segment")
        begin, length, magic = _TAIL.unpack(tail)
        if magic != _MAGIC or begin + length + _TAIL.size != size:
            raise ValueError(f"{path} is no segment")
        file.seek(begin)
        told: dict[str, Any] = json.loads(file.read(length))
    return Memory(**told)


def joined(paths: Sequence[Path], time_base: Fraction, delay: int, step: int) -> Iterator[Packet]:
    """The packets of all segments in the order of storage, with the film's times.

    A packet is stored `delay` frames before the frame at its place is shown: late enough for every
    encoder that reorders, and evenly increasing over the joints.

    Args:
        paths: of the segments, in order.
        time_base: of the times that they remember, in seconds.
        delay: the largest of the segments.
        step: ticks between frames; for the `delay` packets ahead of the first frame, and for
            frames that do not say how long they stay.
    """
    places: deque[int] = deque()
    for path in paths:
        memory = read_memory(path)
        if not places and path == paths[0]:
            places.extend(memory.times[0] - step * (delay - i) for i in range(delay))
        places.extend(memory.times)
        for packet in _read_packets(path):
            shown = packet.pts or 0
            packet.dts = places.popleft()
            packet.pts = memory.times[shown]
            packet.duration = memory.durations[shown] or step
            packet.time_base = time_base
            yield packet


def _encoded(
    encoder: VideoCodecContext, plan: Plan, frames: Iterable[Timed], memory: Memory
) -> Iterator[Packet]:
    for index, timed in enumerate(frames):
        frame = timed.frame
        if frame.format.name != plan.pixel_format:
            frame = reformatted(frame, plan.pixel_format)
        # The encoder's time base is one frame.
        frame.pts, frame.duration, frame.time_base = index, 1, encoder.time_base
        frame.pict_type = 0  # what kind it was in the source is nothing to the encoder
        memory.times.append(timed.pts)
        memory.durations.append(timed.duration)
        memory.fates.append(timed.fate)
        memory.told.append(list(timed.told))
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _write_packet(file: BinaryIO, packet: Packet) -> None:
    side_data = list(packet.iter_sidedata())
    data = bytes(packet)
    key = int(packet.is_keyframe)
    file.write(_PACKET.pack(packet.pts or 0, key, len(data), len(side_data)) + data)
    for piece in side_data:
        kind = packet_sidedata_type_from_literal(cast("Any", piece.data_type))
        file.write(_SIDE_DATA.pack(kind, len(bytes(piece))) + bytes(piece))


def _read_packets(path: Path) -> Iterator[Packet]:
    with path.open("rb") as file:
        file.seek(-_TAIL.size, 2)
        end, _, _ = _TAIL.unpack(file.read())
        file.seek(len(_MAGIC))
        while file.tell() < end:
            shown, key, size, pieces = _PACKET.unpack(file.read(_PACKET.size))
            packet: Packet = av.Packet(file.read(size))
            packet.pts, packet.is_keyframe = shown, bool(key)
            for _ in range(pieces):
                kind, length = _SIDE_DATA.unpack(file.read(_SIDE_DATA.size))
                piece = cast("Any", PacketSideData)(kind, length)  # its stub knows no arguments
                memoryview(piece)[:] = file.read(length)
                packet.set_sidedata(piece)
            yield packet
