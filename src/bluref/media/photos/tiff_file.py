"""TIFF files as directories of tags (TIFF 6.0, BigTIFF): reading them, and carrying them over.

libvips writes the pixels of a TIFF file and drops most of what stands beside them. Here a written
file gets a new first directory: what describes the stored pixels is its own, all the rest is the
source's, with the EXIF and GPS directories, in whatever byte order either file has.
"""

import shutil
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bluref.errors import UserError

WIDTH, LENGTH, BITS, COMPRESSION, SAMPLES, ROWS_PER_STRIP = 256, 257, 258, 259, 277, 278
PLANES_APART, PREDICTOR, TILE_WIDTH, TILE_LENGTH, EXTRA_SAMPLES = 284, 317, 322, 323, 338
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339
_KIND, _RAW = 254, 50706  # NewSubfileType; DNGVersion

# Size in bytes of one value and the width at which its bytes swap, by TIFF field type.
_TYPES = {
    **{1: (1, 1), 2: (1, 1), 3: (2, 2), 4: (4, 4), 5: (8, 4), 6: (1, 1), 7: (1, 1), 8: (2, 2)},
    **{9: (4, 4), 10: (8, 4), 11: (4, 4), 12: (8, 8), 13: (4, 4), 16: (8, 8), 17: (8, 8)},
    18: (8, 8),
}
# Tags that say how pixels are stored, and so belong to the encoder.
_OF_PIXELS = frozenset(
    (
        *(*range(254, 260), 262, *range(263, 267), 273, *range(277, 282), 284, 288, 289, 292, 293),
        *(317, *range(320, 326), 330, 332, 334, 336, *range(338, 343), 347, *range(512, 522)),
        *(529, 530, 531, 532, 559),
        37724,  # layers, which Photoshop would show instead
    )
)
# Tags that say what colours the values stand for: as true as before while these stay as they are.
_WHITE_POINT, _PRIMARIES, _TRANSFER = 318, 319, 301
_COLOURED = (2, 3, 6)  # RGB, palette, YCbCr: colours of the same primaries
_DIRECTORIES = (34665, 34853, 40965)  # EXIF, GPS, interoperability
_NEVER_SWAPPED = (33723,)  # IPTC: bytes, though many write them under the type of longs
_NATIVE = b"II" if sys.byteorder == "little" else b"MM"
_HEADER, _STRIP = 16, 1 << 16  # bytes of the header of a BigTIFF file; about those of a strip
_MOST_TAGS, _DEEPEST = 4096, 3

LARGEST_TOLD = 1 << 28
"""Bytes of all tags together beyond which they are not read."""


@dataclass(frozen=True)
class Tag:
    """One entry of a directory: its type, its bytes in little-endian order, or a directory.

    place: where in the file the bytes stand.
    """

    kind: int
    data: bytes = b""
    inside: Mapping[int, "Tag"] | None = None
    place: int = 0

    def numbers(self) -> tuple[int, ...]:
        """The values of an entry of bytes, shorts or longs; nothing for other types."""
        code = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(self.kind)
        size = _TYPES[self.kind][0]
        return struct.unpack(f"<{len(self.data) // size}{code}", self.data) if code else ()


@dataclass(frozen=True)
class TiffHeader:
    """What an encoder has to know to write the like.

    pages: pictures in full; previews of reduced size are not counted.
    raw: what a camera's sensor saw, not a picture yet.
    tags: the first directory.
    told: bytes of all tags of all directories.
    """

    pages: int
    raw: bool
    tags: Mapping[int, Tag]
    told: int = 0

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return self.values(tag, default)[0]

    def values(self, tag: int, default: int) -> tuple[int, ...]:
        """All values of a tag, one at least."""
        return (self.tags[tag].numbers() if tag in self.tags else ()) or (default,)


def tiff_header(path: Path) -> TiffHeader:
    """Read the directories of a TIFF file.

    Raises:
        UserError: they are damaged, or cut short.
    """
    with path.open("rb") as file:
        reader = _Reader(file, path)
        first, at = reader.directory(reader.first)
        pages, seen = 1, {reader.first}
        while at and at not in seen and len(seen) < _MOST_TAGS:
            seen.add(at)
            other, at = reader.directory(at)
            pages += not TiffHeader(1, False, other).number(_KIND, 0) & 1
    header = TiffHeader(pages, _RAW in first, first)
    raw = header.raw or bool(header.number(_KIND, 0) & 1)
    return TiffHeader(pages, raw, first, reader.told)


def graft_tiff(source: Path, encoded: Path, target: Path) -> None:
    """Write `target`: the pixels of `encoded` with everything else of `source`.

    Raises:
        UserError: `source` cannot be taken apart.
    """
    told = tiff_header(source).tags
    own = tiff_header(encoded).tags
    tags = {number: tag for number, tag in told.items() if number not in _OF_PIXELS}
    tags |= {number: tag for number, tag in own.items() if number in _OF_PIXELS}
    for number in _outdated(told, own):
        tags.pop(number, None)
    alpha = told.get(EXTRA_SAMPLES)
    if alpha and EXTRA_SAMPLES in own and len(alpha.data) == len(own[EXTRA_SAMPLES].data):
        tags[EXTRA_SAMPLES] = alpha  # what its values mean is for the source to say
    with encoded.open("rb") as file, target.open("wb") as out:
        reader = _Reader(file, encoded)
        file.seek(0)
        shutil.copyfileobj(file, out, 1 << 20)
        place = _Writer(out, reader.order, reader.big).directory(tags)
        out.seek(8 if reader.big else 4)
        out.write(struct.pack(reader.order + ("Q" if reader.big else "I"), place))


def _outdated(told: Mapping[int, Tag], own: Mapping[int, Tag]) -> tuple[int, ...]:
    """The tags of colour that do not hold for pixels that are stored otherwise."""
    before, after = (TiffHeader(1, False, tags) for tags in (told, own))
    meanings = (before.number(PHOTOMETRIC, 1), after.number(PHOTOMETRIC, 1))
    if len(set(meanings)) > 1 and not all(meaning in _COLOURED for meaning in meanings):
        return _WHITE_POINT, _PRIMARIES, _TRANSFER
    # A table has a value for each of a sample's.
    return (_TRANSFER,) if before.number(BITS, 1) != after.number(BITS, 1) else ()


def begin_plain_tiff(out: BinaryIO) -> None:
    """Begin a file of values that follow, row by row, in the order of this machine."""
    out.write(struct.pack("=2sHHHQ", _NATIVE, 43, 8, 0, 0))


def end_plain_tiff(out: BinaryIO, height: int, width: int, colours: int, bits: int) -> None:
    """End a file that `begin_plain_tiff` began: grey, RGB or CMYK by the number of colours."""
    row = width * colours * bits // 8
    rows = max(1, _STRIP // row)
    strips = range(0, height, rows)
    values = {
        **{256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * colours), 259: (3, [1])},
        **{262: (3, [{1: 1, 3: 2, 4: 5}[colours]]), 277: (3, [colours]), 278: (4, [rows])},
        273: (16, [_HEADER + row * at for at in strips]),
        279: (16, [row * min(rows, height - at) for at in strips]),
    }
    codes = {3: "H", 4: "I", 16: "Q"}
    tags = {
        number: Tag(kind, struct.pack(f"<{len(told)}{codes[kind]}", *told))
        for number, (kind, told) in values.items()
    }
    place = _Writer(out, "<" if _NATIVE == b"II" else ">", big=True).directory(tags)
    out.seek(8)
    out.write(struct.pack("=Q", place))


class _Reader:
    """Directories of a file, whatever its byte order and the width of its offsets."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.size = path.stat().st_size
        self.told = 0  # bytes of all values: many tags may share their place
        self.order = "<" if file.read(2) == b"II" else ">"
        (version,) = struct.unpack(self.order + "H", self._read(2, 2))
        self.big = version == 43
        self.word = "Q" if self.big else "I"
        self.first = self._number(8 if self.big else 4)

    def directory(self, at: int, depth: int = 1) -> tuple[dict[int, Tag], int]:
        """The tags of the directory at a place, and where the next one is (0: none).

        Tags of unknown type, and those that reach out of the file, are left out.
        """
        head, entry = (8, 20) if self.big else (2, 12)
        (count,) = struct.unpack(self.order + ("Q" if self.big else "H"), self._read(at, head))
        if count > _MOST_TAGS:
            raise self._damaged()
        block = self._read(at + head, count * entry)
        tags = {}
        for i in range(count):
            number, kind, length = struct.unpack_from(
                f"{self.order}HH{self.word}", block, i * entry
            )
            value = at + head + i * entry + (12 if self.big else 8)
            tag = self._tag(number, kind, length, value, depth)
            if tag is not None:
                tags[number] = tag
        return tags, self._number(at + head + count * entry)

    def _tag(self, number: int, kind: int, count: int, at: int, depth: int) -> Tag | None:
        if number in _DIRECTORIES:
            if depth >= _DEEPEST:
                return None
            try:
                return Tag(4, inside=self.directory(self._number(at), depth + 1)[0])
            except UserError:
                return None
        size, width = _TYPES.get(kind, (0, 1))
        self.told += count * size
        if not size or self.told > LARGEST_TOLD:
            return None
        if count * size > struct.calcsize(self.word):
            at = self._number(at)
        try:
            data = self._read(at, count * size)
        except UserError:
            return None
        swap = self.order == ">" and number not in _NEVER_SWAPPED
        return Tag(kind, _swapped(data, width) if swap else data, place=at)

    def _number(self, at: int) -> int:
        (number,) = struct.unpack(f"{self.order}{self.word}", self._read(at, 8 if self.big else 4))
        return int(number)

    def _read(self, at: int, length: int) -> bytes:
        if at + length > self.size:
            raise self._damaged()
        self.file.seek(at)
        return self.file.read(length)

    def _damaged(self) -> UserError:
        return UserError(
            f"cannot decode {self.path}: its TIFF directory is damaged or cut short",
            "copy it again from its source, or remove it",
        )


class _Writer:
    """Directories appended to a file."""

    def __init__(self, out: BinaryIO, order: str, big: bool) -> None:
        self.out, self.order, self.big = out, order, big
        self.word = "Q" if big else "I"

    def directory(self, tags: Mapping[int, Tag]) -> int:
        """Write the tags, what they point at first, and return where their directory is."""
        width = struct.calcsize(self.word)
        entries = b""
        for number, tag in sorted(tags.items()):
            kind, data = tag.kind, tag.data
            if tag.inside is not None:
                kind, data = (16, b"") if self.big else (4, b"")
                place = self.directory(tag.inside)
                value, count = struct.pack(self.order + self.word, place), 1
            else:
                size, swap = _TYPES[kind]
                count = len(data) // size
                if self.order == ">" and number not in _NEVER_SWAPPED:
                    data = _swapped(data, swap)
                value = data
                if len(value) > width:
                    value = struct.pack(self.order + self.word, self._append(value))
            entries += struct.pack(f"{self.order}HH{self.word}", number, kind, count)
            entries += value.ljust(width, b"\0")
        head = struct.pack(self.order + ("Q" if self.big else "H"), len(tags))
        return self._append(head + entries + bytes(width))

    def _append(self, data: bytes) -> int:
        place = self.out.seek(0, 2)
        if place % 2:  # the standard wants words
            place += self.out.write(b"\0")
        self.out.write(data)
        return place


def _swapped(data: bytes, width: int) -> bytes:
    """Each `width` bytes in reverse order."""
    turned = bytearray(len(data))
    for i in range(width):
        turned[i::width] = data[width - 1 - i :: width]
    return bytes(turned)
