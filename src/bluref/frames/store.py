"""Frames by identity, decoded once and read as often as training likes.

Training cuts small boxes out of many frames in random order. Decoding a whole frame for each box,
or seeking in a video, would cost more than the step itself; so each frame is decoded once into a
flat file, and a box reads only its own rows through the operating system's cache.
"""

import hashlib
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.media.picture import picture_size, read_picture
from bluref.media.pixels import from_array, to_array
from bluref.media.video import probe_video, stream_video
from bluref.media.whole import decimal_bytes, remove_leftovers, whole_file

# Files kept open: each holds a descriptor, of which a process commonly has 1024.
KEPT_OPEN = 256


class FrameStore:
    """Decoded frames in a folder, one file each, keyed by the source file's identity and age.

    Args:
        folder: where decoded frames lie; made when needed. Costs 3 bytes per pixel and frame.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._opening = threading.Lock()
        self._open: OrderedDict[Frame, np.ndarray] = OrderedDict()
        self._identities: dict[Frame, str] = {}

    def size(self, frame: Frame) -> tuple[int, int]:
        """(height, width) of the frame, from the file's header."""
        if frame.path not in self._sizes:
            if frame.position is None:
                self._sizes[frame.path] = picture_size(frame.path)
            else:
                info = probe_video(frame.path)
                self._sizes[frame.path] = (info.height, info.width)
        return self._sizes[frame.path]

    def prepare(
        self, frames: Iterable[Frame], *, tell: Callable[[int, int], None] = lambda done, all_: None
    ) -> None:
        """Decode what is not decoded yet; a video is read once, from its start.

        Args:
            frames: what training will ask for.
            tell: called with (done, all) as frames are ready.

        Raises:
            UserError: a frame cannot be read, or the disk is too full to hold them all.
        """
        remove_leftovers(self.folder)
        missing = [f for f in dict.fromkeys(frames) if not self._file(f).exists()]
        self._check_space(missing)
        done = 0
        for path, positions in _videos(missing).items():
            for picture in stream_video(path, only=list(positions)):
                self._write(positions.pop(picture.index), to_array(picture.image))
                tell(done := done + 1, len(missing))
            if positions:
                raise UserError(
                    f"{path} ends before frame {min(positions)}, though more were counted in it",
                    "convert the video anew, or cut it where it breaks",
                )
        for frame in missing:
            if frame.position is None:
                self._write(frame, to_array(read_picture(frame.path)))
                tell(done := done + 1, len(missing))

    def pixels(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        """The whole frame as a read-only view of its file."""
        with self._opening:  # batches are made on another thread than snapshots
            return self._opened(frame)

    def image(self, frame: Frame) -> Float[Tensor, "1 3 h w"]:
        """The whole frame."""
        return from_array(np.array(self.pixels(frame)))

    def cut(self, frame: Frame, crop: Crop) -> Float[Tensor, "1 3 h w"]:
        """What the crop shows of the frame, flips applied."""
        rows = slice(crop.top, crop.top + crop.height)
        columns = slice(crop.left, crop.left + crop.width)
        return crop.flip(from_array(np.array(self.pixels(frame)[rows, columns])))

    def identity(self, frame: Frame) -> str:
        """Digest of which file this frame is, its size and its age: changes when the file does."""
        if frame not in self._identities:
            try:
                seen = frame.path.stat()
            except OSError as error:
                raise UserError(
                    f"{frame.path} cannot be read: {error}", "restore the file"
                ) from None
            what = f"{frame.path.resolve()}|{seen.st_size}|{seen.st_mtime_ns}|{frame.position}"
            digest = hashlib.blake2b(os.fsencode(what), digest_size=16)
            self._identities[frame] = digest.hexdigest()
        return self._identities[frame]

    def _opened(self, frame: Frame) -> UInt8[np.ndarray, "h w 3"]:
        if frame in self._open:
            self._open.move_to_end(frame)
            return self._open[frame]
        path = self._file(frame)
        if not path.exists():
            self.prepare([frame])
        self._open[frame] = np.load(path, mmap_mode="r")
        if len(self._open) > KEPT_OPEN:
            self._open.popitem(last=False)
        return self._open[frame]

    def _file(self, frame: Frame) -> Path:
        return self.folder / f"{self.identity(frame)}.npy"

    def _write(self, frame: Frame, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
        with whole_file(self._file(frame)) as partial, partial.open("wb") as file:
            np.save(file, pixels)

    def _check_space(self, frames: Iterable[Frame]) -> None:
        need = sum(3 * height * width for height, width in map(self.size, frames))
        if not need:
            return
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if need > free:
            raise UserError(
                f"decoded frames need {decimal_bytes(need)},"
                f" {self.folder} has {decimal_bytes(free)} free",
                "free some space, write elsewhere, or use fewer clips",
            )


def check_sizes(frames: Iterable[Frame], store: FrameStore) -> None:
    """Refuse a clip whose frames differ in size.

    Raises:
        UserError: names the first frame that is unlike the first of its clip.
    """
    first: dict[str, Frame] = {}
    for frame in frames:
        one = first.setdefault(frame.clip, frame)
        if store.size(frame) != store.size(one):
            (h, w), (h1, w1) = store.size(frame), store.size(one)
            raise UserError(
                f"{frame} is {w}x{h}, but {one} of the same clip is {w1}x{h1}",
                "put pictures of different size into clips of their own, or resize them",
            )


def _videos(frames: Iterable[Frame]) -> dict[Path, dict[int, Frame]]:
    videos: dict[Path, dict[int, Frame]] = {}
    for frame in frames:
        if frame.position is not None:
            videos.setdefault(frame.path, {})[frame.position] = frame
    return videos
