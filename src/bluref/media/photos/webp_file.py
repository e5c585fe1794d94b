"""WebP files as RIFF chunks (RFC 9649): what the header says, and everything but the pixels."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bluref.errors import UserError
from bluref.media.photos.webp_quality import lossy_quality

_HEADER = 12  # bytes: RIFF, size, WEBP
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")
_OTHER = (*_PIXELS, b"VP8X", b"ANIM", b"ANMF")  # what is not carried
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA = 0x10
_LONGEST = 1 << 28  # bytes of all chunks that are carried; they are held in memory


@dataclass(frozen=True)
class WebpHeader:
    """What an encoder has to know to write the like.

    frames: of an animation, which may have a single one; 0 for a still picture.
    quality: libwebp's quality, 0 to 100, that is nowhere coarser; None for lossless files.
    """

    frames: int
    quality: int | None


def webp_header(path: Path) -> WebpHeader:
    """Read the chunks of a WebP file.

    Raises:
        UserError: they are damaged or cut short.
    """
    frames, lossless, quality = 0, False, 0
    with path.open("rb") as file:
        for name, length in _chunks(file, path):
            if name == b"ANMF":
                frames += 1
            elif name == b"VP8L":
                lossless = True
            elif name == b"VP8 ":
                quality = lossy_quality(file.read(min(length, 512)))
    return WebpHeader(frames, None if lossless else quality)


def graft_webp(source: Path, encoded: Path, target: Path) -> None:
    """Write `target`: the pixels of `encoded` with everything else of `source`, byte for byte.

    Raises:
        UserError: `source` cannot be taken apart.
    """
    with source.open("rb") as old:
        told: dict[bytes, bytes] = {}
        left = _LONGEST
        for name, length in _chunks(old, source):
            if name not in (*_OTHER, *told) and length <= left:
                told[name] = old.read(length)
                left -= length
    with encoded.open("rb") as new:
        pixels = {name: new.read(length) for name, length in _chunks(new, encoded)}
    pixels = {name: body for name, body in pixels.items() if name in _PIXELS}
    profile = {name: body for name, body in told.items() if name == b"ICCP"}  # it goes first
    chunks = {**profile, **pixels, **told}
    if told or b"ALPH" in pixels:
        chunks = {b"VP8X": _extended(pixels, told), **chunks}
    size = 4 + sum(8 + len(body) + len(body) % 2 for body in chunks.values())
    with target.open("wb") as out:
        out.write(struct.pack("<4sI4s", b"RIFF", size, b"WEBP"))
        for name, body in chunks.items():
            out.write(struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2))


def _extended(pixels: dict[bytes, bytes], told: dict[bytes, bytes]) -> bytes:
    """The VP8X chunk: what is in the file, and its width and height less one."""
    if b"VP8L" in pixels:  # a byte of signature, then 14 bits, 14 bits and a bit for alpha
        bits = int.from_bytes(pixels[b"VP8L"][1:5], "little")
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bool(bits >> 28 & 1)
    else:  # a frame tag and a start code of three bytes each, then 14 of 16 bits each
        width, height = struct.unpack_from("<HH", pixels[b"VP8 "], 6)
        width, height, alpha = (width & 0x3FFF) - 1, (height & 0x3FFF) - 1, b"ALPH" in pixels
    flags = sum(_FLAGS.get(name, 0) for name in told) + (_ALPHA if alpha else 0)
    return struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _chunks(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, int]]:
    """Name and length of each chunk; the file stands where its body begins."""
    at, end = _HEADER, path.stat().st_size
    while at + 8 <= end:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if at + 8 + length > end:
            raise UserError(
                f"cannot decode {path}: its WebP structure is damaged or cut short",
                "copy it again from its source, or remove it",
            )
        yield name, length
        at += 8 + length + length % 2
