"""libvips, set up for one pass over files that may be of any size and of bad will.

Only this module imports pyvips. The cache of operations is off: it would keep files open, and hand
out an old picture where a file has been replaced. Warnings go to the logger `pyvips`, which is
silent unless somebody listens.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyvips
from pyvips import Error as Error  # under these names for the other modules
from pyvips import GValue as GValue
from pyvips import Image as Image
from pyvips import Region as Region

from bluref.errors import UserError

pyvips.cache_set_max(0)
pyvips.cache_set_max_mem(0)
pyvips.cache_set_max_files(0)
pyvips.concurrency_set(2)  # each thread has buffers of its own; codecs have their own threads

_MEANING = {  # by whether it is deep, and coloured
    **{(False, False): "b-w", (False, True): "srgb"},
    **{(True, False): "grey16", (True, True): "rgb16"},
}
_ERRORS = (Error, UnicodeDecodeError)  # the latter where a message quotes the file's own bytes
_FULL = ("no space left", "disk quota exceeded", "file too large", "disc full", "disk full")
_CLOSE_LOOK = 0.05  # seconds between two looks at whether Ctrl-C was pressed


def from_array(pixels: np.ndarray) -> Image:
    """A picture in memory from an array of 8 or 16 bits, `h w` or `h w bands`; alpha comes last."""
    bands = pixels.shape[2] if pixels.ndim == 3 else 1
    image = Image.new_from_array(pixels)
    return image.copy(interpretation=_MEANING[pixels.dtype == np.uint16, bands > 2])


def load_tiff_without(path: Path, place: int, *, unlimited: bool) -> Image:
    """Open a TIFF file as if the two bytes at `place` were zero."""
    file = path.open("rb")

    def read(size: int) -> bytes:
        start = file.tell()
        data = bytearray(file.read(size))
        for at in (place - start, place + 1 - start):
            if 0 <= at < len(data):
                data[at] = 0
        return bytes(data)

    source = pyvips.SourceCustom()
    weakref.finalize(source, file.close)
    source.on_read(read)
    source.on_seek(file.seek)
    how = {"access": "sequential", "fail_on": "error", "unlimited": unlimited}
    image = Image.tiffload_source(source, **how)
    image._references.append(source)  # pyvips hands these on to all that is made of the image
    return image


def grey_of(image: Image) -> Image:
    """The first of three equal channels, and alpha where there is some."""
    grey = image.extract_band(0)
    if image.bands == 4:
        grey = grey.bandjoin(image.extract_band(3))
    return grey.copy(interpretation=_MEANING[image.format == "ushort", False])


def stored_as(image: Image, orientation: int) -> Image:
    """Undo the turn by which an EXIF orientation makes a picture upright; held whole, if any."""
    opposite = {6: 8, 8: 6}.get(orientation, orientation)
    if opposite == 1:
        return image
    image = image.copy_memory()
    image.set_type(pyvips.GValue.gint_type, "orientation", opposite)
    return image.autorot()


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """What libvips finds wrong with the file `path` becomes a `UserError`."""
    _forget()
    try:
        yield
    except _ERRORS as error:
        raise UserError(
            f"cannot decode {path}: {_reason(error)}", "copy it again from its source, or remove it"
        ) from error


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """What goes wrong while libvips writes `path` becomes a `UserError`."""
    _forget()
    try:
        yield
    except _ERRORS as error:
        reason = _reason(error)
        fix = "free some disk space, or choose another place"
        if not any(word in str(getattr(error, "detail", "")).lower() for word in _FULL):
            fix = "check the disk and the source, or choose another format"
        raise UserError(f"cannot write {path}: {reason}", fix) from error


def run_stoppably(image: Image, work: Callable[[], object]) -> None:
    """Do `work`, which makes libvips compute `image`, so that Ctrl-C stops it at once.

    Python sees a signal only between its own steps, and libvips may compute for minutes within one.
    """
    image.set_progress(True)  # without it libvips never asks whether to stop
    errors: list[BaseException] = []
    ended = threading.Event()  # interrupted, `join` takes a thread that still runs for ended

    def run() -> None:
        try:
            work()
        except BaseException as error:  # raised again below, in the caller's thread
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=run, name="libvips").start()
    try:
        while not ended.wait(_CLOSE_LOOK):
            pass
    except BaseException:
        while not ended.is_set():  # asked once, it may not have begun yet
            with suppress(KeyboardInterrupt):
                image.set_kill(True)
                ended.wait(_CLOSE_LOOK)
        raise
    if errors:
        raise errors[0]


def _forget() -> None:
    """Empty what libvips remembers of errors that nobody has asked for: it would come up later."""
    pyvips.vips_lib.vips_error_clear()


def _reason(error: Exception) -> str:
    """The first line of the cause; libvips lists it after the operation that failed."""
    if not isinstance(error, Error):
        _forget()
        return "it is damaged"
    lines = [line.strip() for line in str(error.detail).splitlines() if line.strip()]
    return lines[0] if lines else str(error.message)
