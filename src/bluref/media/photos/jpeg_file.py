"""JPEG files as segments (ITU-T T.81): what the header says, and everything but the pixels.

An encoded file gets all that its source said about itself, byte for byte: EXIF, XMP, colour
profile, comments, and what follows the picture (gain maps, the film of a motion photo).
"""

import mmap
import re
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bluref.errors import UserError
from bluref.media.photos.jpeg_pictures import moved

_SOI, _EOI, _SOS, _DQT, _COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xFE
_APP0, _APP14, _APP15 = 0xE0, 0xEE, 0xEF  # the 14th says how colours are coded
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOFn; the others are DHT, JPG, DAC
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))  # no length follows: TEM, RSTn, SOI
_LONGEST_HEAD = 1 << 28  # bytes before the first scan; they are held in memory
_CHUNK = 1 << 20  # bytes copied at a time
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # within a scan: neither stuffing nor RSTn

# T.81 Annex K, tables K.1 and K.2 in zigzag order: what IJG qualities scale.
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex("1112121815182f1a1a2f63423842").ljust(64, b"\x63")


@dataclass(frozen=True)
class JpegHeader:
    """What an encoder has to know to write the like.

    quality: the smallest IJG quality, 1 to 100, that is nowhere coarser than the file.
    full_colour: False where every chroma sample serves 2x2 pixels (4:2:0).
    """

    quality: int
    full_colour: bool
    progressive: bool


@dataclass(frozen=True)
class Segment:
    """A marker, what it holds, and where in the file it begins."""

    marker: int
    body: bytes
    place: int

    @property
    def is_told(self) -> bool:
        """Whether it tells something that no decoder needs."""
        return self.marker == _COM or (_APP0 <= self.marker <= _APP15 and self.marker != _APP14)


def jpeg_header(path: Path) -> JpegHeader:
    """Read the header of a JPEG file.

    Raises:
        UserError: it is damaged or cut short.
    """
    with path.open("rb") as file:
        head = _head(file, path)
    tables: dict[int, tuple[int, ...]] = {}
    for segment in head:
        if segment.marker == _DQT:
            tables.update(_tables(segment.body))
    frames = [segment for segment in head if segment.marker in _FRAMES]
    parts = frames[0].body[6:] if frames else b""  # three bytes each: name, factors, table
    if not parts or len(parts) != 3 * frames[0].body[5]:
        raise _damaged(path)
    halved = list(parts[1::3]) == [0x22, 0x11, 0x11]
    coloured = len(parts) == 9  # inks are all coded like brightness
    used = [(i > 0 and coloured, tables[n]) for i, n in enumerate(parts[2::3]) if n in tables]
    return JpegHeader(_quality(used), not halved, frames[0].marker in _PROGRESSIVE)


def graft_jpeg(source: Path, encoded: Path, target: Path) -> None:
    """Write `target`: the pixels of `encoded` with everything else of `source`.

    Raises:
        UserError: `source` cannot be taken apart.
    """
    with source.open("rb") as old, encoded.open("rb") as new, target.open("wb") as out:
        told = [segment for segment in _head(old, source) if segment.is_told]
        tail = _end(old, old.tell())
        needed = [segment for segment in _head(new, encoded) if not segment.is_told]
        coded = encoded.stat().st_size - new.tell()  # the scans, EOI included
        size = 2 + sum(4 + len(segment.body) for segment in told + needed) + coded
        out.write(bytes((0xFF, _SOI)))
        for segment in told:
            shift = (size - tail) - (out.tell() - segment.place)
            _put(out, segment.marker, moved(segment.body, shift, size))
        for segment in needed:
            _put(out, segment.marker, segment.body)
        shutil.copyfileobj(new, out, _CHUNK)
        old.seek(tail)
        shutil.copyfileobj(old, out, _CHUNK)


def _head(file: BinaryIO, path: Path) -> list[Segment]:
    """The segments up to the header of the first scan; the file then stands behind that."""
    segments: list[Segment] = []
    file.seek(2)
    while not segments or segments[-1].marker != _SOS:
        place = file.tell()
        byte = file.read(1)
        while byte not in (b"\xff", b""):  # decoders skip what stands between segments
            place, byte = file.tell(), file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        marker = byte[0] if byte else _EOI
        if marker in _BARE:
            continue
        length = int.from_bytes(file.read(2), "big")
        body = file.read(max(length - 2, 0))
        cut_short = length < 2 or len(body) != length - 2
        if marker == _EOI or cut_short or place > _LONGEST_HEAD:
            raise _damaged(path)
        segments.append(Segment(marker, body, place))
    return segments


def _end(file: BinaryIO, at: int) -> int:
    """Where the picture whose first scan begins at `at` ends, after its EOI."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        while found := _MARKER.search(data, at):
            at, marker = found.end(), found[1][0]
            if marker == _EOI:
                return at
            if marker not in _BARE:  # more tables, and the header of the next scan
                at += int.from_bytes(data[at : at + 2], "big")
        return len(data)  # without an EOI nothing follows the picture


def _put(out: BinaryIO, marker: int, body: bytes) -> None:
    out.write(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)


def _tables(body: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Number and 64 values, in zigzag order, of each quantisation table of a DQT segment."""
    while len(body) > 1:
        wide, number = body[0] >> 4, body[0] & 15
        size = 129 if wide else 65
        if len(body) < size:
            return
        yield number, struct.unpack(">64H" if wide else ">64B", body[1:size])
        body = body[size:]


def _quality(used: list[tuple[bool, tuple[int, ...]]]) -> int:
    """The smallest IJG quality whose tables are nowhere above these; 100 where none is."""
    for quality in range(1, 100):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        if all(
            min(max((base * scale + 50) // 100, 1), 255) <= value
            for chroma, table in used
            for base, value in zip(_CHROMA if chroma else _LUMA, table, strict=True)
        ):
            return quality
    return 100


def _damaged(path: Path) -> UserError:
    return UserError(
        f"cannot decode {path}: its JPEG header is damaged",
        "copy it again from its source, or remove it",
    )
