"""Where the rows of a deblurred photograph go until all are there: a hidden file.

It is an uncompressed TIFF: libvips reads that in small steps, where it would map a file of bare
values into memory as a whole.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.media.photos import vips
from bluref.media.photos.tiff_file import begin_plain_tiff, end_plain_tiff
from bluref.media.pixels import to_depth
from bluref.media.whole import whole_file

_ENCODED = 2  # of the size of the values: the pixels encoded, and the file that is made of them


@dataclass(frozen=True)
class Layout:
    """The values of a picture: rows, pixels in a row, values of a pixel, bits of a value."""

    height: int
    width: int
    colours: int
    bits: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.height * self.width * self.colours * self.bits // 8


class PhotoSink:
    """Takes rows from top to bottom; made by `Photo.rewrite`.

    Attributes:
        target: where the picture will appear.
        partial: where it is to be written; moved to `target` in the end.
        encoded: where its pixels are to be encoded before that.
    """

    def __init__(self, target: Path, partial: Path, layout: Layout, raw: BinaryIO) -> None:
        self.target, self.partial = target, partial
        self.encoded = _beside(partial, ".encoded")
        self.layout = layout
        self._raw, self._rows = raw, 0
        begin_plain_tiff(raw)

    def write(self, rows: Float[Tensor, "p 3 rows w"]) -> None:
        """The next rows of all planes; values outside [0, 1] are clamped.

        Raises:
            ValueError: other planes or another width than the photograph's, or too many rows.
        """
        planes, _, height, width = rows.shape
        behind = self._rows + height
        if width != self.layout.width or planes != (2 if self.layout.colours == 4 else 1):
            raise ValueError(f"rows must fit {self.layout}, got shape {tuple(rows.shape)}")
        if behind > self.layout.height:
            raise ValueError(f"{behind} rows for a picture of {self.layout.height}")
        values = to_depth(_values(rows, self.layout.colours), self.layout.bits)
        self._raw.write(values.permute(1, 2, 0).contiguous().cpu().numpy().data)
        self._rows = behind

    def finish(self, source: vips.Image) -> vips.Image:
        """All that was written, with the alpha of `source`, to be computed from top to bottom.

        Raises:
            ValueError: rows are missing.
        """
        if self._rows != self.layout.height:
            raise ValueError(f"{self._rows} rows for a picture of {self.layout.height}")
        layout = self.layout
        end_plain_tiff(self._raw, layout.height, layout.width, layout.colours, layout.bits)
        self._raw.flush()
        image = vips.Image.tiffload(os.fsencode(self._raw.name), access="sequential")
        colours = layout.colours
        if source.bands > colours:
            alpha = source.extract_band(colours, n=source.bands - colours)
            image = image.bandjoin(alpha)
        return image.copy(interpretation=source.interpretation)


@contextmanager
def photo_sink(target: Path, layout: Layout) -> Iterator[PhotoSink]:
    """Lend a sink; the block must write its `partial`, which then appears as `target`.

    Nothing else is left behind, however the block ends.

    Raises:
        UserError: the disk has too little room, or cannot be written.
    """
    with whole_file(target) as partial:
        needed = layout.size * (1 + _ENCODED)
        free = shutil.disk_usage(target.parent).free
        if free < needed:
            problem = f"cannot write {target}: {needed:,} bytes are needed, and {free:,} are free"
            raise UserError(problem, "free some disk space, or choose another place")
        raw = _beside(partial, ".values")
        try:
            with raw.open("w+b") as file:
                yield PhotoSink(target, partial, layout, file)
        finally:
            raw.unlink(missing_ok=True)
            _beside(partial, ".encoded").unlink(missing_ok=True)


def _values(planes: Float[Tensor, "p 3 rows w"], colours: int) -> Float[Tensor, "c rows w"]:
    """Pictures as grey, RGB or CMYK values; of three channels that stand for grey the mean."""
    if colours == 1:
        return planes[0].mean(dim=0, keepdim=True)
    if colours == 3:
        return planes[0]
    return 1 - torch.cat((planes[0], planes[1].mean(dim=0, keepdim=True)))


def _beside(partial: Path, suffix: str) -> Path:
    """Another temporary file, never the same, whatever the picture's own suffix is."""
    return partial.with_name(partial.name + suffix)
