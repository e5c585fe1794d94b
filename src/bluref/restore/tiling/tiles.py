"""A picture of any size through a network, in tiles, in as much memory as is allowed.

Rows come in from the top and go out at the top; a band of them as high as one tile is held. Tiles
overlap: what lies near the end of a tile, where the network did not see what comes after it, is
thrown away, and in the middle of what two tiles share one passes smoothly into the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.fit import fitted
from bluref.restore.tiling.footprint import footprint
from bluref.restore.tiling.guard import GuardNote, Notes
from bluref.restore.tiling.memory import (
    default_budget,
    give_back,
    is_out_of_memory,
    resident,
    told_bytes,
)
from bluref.restore.tiling.plan import CHUNK, FADE, Task, TooLittleMemory, plan_tiles
from bluref.restore.tiling.rows import Read, Rows, Write, in_chunks
from bluref.restore.tiling.spans import Span, even_spans, up_to
from bluref.restore.tiling.survey import given_sums, listening, no_sums, sample
from bluref.restore.tiling.tile import TileOptions, TileRestorer
from bluref.restore.tiling.turn import flips
from bluref.restore.tiling.weave import Weaver

SLACK = 1.05
"""More than what was missing is advised by this: what a process holds differs from run to run."""
SURVEYED = 16
"""Tiles that tell a network the means of a picture; see docs/experiments.md."""


@dataclass(frozen=True)
class TileReport:
    """How a picture was deblurred.

    tiles: how many were run.
    tile_height, tile_width: of the largest, as they lie in the stored picture, px.
    shrunk: how often tiles were made smaller since memory ran out.
    guard: what was found in tiles and done about it.
    """

    tiles: int
    tile_height: int
    tile_width: int
    shrunk: int
    guard: tuple[GuardNote, ...] = ()


def deblur_rows(  # noqa: PLR0913 - where rows come from and go to is four of them
    read: Read,
    write: Write,
    height: int,
    width: int,
    deblurrer: Deblurrer,
    *,
    memory: int | None = None,
    reserve: int = 0,
    orientation: int = 1,
    options: TileOptions | None = None,
    survey: Read | None = None,
    write_trust: Write | None = None,
) -> TileReport:
    """Deblur a picture that is read and written row by row.

    Args:
        read: gives the next rows of every plane, [0, 1]; called from the top to the bottom.
        write: takes the next rows of the result, in [0, 1] too.
        height: of the picture as stored, px.
        width: of the picture as stored, px.
        deblurrer: does the work; it is shown every plane as a picture of its own.
        memory: bytes that this process may hold at its peak; None for `memory.default_budget`.
        reserve: bytes of these that reader and writer take beside the rows that they pass on.
        orientation: what turns the picture upright, as EXIF counts it; it takes the place of that
            in `options`.
        options: what becomes of a tile.
        survey: gives the rows a second time, from the top. A network that pools over the whole
            picture learns from some tiles what the means of all are, before the tiles are run; it
            is not called for others, nor where one tile holds everything. Without it each tile has
            means of its own.
        write_trust: takes the map of trust, `p 1 rows w` in [0, 1], rows as they are written.

    Raises:
        UserError: `memory` is too small for the smallest tiles, or there is less than that.
        ValueError: no such orientation.
    """
    options = replace(
        options or TileOptions(), orientation=orientation, trust=write_trust is not None
    )
    source = Rows(read, height, chunk=CHUNK)
    budget = default_budget() if memory is None else memory
    begin = partial(
        _begin, source, options=options, size=(height, width), budget=budget, reserve=reserve
    )
    run = begin(deblurrer)
    if survey is not None and run.wants_survey:
        # Only torch itself can be told what to use in the place of sums over the picture.
        run.deblurrer.forget()
        run = begin(run.deblurrer.eagerly(local_pooling=False) or run.deblurrer)
        if run.wants_survey:
            run.survey(Rows(survey, height, chunk=CHUNK))
    deblurrer.note(run.deblurrer)
    run.take_buffers()
    for piece in run.pieces():
        _pass_on(piece, write, write_trust)
    return TileReport(
        run.tiles, run.largest.height, run.largest.width, run.shrunk, run.notes.told()
    )


def _pass_on(piece: Float[Tensor, "p c rows w"], write: Write, write_trust: Write | None) -> None:
    for rows in in_chunks(piece[:, :3], CHUNK):
        write(rows)
    if write_trust is not None:
        for rows in in_chunks(piece[:, 3:], CHUNK):
            write_trust(rows)


def _begin(
    source: Rows,
    deblurrer: Deblurrer,
    *,
    options: TileOptions,
    size: tuple[int, int],
    budget: int,
    reserve: int,
) -> "_Run":
    """A picture with tiles that fit; where the engine was left to us, torch may stand in.

    Raises:
        UserError: `budget` is too small for the smallest tiles.
    """
    try:
        return _Run(source, TileRestorer(deblurrer, options), *size, budget - reserve)
    except TooLittleMemory as error:
        twin = deblurrer.eagerly(local_pooling=True) if deblurrer.auto else None
        if twin not in (None, deblurrer):
            begin = partial(_begin, source, options=options, size=size)
            return begin(twin, budget=budget, reserve=reserve)
        least = told_bytes(round((budget + error.missing) * SLACK))
        raise UserError(
            f"{told_bytes(budget)} of memory are too little for this model and picture",
            f"allow {least} or more with --memory, or take a smaller model",
        ) from error


class _Run:
    """One picture on its way.

    Raises:
        TooLittleMemory: not even the smallest tiles fit into `budget`, in bytes.
    """

    def __init__(
        self,
        source: Rows,
        restorer: TileRestorer,
        height: int,
        width: int,
        budget: int,
    ) -> None:
        self._source = source
        self._restore = restorer
        self._height, self._width = height, width
        self._mirrored = flips(restorer.options.orientation)
        self.deblurrer = restorer.deblurrer
        room = budget - resident()
        tried = self.deblurrer.tried
        cost = footprint(tried, height * width, room, forget=tried.forget)
        self._task = Task(
            height=height,
            width=width,
            planes=source.planes,
            layers=restorer.layers,
            multiple=self.deblurrer.multiple,
            margin=self.deblurrer.margin,
            cost=cost.bytes,
        )
        self._plan = fitted(self.deblurrer, self._task, budget)
        self.largest = self._plan
        self.tiles = self.shrunk = 0
        self.notes = Notes(height * width * source.planes)
        self._sums = [no_sums(self.deblurrer.model) for _ in range(source.planes)]

    @property
    def wants_survey(self) -> bool:
        """Whether the network sums over the whole picture and will not see it whole."""
        return self._plan.count > 1 and self.deblurrer.window_of is None and any(self._sums)

    def survey(self, source: Rows) -> None:
        """Learn what the network sums over some tiles; nothing where memory runs out over them."""
        try:
            self._hear(source)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            for notes in (notes for sums in self._sums for notes in sums.values()):
                notes.clear()

    def _hear(self, source: Rows) -> None:
        source.reserve(self._plan.height)
        down, across = self._spans_from(0, 0), self._across()
        chosen = sample(len(down) * len(across), SURVEYED)
        for place in chosen:
            row, column = down[place // len(across)], across[place % len(across)]
            band = source.band(row.start, row.stop)
            for plane, sums in zip(band, self._sums, strict=True):
                with listening(sums):
                    self._restore.network(plane[..., column.start : column.stop])

    def pieces(self) -> Iterator[Float[Tensor, "p l rows w"]]:
        """The rows of the result, as they are finished; each piece is valid until the next."""
        weaver = Weaver(-2, FADE)
        spans = self._spans_from(0, 0)
        while spans:
            try:
                band = self._band(spans[0])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                spans = self._shrink(spans[0])
                continue
            yield weaver.add(band, last=len(spans) == 1)
            spans = spans[1:]

    def _spans_from(self, start: int, first: int) -> list[Span]:
        """Tiles down the rows from `start` on, of which the first is used from `first` on."""
        spans = even_spans(
            self._height - start,
            self._plan.height,
            self._plan.down,
            self._task.multiple,
            mirrored=self._mirrored[0],
        )
        spans = [
            Span(span.start + start, span.stop + start, span.first + start, span.last + start)
            for span in spans
        ]
        return [replace(spans[0], first=first), *spans[1:]]

    def _band(self, span: Span) -> Float[Tensor, "p l rows w"]:
        """The used rows of the tiles beside each other."""
        band = self._source.band(span.start, span.stop)
        result = self._result[..., : span.last - span.first, :]
        across = self._across()
        used = slice(span.first - span.start, span.last - span.start)
        for plane, sums, out in zip(band, self._sums, result, strict=True):
            weaver, at = Weaver(-1, FADE), 0
            for column in across:
                with given_sums(sums):
                    sharp, verdict = self._restore(plane[..., column.start : column.stop])
                self.tiles += 1
                pixels = (span.last - span.first) * (column.last - column.first)
                self.notes.add(verdict, pixels)
                sharp = sharp[:, used, column.first - column.start : column.last - column.start]
                ready = weaver.add(sharp.contiguous(), last=column is across[-1])
                out[..., at : at + ready.shape[-1]] = ready
                at += ready.shape[-1]
                give_back()
        return result

    def _across(self) -> list[Span]:
        """Tiles beside each other."""
        return even_spans(
            self._width,
            self._plan.width,
            self._plan.across,
            self._task.multiple,
            mirrored=self._mirrored[1],
        )

    def _shrink(self, failed: Span) -> list[Span]:
        """Plan anew from the first row that is not finished on, with half as many pixels."""
        self.deblurrer.forget()
        give_back()
        # The buffers are there already: they are not asked for again.
        smaller = plan_tiles(self._task, self._plan.need, too_large=self._plan)
        if smaller.height * smaller.width >= self._plan.height * self._plan.width:
            raise UserError(
                "memory ran out, even with the smallest tiles",
                "close other programs, or take a smaller model",
            )
        self._plan = smaller
        self.shrunk += 1
        margin = up_to(self._plan.down.margin, self._task.multiple)
        grid = failed.first - failed.first % self._task.multiple
        return self._spans_from(max(failed.start, grid - margin), failed.first)

    def take_buffers(self) -> None:
        """For bands and results, once: what is taken and freed again and again leaves gaps."""
        self._source.reserve(self._plan.height)
        size = (self._task.planes, self._task.layers, self._plan.height, self._width)
        self._result = torch.empty(size)
