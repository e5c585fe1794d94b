"""The formats in which photographs are kept: telling them apart, and writing the like of a file."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from bluref.errors import UserError
from bluref.media.photos import vips
from bluref.media.photos.heic import load_heic, save_heic
from bluref.media.photos.heif_file import graft_heif, heif_header
from bluref.media.photos.jpeg_file import graft_jpeg, jpeg_header
from bluref.media.photos.png_file import graft_png, png_header
from bluref.media.photos.tiff_file import (
    BITS,
    COMPRESSION,
    EXTRA_SAMPLES,
    LARGEST_TOLD,
    LENGTH,
    PHOTOMETRIC,
    PLANES_APART,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    TILE_LENGTH,
    TILE_WIDTH,
    WIDTH,
    TiffHeader,
    graft_tiff,
    tiff_header,
)
from bluref.media.photos.webp_file import graft_webp, webp_header

PHOTO_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif")
)
"""Lower-case suffixes, with the dot, of files that `open_photo` may know by their content."""

_FORMATS = "PNG, JPEG, WebP, TIFF, AVIF or HEIC"
_KNOWN_BY = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_HEIF_BRANDS = (b"mif1", b"msf1", b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx")
_UNREAD = (  # what people mistake for one of ours, and what to do about it
    (b"GIF8", "a GIF picture", "save it as PNG; make a video of it if it is an animation"),
    (b"BM", "a BMP picture", "save it as PNG"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", "save it as PNG or TIFF"),
    (b"\xff\x0a", "a JPEG XL picture", "save it as PNG or TIFF"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", "save it as PNG or TIFF"),
    (b"8BPS", "a Photoshop document", "save it as TIFF"),
    (b"FUJIFILMCCD-RAW", "a raw photograph", "develop it first, to a 16-bit TIFF for example"),
)
_KEPT_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_PNG_FILTER = 0xF8  # libpng tries all five, line by line
_ASSOCIATED = 1  # of the TIFF tag ExtraSamples: colours are multiplied by alpha
_QUALITY = 90  # of AVIF and HEIC, whose files do not tell theirs
_PHOTOMETRICS = (0, 1, 2, 3, 5, 6)  # white or black is zero, RGB, palette, CMYK, YCbCr
_LARGE_PART = 8 << 20  # bytes; libvips allows 50 MiB in all
_BIG = 3_500_000_000  # bytes of pixels from which a TIFF file gets 64-bit offsets


@dataclass(frozen=True)
class Stored:
    """How a picture is stored, and so how the like of it is written.

    kind: PNG, JPEG, WebP, TIFF, AVIF or HEIC.
    options: for the encoder; `Q`, its quality, only where that is lossy.
    graft: puts what stands beside the pixels of one file beside those of another.
    orientation: by its EXIF number, where the decoder turns the pixels itself; else None.
    copies: of the whole picture that the decoder or the encoder holds, at most; 0 where it streams.
    hidden: place of two bytes that the decoder must not see: that colours of a TIFF file are
        multiplied by alpha already, which it would undo with a loss.
    grey: no colour is stored, though the decoder makes some.
    unlimited: parts of a TIFF file are larger than libvips would read unasked.
    """

    kind: str
    options: Mapping[str, object]
    graft: Callable[[Path, Path, Path], None]
    orientation: int | None = None
    copies: int = 0
    hidden: int | None = None
    unlimited: bool = False
    grey: bool = False

    def open(self, path: Path) -> vips.Image:
        """The picture, to be read once from top to bottom; nothing is decoded yet."""
        if self.kind == "HEIC":
            return load_heic(path)
        if self.hidden is not None:
            return vips.load_tiff_without(path, self.hidden, unlimited=self.unlimited)
        loader = getattr(vips.Image, _LOADERS[self.kind])
        how = {"unlimited": True} if self.unlimited else {}
        image: vips.Image = loader(os.fsencode(path), access="sequential", fail_on="error", **how)
        return vips.grey_of(image) if self.grey else image

    def save(self, image: vips.Image, path: Path, quality: int | None) -> None:
        """Write the pixels, and nothing else that could be left out."""
        options = dict(self.options)
        if quality is not None and "Q" in options:
            options["Q"] = quality
        if self.kind == "HEIC":
            save_heic(image, path, options)
            return
        if self.kind == "AVIF" and image.bands == 1 and image.format == "uchar":
            _save_grey_avif(image, path, options)
            return
        if self.kind == "TIFF":
            size = image.width * image.height * image.bands * (2 if image.format == "ushort" else 1)
            options["bigtiff"] = size > _BIG
        getattr(image, _SAVERS[self.kind])(os.fsencode(path), keep="none", **options)


def _save_grey_avif(image: vips.Image, path: Path, options: Mapping[str, object]) -> None:
    """Through Pillow, since libvips writes colour whatever it is given."""
    picture = PIL.Image.fromarray(image.numpy().reshape(image.height, image.width))
    picture.save(path, "AVIF", quality=options.get("Q", 100))


_LOADERS = {
    **{"PNG": "pngload", "JPEG": "jpegload", "WebP": "webpload", "TIFF": "tiffload"},
    "AVIF": "heifload",
}
_SAVERS = {kind: loader.replace("load", "save") for kind, loader in _LOADERS.items()}


def how_stored(path: Path) -> Stored:
    """Look at the header of a file; its content counts, not its name.

    Raises:
        UserError: it cannot be opened, is empty, damaged or of another format, or holds several
            pictures.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
        return _DESCRIBE[_kind(path, start)](path)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"cannot open {path}: {reason.lower()}"
        raise UserError(problem, "check the path and its permissions") from error


def _kind(path: Path, start: bytes) -> str:
    for magic, kind in _KNOWN_BY:
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "HEIF"
    for magic, name, fix in _UNREAD:
        if start.startswith(magic):
            raise UserError(f"{path} is {name}, which is not read here", fix)
    problem = f"{path} is not a {_FORMATS} picture" if start else f"{path} is empty"
    raise UserError(problem, "replace it with a picture, or remove it")


def _describe_png(path: Path) -> Stored:
    header = png_header(path)
    _refuse_animation(path, header.frames)
    options = {"interlace": header.interlaced, "filter": _PNG_FILTER}
    return Stored("PNG", options, graft_png, copies=4 if header.interlaced else 0)


def _describe_jpeg(path: Path) -> Stored:
    header = jpeg_header(path)
    options = {
        "Q": header.quality,
        "subsample_mode": "off" if header.full_colour else "on",
        "interlace": header.progressive,
        "optimize_coding": header.progressive,  # to find the best codes it holds all of a picture
    }
    return Stored("JPEG", options, graft_jpeg, copies=9 if header.progressive else 0)


def _describe_webp(path: Path) -> Stored:
    header = webp_header(path)
    if header.frames == 1:  # which may be smaller than the picture, and lie anywhere in it
        raise UserError(
            f"{path} is an animation of one frame", "save that frame as a still picture"
        )
    if header.frames:
        _refuse_animation(path, header.frames)
    options: dict[str, object] = {"exact": True, "alpha_q": 100}
    options |= {"lossless": True} if header.quality is None else {"Q": header.quality}
    return Stored("WebP", options, graft_webp, copies=18 if header.quality is None else 7)


def _describe_tiff(path: Path) -> Stored:
    header = tiff_header(path)
    if header.raw:
        problem = f"{path} is a raw photograph, or begins with a preview"
        raise UserError(problem, "develop it first, to a 16-bit TIFF for example")
    if header.pages > 1:
        problem = f"{path} is a document of {header.pages} pages"
        raise UserError(problem, "save its pages as separate pictures")
    if header.told > LARGEST_TOLD:
        problem = f"{path} has more than {LARGEST_TOLD:,} bytes beside its pixels"
        raise UserError(problem, "save it without layers")
    meaning, kinds = header.number(PHOTOMETRIC, 1), header.values(SAMPLE_FORMAT, 1)
    if meaning not in _PHOTOMETRICS or set(kinds) != {1} or max(header.values(BITS, 1)) > 16:
        problem = f"{path} stores values that are not 8 or 16 bits of grey, RGB or CMYK"
        raise UserError(problem, "convert it to one of these")
    options: dict[str, object] = {
        "compression": _KEPT_COMPRESSIONS.get(header.number(COMPRESSION, 1), "deflate"),
        "predictor": "horizontal" if header.number(PREDICTOR, 1) == 2 else "none",
    }
    if TILE_WIDTH in header.tags:
        sides = (header.number(tag, 256) for tag in (TILE_WIDTH, TILE_LENGTH))
        options |= dict(zip(("tile_width", "tile_height"), sides, strict=True), tile=True)
    alpha = header.tags.get(EXTRA_SAMPLES)
    multiplied = alpha is not None and alpha.numbers() == (_ASSOCIATED,)
    streams = header.number(COMPRESSION, 1) == 1 and header.number(PLANES_APART, 1) == 1
    large = not streams and _part_size(header) > _LARGE_PART
    return Stored(
        "TIFF",
        options,
        graft_tiff,
        copies=3 if large else 0,
        hidden=alpha.place if alpha and multiplied else None,
        unlimited=large or header.told > _LARGE_PART,
    )


def _part_size(header: TiffHeader) -> int:
    """Bytes of a strip or a row of tiles, which libvips reads at once."""
    rows = header.number(TILE_LENGTH, 0) or header.number(ROWS_PER_STRIP, 1 << 32)
    rows = min(rows, header.number(LENGTH, 0))
    bits = max(header.values(BITS, 1)) * header.number(SAMPLES, 1)
    return rows * header.number(WIDTH, 0) * bits // 8


def _describe_heif(path: Path) -> Stored:
    header = heif_header(path)
    if header.animated:
        _refuse_animation(path, 0)
    options: dict[str, object] = {
        "lossless": header.lossless,
        "subsample_mode": "off" if header.full_colour else "on",
        "bitdepth": header.depth,
    }
    if not header.lossless:
        options["Q"] = _QUALITY
    kind = "AVIF" if header.coding == b"av01" else "HEIC"
    if kind == "AVIF":
        options["compression"] = "av1"
    turn, grey = header.orientation, kind == "AVIF" and header.grey
    return Stored(kind, options, graft_heif, turn, copies=20, grey=grey)


_DESCRIBE = {
    **{"PNG": _describe_png, "JPEG": _describe_jpeg, "WebP": _describe_webp},
    **{"TIFF": _describe_tiff, "HEIF": _describe_heif},
}


def _refuse_animation(path: Path, frames: int) -> None:
    """Refuse more frames than one; 0 stands for a number that is not known."""
    if frames != 1:
        count = f" of {frames} frames" if frames else ""
        raise UserError(f"{path} is an animation{count}", "make a video of it, and deblur that")
