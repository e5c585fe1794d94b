"""One photograph through a network, from file to file."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.media.photo import MAX_BYTES, open_photo
from bluref.media.picture import MAX_PIXELS
from bluref.restore.deblurrer import Deblurrer


@dataclass(frozen=True)
class PhotoOptions:
    """How photographs are deblurred.

    quality: of formats that lose something, 1 to 100; as good as each source when None.
    max_pixels: larger pictures are refused before they are decoded.
    max_bytes: larger files are refused before they are opened.
    """

    quality: int | None = None
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES

    def recipe(self) -> dict[str, object]:
        """What of this changes a result."""
        return {"quality": self.quality}


@dataclass(frozen=True)
class PhotoReport:
    """What a network did with a photograph: the tiles it took, and what the guard found."""

    tiles: int
    guard: tuple[dict[str, str], ...] = ()


def deblur_photo(
    source: Path, target: Path, deblurrer: Deblurrer, options: PhotoOptions
) -> PhotoReport:
    """Write `source` anew as `target`, sharper; nothing else about it changes.

    Raises:
        UserError: as `open_photo` and `Photo.rewrite`.
    """
    limits = {"max_pixels": options.max_pixels, "max_bytes": options.max_bytes}
    with open_photo(source, **limits) as photo, photo.rewrite(target, options.quality) as sink:
        stored = photo.read(photo.height)
        sharp = deblurrer(_upright(stored, photo.orientation))
        sink.write(_upright(sharp, {6: 8, 8: 6}.get(photo.orientation, photo.orientation)))
    return PhotoReport(tiles=photo.planes)


def _upright(stored: Float[Tensor, "p 3 h w"], orientation: int) -> Float[Tensor, "p 3 H W"]:
    """Turned as an EXIF orientation (CIPA DC-008, tag 274) says; 6 and 8 undo each other."""
    turned = stored.mT if orientation > 4 else stored
    axes = {2: (3,), 3: (2, 3), 4: (2,), 6: (3,), 7: (2, 3), 8: (2,)}.get(orientation, ())
    return turned.flip(axes) if axes else turned
