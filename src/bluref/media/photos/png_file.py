"""PNG files as chunks (W3C PNG, third edition): what the header says, and all but the pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bluref.errors import UserError

_SIGNATURE = 8  # bytes, before the first chunk
_DEPTH, _COLOUR_TYPE = 16, 17  # places of these bytes in an IHDR chunk
_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_OF_ANIMATIONS = (b"acTL", b"fcTL", b"fdAT")
_OF_THE_PALETTE = (b"tRNS", b"hIST")  # what decoding has turned into colours and alpha
_OF_THE_COLOUR_TYPE = (b"sBIT", b"bKGD")  # laid out differently in each
_OF_THE_DEPTH = (b"bKGD",)  # a value of its scale
# What stays true when pixels change, though the last letter of the name does not say so.
_STILL_TRUE = (
    b"cHRM",
    b"gAMA",
    b"iCCP",
    b"sBIT",
    b"sRGB",
    b"cICP",
    b"mDCV",
    b"cLLI",
    b"bKGD",
    b"tIME",
)

_LONGEST = 1 << 28  # bytes of all chunks that are carried; they are held in memory


@dataclass(frozen=True)
class PngHeader:
    """What an encoder has to know to write the like.

    frames: more than one in an animation.
    interlaced: stored in Adam7 order.
    """

    frames: int
    interlaced: bool


def png_header(path: Path) -> PngHeader:
    """Read the chunks before the pixels.

    Raises:
        UserError: they are damaged or cut short.
    """
    frames, interlaced = 1, False
    with path.open("rb") as file:
        for name, length in _chunks(file, path):
            if name == b"IDAT":
                break
            if name == b"IHDR" and length == 13:
                interlaced = file.read(8 + length)[-1] != 0
            elif name == b"acTL" and length == 8:
                frames = int.from_bytes(file.read(12)[8:], "big")
    return PngHeader(frames, interlaced)


def graft_png(source: Path, encoded: Path, target: Path) -> None:
    """Write `target`: the pixels of `encoded` with everything else of `source`, byte for byte.

    Chunks of unknown meaning are dropped where their name says that other pixels make them wrong.

    Raises:
        UserError: `source` cannot be taken apart.
    """
    with source.open("rb") as old, encoded.open("rb") as new, target.open("wb") as out:
        out.write(new.read(_SIGNATURE))
        header = _first(new, encoded)
        before, after = _told(old, source, _outdated(_first(old, source), header))
        out.write(header + before)
        for name, length in _chunks(new, encoded):
            if name == b"IDAT":
                out.write(new.read(12 + length))
            elif name == b"IEND":
                out.write(after + new.read(12))


def _outdated(old: bytes, new: bytes) -> tuple[bytes, ...]:
    """The chunks that would say something else behind another header."""
    of_type = _OF_THE_COLOUR_TYPE if old[_COLOUR_TYPE] != new[_COLOUR_TYPE] else ()
    return (*of_type, *(_OF_THE_DEPTH if old[_DEPTH] != new[_DEPTH] else ()))


def _told(file: BinaryIO, path: Path, outdated: tuple[bytes, ...]) -> tuple[bytes, bytes]:
    """The chunks to keep, those before the pixels and those after them."""
    before, after, pixels = bytearray(), bytearray(), False
    for name, length in _chunks(file, path):
        pixels |= name == b"IDAT"
        kept = _is_kept(name) and name not in outdated
        if kept and len(before) + len(after) + length <= _LONGEST:
            (after if pixels else before).extend(file.read(12 + length))
    return bytes(before), bytes(after)


def _is_kept(name: bytes) -> bool:
    if name in _PICTURE or name in _OF_ANIMATIONS or name in _OF_THE_PALETTE:
        return False
    return name in _STILL_TRUE or name[3:].islower()  # lower case: safe beside other pixels


def _first(file: BinaryIO, path: Path) -> bytes:
    """The first chunk, which is IHDR: length, name, 13 bytes, check sum."""
    name, length = next(_chunks(file, path))
    chunk = file.read(12 + length)
    if name != b"IHDR" or length != 13 or len(chunk) != 25:
        raise _damaged(path)
    return chunk


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int]]:
    """Name and length of the body of each chunk, in order; the file stands where it begins.

    Whole, a chunk has 12 bytes more: length and name before the body, and a check sum behind it.
    """
    at = _SIGNATURE
    while True:
        file.seek(at)
        start = file.read(8)
        if len(start) < 8:
            raise _damaged(path)
        length, name = int.from_bytes(start[:4], "big"), start[4:]
        file.seek(at)
        yield name, length
        at += 12 + length
        if name == b"IEND":
            return


def _damaged(path: Path) -> UserError:
    return UserError(
        f"cannot decode {path}: its PNG structure is damaged or cut short",
        "copy it again from its source, or remove it",
    )
