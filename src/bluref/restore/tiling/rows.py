"""A picture that comes and goes in rows, top to bottom, with a band of it in memory."""

from collections.abc import Callable, Iterator

from jaxtyping import Float
from torch import Tensor

Read = Callable[[int], Float[Tensor, "p 3 rows w"]]
"""Gives the next so many rows of each plane of a picture."""
Write = Callable[[Float[Tensor, "p 3 rows w"]], None]
"""Takes the next rows of each plane."""


class Rows:
    """A band that slides down a picture.

    Args:
        read: gives the rows.
        height: of the picture, px.
        chunk: rows that are read at a time.

    Attributes:
        planes: of the picture.
    """

    def __init__(self, read: Read, height: int, *, chunk: int) -> None:
        self._read = read
        self._height = height
        self._chunk = chunk
        self._ahead = read(min(chunk, height))  # what has been read beyond the band
        self._start = self._stop = 0
        self._buffer = self._ahead[..., :0, :]
        self.planes = len(self._ahead)

    def reserve(self, rows: int) -> None:
        """Take the memory for bands of so many rows at once, so that it is never taken again."""
        self._buffer = self._ahead.new_empty(*self._ahead.shape[:2], rows, self._ahead.shape[-1])

    def band(self, start: int, stop: int) -> Float[Tensor, "p 3 rows w"]:
        """Rows `start` to `stop`, valid until the next call; the first may never go back.

        Raises:
            ValueError: rows that have been left behind, or more than there is room for.
        """
        if start < self._start or stop - start > self._buffer.shape[-2]:
            raise ValueError(f"rows {start} to {stop} after {self._start} to {self._stop}")
        kept = self._stop - start  # below 0 where rows are left out
        if start > self._start and kept > 0:
            first = start - self._start
            self._buffer[..., :kept, :] = self._buffer[..., first : first + kept, :].clone()
        self._start = start
        while self._stop < stop:
            self._add(stop)
        return self._buffer[..., : stop - start, :]

    def _add(self, stop: int) -> None:
        """Put the next rows into the band, those above it aside."""
        if self._ahead.shape[-2] == 0:
            self._ahead = self._read(min(self._chunk, self._height - self._stop))
        rows = self._ahead[..., : stop - self._stop, :]
        count, at = rows.shape[-2], self._stop - self._start
        above = min(count, max(0, -at))
        self._buffer[..., at + above : at + count, :] = rows[..., above:, :]
        self._ahead = self._ahead[..., count:, :]
        self._stop += count


def in_chunks(rows: Float[Tensor, "p c n w"], chunk: int) -> Iterator[Float[Tensor, "p c m w"]]:
    """Pieces of at most so many rows, each by itself in memory."""
    for start in range(0, rows.shape[-2], chunk):
        yield rows[..., start : start + chunk, :].contiguous()
