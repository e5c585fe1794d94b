"""Maps of a photograph, one number in [0, 1] a pixel, as grey pictures beside it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bluref.media.photos import vips
from bluref.media.photos.photo_sink import Layout, photo_sink

WriteMap = Callable[[Float[Tensor, "1 rows w"]], None]
"""Takes the next rows of a map."""


@contextmanager
def grey_map(target: Path, height: int, width: int, orientation: int) -> Iterator[WriteMap]:
    """Lend a writer for a map, from top to bottom; an 8-bit PNG appears when the block ends well.

    Args:
        target: where it will appear.
        height: of the photograph as stored.
        width: as stored.
        orientation: of the photograph, as EXIF counts it; the map is turned alike.

    Raises:
        ValueError: rows are missing when the block ends.
        UserError: the disk is full or read-only.
    """
    with photo_sink(target, Layout(height, width, 1, 8)) as sink:
        yield lambda rows: sink.write(rows.expand(1, 3, -1, -1))
        image = sink.finish(vips.from_array(np.zeros((1, 1), np.uint8)))
        if orientation != 1:
            image.set_type(vips.GValue.gint_type, "orientation", orientation)
        with vips.encoding(target):
            path = os.fsencode(sink.partial)
            vips.run_stoppably(image, lambda: image.pngsave(path))
