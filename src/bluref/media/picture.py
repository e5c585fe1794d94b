"""Picture files in and out: PNG, JPEG, WebP and TIFF.

The only place where a picture file enters: sizes are checked in the header before anything is
decoded, only these four formats are tried, and whatever is wrong with a file becomes a
`UserError` that names it.
"""

import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from bluref.errors import UserError
from bluref.media.pixels import from_array, to_array, to_depth
from bluref.media.whole import whole_file

MAX_PIXELS = 200_000_000
"""Largest picture or video frame that is decoded by default, in pixels (height times width)."""
TRUST_MAP = ".trust.png"
"""Behind the name of a picture: its map of trust."""

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
PICTURE_SUFFIXES = frozenset(_FORMATS)
"""Lower-case suffixes, with the dot, of the files that are read and written."""

_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # pixels; limits of the formats and encoders
_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")

# What turns a picture upright, by its EXIF orientation (CIPA DC-008, tag 274); 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)  # of these, the ones that swap height and width

# What Pillow raises on malformed files; no code of ours runs where these are caught.
_BROKEN = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

# Pillow's own limit against decompression bombs is one number for the whole process.
_pillow_limit = threading.Lock()


def is_picture(path: Path | str) -> bool:
    """Whether the name ends like a picture's, in either case; the file is not opened."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def list_pictures(folder: Path | str, *, recursive: bool = False) -> list[Path]:
    """Pictures in a folder in natural order: `frame2.png` comes before `frame10.png`.

    Hidden files and folders (`.name`) are left out, so unfinished outputs never count as pictures;
    so are maps of trust beside the picture that they are of.
    A folder without pictures gives an empty list.

    Args:
        folder: where to look.
        recursive: also look in its subfolders; links to folders are not followed.

    Raises:
        UserError: the folder does not exist, is not a folder, or may not be read.
    """
    folder = Path(folder)
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise UserError(
            f"cannot list {folder}: {_reason(error)}", "point at an existing folder of pictures"
        ) from error
    pictures = []
    maps = {f"{name}{TRUST_MAP}" for name in names}
    for name in sorted(set(names) - maps, key=natural_order):
        entry = folder / name
        if name.startswith("."):
            continue
        if is_picture(entry) and entry.is_file():
            pictures.append(entry)
        elif recursive and entry.is_dir() and not entry.is_symlink():
            pictures += list_pictures(entry, recursive=True)
    return pictures


def picture_size(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) in pixels from the header, after the EXIF orientation is applied.

    Raises:
        UserError: as `read_picture`, but only the header is looked at.
    """
    with _opened(Path(path), max_pixels) as picture:
        width, height = picture.size
        orientation = _orientation(picture)
    return (width, height) if orientation in _SIDEWAYS else (height, width)


def read_picture(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "1 3 h w"]:
    """Read a picture as RGB in [0, 1], turned upright as its EXIF orientation says.

    Grey becomes three equal channels, 16-bit grey keeps its depth, palettes and CMYK are converted.
    Transparency is dropped and the colour under it kept: nothing is blended with a background.
    16-bit colour is read at 8 bits, and the first frame of an animation is taken.

    Args:
        path: a PNG, JPEG, WebP or TIFF file; its content counts, not its suffix.
        max_pixels: larger pictures are refused before they are decoded.

    Raises:
        UserError: the file is missing, unreadable, broken, cut short, not a picture or too large.
    """
    path = Path(path)
    with _opened(path, max_pixels) as picture:
        turn = _TURNS.get(_orientation(picture))
        deep, depthless = picture.mode in _DEEP_GREY, picture.mode == "F"
        picture.info.pop("transparency", None)  # else Pillow warns that it is about to be lost
        upright = picture if turn is None else picture.transpose(turn)
        pixels = np.array(upright if deep else upright.convert("RGB"))
    if depthless:
        raise UserError(f"{path} stores floating-point values", "convert it to 8 or 16 bits")
    return _from_deep_grey(path, pixels) if deep else from_array(pixels)


def refuse_other_suffixes(path: Path) -> None:
    """Refuse what `write_picture` could not write.

    Raises:
        UserError: the suffix names no format of pictures.
    """
    if path.suffix.lower() not in _FORMATS:
        raise UserError(
            f"cannot tell the format of {path} from its suffix {path.suffix!r}",
            f"use one of {', '.join(sorted(PICTURE_SUFFIXES))}",
        )


def write_picture(image: Float[Tensor, "1 3 h w"], path: Path | str, *, quality: int = 95) -> None:
    """Write one image at 8 bits, in the format of the suffix; the file appears whole.

    PNG and TIFF are lossless. JPEG keeps full colour resolution (4:4:4).

    Args:
        image: RGB in [0, 1]; values outside are clamped.
        path: ends in one of `PICTURE_SUFFIXES`.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        ValueError: quality outside 1 to 100.
        UserError: unknown suffix, too large for the format, full disk, read-only folder.
    """
    path = Path(path)
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1 to 100, got {quality}")
    refuse_other_suffixes(path)
    kind = _FORMATS[path.suffix.lower()]
    longest, limit = max(image.shape[-2:]), _LONGEST_SIDE.get(kind)
    if limit is not None and longest > limit:
        raise UserError(
            f"{path}: a side of {longest} pixels, and {kind} holds at most {limit}",
            "write a .png or .tif file",
        )
    encoded = _encode(Image.fromarray(to_array(image)), kind, quality)
    with whole_file(path) as partial:
        partial.write_bytes(encoded)


def write_map(values: Float[Tensor, "1 h w"], path: Path | str) -> None:
    """Write one number a pixel as a grey PNG at 8 bits; the file appears whole.

    Args:
        values: in [0, 1]; values outside are clamped.
        path: of the file.

    Raises:
        UserError: full disk, read-only folder.
    """
    file = io.BytesIO()
    Image.fromarray(to_depth(values[0], 8).numpy()).save(file, "PNG")
    with whole_file(path) as partial:
        partial.write_bytes(file.getvalue())


def _encode(picture: Image.Image, kind: str, quality: int) -> bytes:
    file = io.BytesIO()
    if kind == "JPEG":
        picture.save(file, kind, quality=quality, subsampling="4:4:4")
    elif kind == "WEBP":
        picture.save(file, kind, quality=quality)
    elif kind == "TIFF":
        picture.save(file, kind, compression="tiff_adobe_deflate")
    else:
        picture.save(file, kind)
    return file.getvalue()


def _from_deep_grey(path: Path, grey: np.ndarray) -> Float[Tensor, "1 3 h w"]:
    if grey.min() < 0 or grey.max() > 65_535:
        raise UserError(f"{path} stores more than 16 bits", "convert it to 8 or 16 bits")
    image = torch.from_numpy(grey.astype(np.float32) / 65_535)
    return image.expand(1, 3, *image.shape).contiguous()


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """The picture with its header read and its size allowed; errors of any use name the file."""
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise UserError(
            f"cannot open {path}: {_reason(error)}", "check the path and its permissions"
        ) from error
    try:
        with file, _open_header(file, path, max_pixels) as picture:
            yield picture
    except UnidentifiedImageError as error:
        empty = path.stat().st_size == 0
        raise UserError(
            f"{path} is empty" if empty else f"{path} is not a PNG, JPEG, WebP or TIFF picture",
            "replace it with a picture, or remove it",
        ) from error
    except _BROKEN as error:
        raise UserError(
            f"cannot decode {path}: {_reason(error)}", "copy it again from its source, or remove it"
        ) from error


def _open_header(file: io.BufferedReader, path: Path, max_pixels: int) -> Image.Image:
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            return Image.open(file, formats=("PNG", "JPEG", "WEBP", "TIFF"))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(
                f"{path} has more than {max_pixels:,} pixels", "make it smaller, or leave it out"
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _orientation(picture: Image.Image) -> int:
    """The EXIF orientation still to be applied; 1 for none, also if the EXIF block is malformed."""
    if picture.format == "TIFF":
        return 1  # Pillow turns TIFF files itself, and no others
    try:
        # Not picture.getexif(): for a PNG that decodes everything to look behind the pixels.
        return int(Image.Image.getexif(picture).get(ExifTags.Base.Orientation, 1))
    except _BROKEN:
        return 1


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key of a name in which digits compare as numbers: 2 comes before 10."""
    parts = re.split("([0-9]+)", name.casefold())  # every second one is of digits
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _reason(error: BaseException) -> str:
    """The first line of what went wrong, without the path that the message names anyway."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
