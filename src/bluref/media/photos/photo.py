"""Photographs: their pixels band by band, and the same file again around other pixels.

Where `media.picture` reads pictures for learning, this is for people's photographs, and changes
nothing that was not asked for. Depth, alpha, colour profile, EXIF, XMP, resolution, and the way the
picture is turned and stored come out as they went in; values are never converted between colour
spaces. A file is read and written from top to bottom, so that its size does not matter. A picture
in an unusual form becomes the nearest usual one with the same values: palettes and colour keys
become true colour, 1, 2 and 4 bits become 8, JPEG at 4:2:2 becomes 4:4:4, grey AVIF with alpha or
of 10 bits becomes RGB, and compression of a TIFF that loses something or is not known here becomes
deflate. Thumbnails stay as they were inside EXIF; further pictures in a HEIC or AVIF file,
and layers in a TIFF, are lost.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.media.photos import vips
from bluref.media.photos.heic import heic_size
from bluref.media.photos.photo_formats import Stored, how_stored
from bluref.media.photos.photo_sink import Layout, PhotoSink, photo_sink
from bluref.media.picture import MAX_PIXELS

MAX_BYTES = 4 << 30
"""Largest picture file that is opened by default."""

_COLOURS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb": 3, "rgb16": 3, "cmyk": 4}  # the rest is alpha
_BITS = {"uchar": 8, "ushort": 16}
_AT_LEAST = 64 << 20  # bytes that libvips and its codecs hold whatever the picture
_ROWS_AT_HAND = 8000  # upper bound of what they keep of a picture that streams, in rows


class Photo:
    """A picture file that is open; made by `open_photo`.

    Its colours are given out as planes, each a picture that a network can take: one for grey (three
    equal channels) and RGB, two for CMYK (the coloured inks as the light that they leave, and the
    black one as grey). Alpha stays inside.

    Attributes:
        path: of the file.
        height: rows, as stored.
        width: pixels in a row, as stored.
        orientation: EXIF number, 1 to 8, of the turn that makes the stored picture upright.
        depth: bits of a value, 8 or 16; 10 and 12 are the highest of 16.
        planes: 1 or 2.
        decoder_bytes: upper bound of what reading and writing hold beyond the rows given out.
    """

    def __init__(self, path: Path, stored: Stored, image: vips.Image) -> None:
        self.path, self.stored = path, stored
        self.height, self.width = image.height, image.width
        self.depth = _BITS[image.format]
        self.colours = _COLOURS[image.interpretation]
        self.planes = 2 if self.colours == 4 else 1
        self.orientation = stored.orientation or _orientation(image)
        row = self.width * image.bands * self.depth // 8
        rows = self.height * stored.copies if stored.copies else min(_ROWS_AT_HAND, 4 * self.height)
        self.decoder_bytes = _AT_LEAST + row * rows
        self._region: vips.Region | None = vips.Region.new(_colours(image, self.colours))
        self._state = _state(path)
        self._behind = 0

    def read(self, rows: int) -> Float[Tensor, "p 3 rows w"]:
        """The next rows, as stored, in [0, 1].

        Raises:
            ValueError: no rows asked for, or more than are left.
            UserError: the file is cut short or damaged.
        """
        left = self.height - self._behind if self._region else 0
        if self._region is None or not 1 <= rows <= left:
            raise ValueError(f"rows must lie in 1 to {left}, those left, got {rows}")
        with vips.decoding(self.path):
            data = self._region.fetch(0, self._behind, self.width, rows)
        self._behind += rows
        kind = torch.uint8 if self.depth == 8 else torch.uint16
        pixels = torch.frombuffer(bytearray(data), dtype=kind)
        values = pixels.reshape(rows, self.width, self.colours).permute(2, 0, 1)
        return _planes(values.to(torch.float32, memory_format=torch.contiguous_format), self.depth)

    @contextmanager
    def rewrite(self, target: Path | str, quality: int | None = None) -> Iterator[PhotoSink]:
        """Lend a sink for the same planes, deblurred; the file appears when the block ends well.

        Args:
            target: where to write, in the format of this photograph whatever the name.
            quality: of formats that lose something, 1 to 100; as good as this file when None.

        Raises:
            ValueError: quality outside 1 to 100, or rows are missing when the block ends.
            UserError: the disk is full or read-only, or this file has changed meanwhile.
        """
        if quality is not None and not 1 <= quality <= 100:
            raise ValueError(f"quality must lie in 1 to 100, got {quality}")
        layout = Layout(self.height, self.width, self.colours, self.depth)
        with photo_sink(Path(target), layout) as sink:
            yield sink
            self._region = None  # with all that the decoder holds
            self._check_unchanged()
            try:
                self._encode(sink, quality)
            except (OSError, UserError):
                self._check_unchanged()  # of two reasons the one that explains the other
                raise

    def _check_unchanged(self) -> None:
        if _state(self.path) != self._state:
            raise UserError(f"{self.path} has changed meanwhile", "deblur it again")

    def _encode(self, sink: PhotoSink, quality: int | None) -> None:
        source = _opened(self.path, self.stored)
        image = sink.finish(source)
        with vips.encoding(sink.target):
            vips.run_stoppably(image, lambda: self.stored.save(image, sink.encoded, quality))
        self.stored.graft(self.path, sink.encoded, sink.partial)


@contextmanager
def open_photo(
    path: Path | str, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES
) -> Iterator[Photo]:
    """Open a PNG, JPEG, WebP, TIFF, AVIF or HEIC picture; its content counts, not its name.

    Args:
        path: of the file.
        max_pixels: larger pictures are refused before they are decoded.
        max_bytes: larger files are refused before they are opened.

    Raises:
        UserError: the file is missing, unreadable, damaged, too large, no picture, an animation, of
            several pages, or stores what is not 8 or 16 bits of grey, RGB or CMYK.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UserError(f"{path} is not a file", "name a picture")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = str(getattr(error, "strerror", None) or error).lower()
        problem = f"cannot open {path}: {reason}"
        raise UserError(problem, "check the path and its permissions") from error
    if size > max_bytes:
        problem = f"{path} has {size:,} bytes, more than the {max_bytes:,} allowed"
        raise UserError(problem, "raise the limit with --max-bytes")
    stored = how_stored(path)
    if stored.kind == "HEIC":  # libvips sees it only when it is decoded
        _check_size(path, *heic_size(path), max_pixels)
    image = _opened(path, stored, max_pixels)
    yield Photo(path, stored, image)


def _opened(path: Path, stored: Stored, max_pixels: int | None = None) -> vips.Image:
    """The picture as stored; of most formats nothing but the header has been read."""
    with vips.decoding(path):
        image = stored.open(path)
        if max_pixels is not None:
            _check_size(path, image.height, image.width, max_pixels)
        if image.interpretation not in _COLOURS or image.format not in _BITS:
            problem = f"{path} stores values that are not 8 or 16 bits of grey, RGB or CMYK"
            raise UserError(problem, "convert it to one of these")
        return vips.stored_as(image, stored.orientation or 1)


def _check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        problem = f"{path} has {width} x {height} pixels, more than the {max_pixels:,} allowed"
        raise UserError(problem, "make it smaller, or raise the limit with --max-pixels")


def _colours(image: vips.Image, count: int) -> vips.Image:
    return image if image.bands == count else image.extract_band(0, n=count)


def _orientation(image: vips.Image) -> int:
    told = image.get("orientation") if image.get_typeof("orientation") else 1
    return int(told) if told in range(1, 9) else 1


def _planes(values: Float[Tensor, "c rows w"], bits: int) -> Float[Tensor, "p 3 rows w"]:
    """Grey, RGB or CMYK values of so many bits, which are used up, as pictures."""
    values.div_(2**bits - 1)
    if len(values) == 1:
        return values.repeat(1, 3, 1, 1)
    if len(values) == 3:
        return values[None]
    light = values.neg_().add_(1)
    return torch.stack((light[:3], light[3:].expand(3, -1, -1)))


def _state(path: Path) -> tuple[int, int] | None:
    """What changes with a file; None where it is gone, or out of reach."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
