"""Grey PNG files written row by row, of any height, in the memory of a few rows."""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bluref.media.whole import whole_file

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _DEPTH = 0, 8
_UNFILTERED = 0


@contextmanager
def grey_png(
    path: Path, height: int, width: int
) -> Iterator[Callable[[Float[Tensor, "1 1 rows w"]], None]]:
    """Lend a function that takes the next rows, in [0, 1]; the file appears whole, by rename.

    PNG (Third Edition, W3C 2025): signature, header, one zlib stream of rows that each begin with
    their filter, end.

    Raises:
        ValueError: other rows than `height` by `width` were given.
        UserError: the file cannot be written.
    """
    with whole_file(path) as partial, partial.open("wb") as file:
        stream, given = zlib.compressobj(), 0

        def write(rows: Float[Tensor, "1 1 rows w"]) -> None:
            nonlocal given
            grey = (rows[0, 0].clamp(0, 1) * 255).round().byte().cpu().numpy()
            if grey.shape[1] != width:
                raise ValueError(f"rows must be {width} px wide, got {grey.shape[1]}")
            given += len(grey)
            lines = np.pad(grey, ((0, 0), (1, 0)), constant_values=_UNFILTERED)
            _chunk(file, b"IDAT", stream.compress(lines.tobytes()))

        file.write(_SIGNATURE)
        header = struct.pack(">IIBBBBB", width, height, _DEPTH, _GREY, 0, 0, 0)
        _chunk(file, b"IHDR", header)
        yield write
        if given != height:
            raise ValueError(f"expected {height} rows, got {given}")
        _chunk(file, b"IDAT", stream.flush())
        _chunk(file, b"IEND", b"")


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    """Length, kind, data and the checksum of the two last; nothing for empty image data."""
    if data or kind == b"IEND":
        check = zlib.crc32(kind + data)
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check))
