"""HEIC pixels, through pillow-heif: the libheif inside libvips' wheel knows no HEVC."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bluref.errors import UserError
from bluref.media.photos import vips

_MODES = {
    **{(1, 8): "L", (2, 8): "LA", (3, 8): "RGB", (4, 8): "RGBA"},
    **{(1, 16): "I;16", (2, 16): "LA;16", (3, 16): "RGB;16", (4, 16): "RGBA;16"},
}
_BROKEN = (ArithmeticError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, ValueError)


def load_heic(path: Path) -> vips.Image:
    """The picture, turned upright and decoded whole; 10 and 12 bits as the highest of 16.

    Raises:
        UserError: the extra `heif` is not installed, or the file cannot be decoded.
    """
    opened = _opened(path)
    try:
        pixels = np.ascontiguousarray(opened)
    except _BROKEN as error:
        raise _damaged(path, error) from error
    return vips.from_array(pixels)


def heic_size(path: Path) -> tuple[int, int]:
    """Height and width of the picture turned upright, from the header.

    Raises:
        UserError: as `load_heic`.
    """
    opened = _opened(path)
    try:
        width, height = opened.size
    except _BROKEN as error:  # it names a picture to show that is not there
        raise _damaged(path, error) from error
    return int(height), int(width)


def save_heic(image: vips.Image, path: Path, options: dict[str, Any]) -> None:
    """Write the pixels.

    Args:
        image: 1 to 4 bands of 8 or 16 bits, the last of 2 and 4 alpha.
        path: to be made.
        options: as of libvips' `heifsave`: bitdepth, lossless or Q, subsample_mode.
    """
    pixels = image.numpy()
    deep = pixels.dtype == np.uint16
    lossless = options["lossless"]
    full_colour = lossless or options["subsample_mode"] == "off"
    with path.open("wb") as file:
        _library(path).encode(
            _MODES[image.bands, 16 if deep else 8],
            (image.width, image.height),
            pixels.tobytes(),
            file,
            bit_depth=options["bitdepth"],
            quality=-1 if lossless else options["Q"],
            chroma=444 if full_colour else 420,
            matrix_coefficients=0 if lossless else 6,
        )


def _opened(path: Path) -> Any:  # noqa: ANN401 - pillow-heif has no types
    library = _library(path)
    try:
        return library.open_heif(path, convert_hdr_to_8bit=False)
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _library(path: Path) -> ModuleType:
    try:
        import pillow_heif
    except ModuleNotFoundError as error:
        fix = "pip install 'bluref[heif]'"
        raise UserError(f"{path} is a HEIC picture, which needs pillow-heif", fix) from error
    library: ModuleType = pillow_heif
    return library


def _damaged(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or ["it is damaged"])[0]
    return UserError(
        f"cannot decode {path}: {reason}", "copy it again from its source, or remove it"
    )
