"""One photograph through a network, from file to file."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.media.photos.grey_map import grey_map
from bluref.media.photos.photo import MAX_BYTES, Photo, open_photo
from bluref.media.picture import MAX_PIXELS
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.rows import Write
from bluref.restore.tiling.tile import TileOptions
from bluref.restore.tiling.tiles import TileReport, deblur_rows
from bluref.restore.tiling.turn import turn_back, turn_upright
from bluref.restore.work.finish import Finish
from bluref.restore.work.inputs import trust_beside


@dataclass(frozen=True)
class PhotoOptions:
    """How photographs are deblurred.

    quality: of formats that lose something, 1 to 100; as good as each source when None.
    max_pixels: larger pictures are refused before they are decoded.
    max_bytes: larger files are refused before they are opened.
    memory: bytes that this process may hold; None for what is safe here.
    strength: 1 for the result, 0 for the picture as it came, or a mean of both.
    guard: keep the picture as it came where the result would harm it.
    trust: write a map of where to believe the result beside it, as `trust_beside` names it; the
        result itself does not depend on it.
    """

    quality: int | None = None
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    memory: int | None = None
    strength: float = 1.0
    guard: bool = True
    trust: bool = False

    def recipe(self) -> dict[str, object]:
        """What of this changes a result."""
        told = asdict(self)
        return {name: told[name] for name in ("quality", "strength", "guard")}

    def of_tiles(self) -> TileOptions:
        """What of this is done tile by tile."""
        return TileOptions(strength=self.strength, guard=self.guard)


def deblur_photo(
    source: Path,
    target: Path,
    deblurrer: Deblurrer,
    options: PhotoOptions,
    finish: Finish | None = None,
) -> TileReport:
    """Write `source` anew as `target`, sharper; nothing else about it changes.

    Args:
        source: the picture.
        target: the file to write.
        deblurrer: does the work.
        options: how.
        finish: has the last word on a picture that it knows, which is then held as a whole.

    Raises:
        UserError: as `open_photo`, `Photo.rewrite` and `deblur_rows`.
    """
    limits = {"max_pixels": options.max_pixels, "max_bytes": options.max_bytes}
    with open_photo(source, **limits) as photo, ExitStack() as stack:
        sink = stack.enter_context(photo.rewrite(target, options.quality))
        survey = None
        if deblurrer.window_of is None and not deblurrer.does_nothing:
            survey = stack.enter_context(open_photo(source, **limits)).read
        trust = None
        if options.trust:
            trust = stack.enter_context(_least_of_planes(photo, trust_beside(target)))
        known = finish is not None and photo.planes == 1 and finish.knows(source)
        whole = _Whole(photo) if known else None
        report = deblur_rows(
            photo.read if whole is None else whole.read,
            sink.write if whole is None else whole.take,
            photo.height,
            photo.width,
            deblurrer,
            memory=options.memory,
            reserve=photo.decoder_bytes * (1 if survey is None else 2)
            + (whole.bytes if whole else 0),
            orientation=photo.orientation,
            options=options.of_tiles(),
            survey=survey,
            write_trust=trust,
        )
        if whole is not None and finish is not None:
            sink.write(whole.finished(finish))
        return report


class _Whole:
    """A photograph and what the network makes of it, kept until all of both is there."""

    def __init__(self, photo: Photo) -> None:
        self._photo = photo
        self._before: list[Tensor] = []
        self._after: list[Tensor] = []
        self.bytes = 4 * 4 * 3 * photo.height * photo.width
        """Of both, and of what is made of them, in float32."""

    def read(self, rows: int) -> Float[Tensor, "1 3 rows w"]:
        """The photograph's next rows."""
        self._before.append(self._photo.read(rows))
        return self._before[-1].clone()

    def take(self, rows: Float[Tensor, "1 3 rows w"]) -> None:
        """The network's next rows."""
        self._after.append(rows.clone())

    def finished(self, finish: Finish) -> Float[Tensor, "1 3 h w"]:
        """The last word, turned as the file holds it."""
        turn = self._photo.orientation
        image, result = (
            turn_upright(torch.cat(rows, dim=-2), turn) for rows in (self._before, self._after)
        )
        return turn_back(finish(self._photo.path, image, result), turn)


@contextmanager
def _least_of_planes(photo: Photo, target: Path) -> Iterator[Write]:
    """A writer of maps; of several planes the least trust counts."""
    with grey_map(target, photo.height, photo.width, photo.orientation) as write:
        yield lambda rows: write(rows.amin(dim=0))


def deblur_image(
    image: Float[Tensor, "1 3 h w"],
    deblurrer: Deblurrer,
    *,
    memory: int | None = None,
    options: TileOptions | None = None,
    hear: Callable[[TileReport], None] = lambda report: None,
) -> Float[Tensor, "1 3 h w"]:
    """Deblur an image that is in memory already, in tiles where it must be: a frame of a film.

    Args:
        image: RGB in [0, 1].
        deblurrer: does the work.
        memory: bytes that this process may hold; None for what is safe here.
        options: strength and guard.
        hear: hears how it was done.
    """
    height, width = image.shape[-2:]
    result = image.new_empty(image.shape)
    survey = None if deblurrer.window_of is not None or deblurrer.does_nothing else _rows_of(image)
    report = deblur_rows(
        _rows_of(image),
        _into(result),
        height,
        width,
        deblurrer,
        memory=memory,
        options=options,
        survey=survey,
    )
    hear(report)
    return result


def _rows_of(image: Float[Tensor, "p 3 h w"]) -> Callable[[int], Float[Tensor, "p 3 rows w"]]:
    at = 0

    def read(rows: int) -> Float[Tensor, "p 3 rows w"]:
        nonlocal at
        at += rows
        return image[..., at - rows : at, :]

    return read


def _into(image: Float[Tensor, "p 3 h w"]) -> Write:
    at = 0

    def write(rows: Float[Tensor, "p 3 rows w"]) -> None:
        nonlocal at
        image[..., at : at + rows.shape[-2], :] = rows
        at += rows.shape[-2]

    return write
