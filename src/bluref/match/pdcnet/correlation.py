"""Local correlation as tiled matrix products.

Every pixel of a query is compared with the (2 r + 1)^2 keys around it. The picture is cut into
tiles of 8 x 8 queries, each with the window of keys that its queries can reach; one matrix product
per tile compares all with all, and a band of the result is what was asked for. That is a few times
more arithmetic than needed, and many times faster than a loop over shifts, since it is all `bmm`.

Reading the band (`_Band`) and putting it back (`_Unband`) are each other's adjoint, and so are
cutting windows out (`_Windows`) and adding them up (`_Overlay`): the gradient of each is the other
one, to any order.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function

# Queries along each side of a tile. Measured at radius 4: 4 and 16 are slower.
TILE = 8


@dataclass(frozen=True)
class Tiling:
    """How a picture of h x w is cut into tiles.

    Attributes:
        batch: pictures.
        height: of each, in pixels.
        width: of each.
        radius: of the search, in pixels.
    """

    batch: int
    height: int
    width: int
    radius: int

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.height // TILE)

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.width // TILE)

    @property
    def window(self) -> int:
        """Side of the window of keys that a tile's queries reach."""
        return TILE + 2 * self.radius

    def queries(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "tiles q c"]:
        """Cut into tiles of TILE^2 pixels; those beyond the picture are zero."""
        pixels = self._padded(image, 0)
        b, c = len(pixels), pixels.shape[-1]
        cut = pixels.reshape(b, self.rows, TILE, self.columns, TILE, c).transpose(2, 3)
        return cut.reshape(-1, TILE * TILE, c)

    def keys(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "tiles k c"]:
        """The window of every tile: overlapping, zero outside the picture."""
        windows: Tensor = _Windows.apply(self._padded(image, self.radius), self.window)  # type: ignore[no-untyped-call]
        return windows

    def join(self, tiles: Float[Tensor, "tiles q c"]) -> Float[Tensor, "b c h w"]:
        """The picture that tiles of queries make up: the inverse of `queries`."""
        c = tiles.shape[-1]
        cut = tiles.view(self.batch, self.rows, self.columns, TILE, TILE, c).transpose(2, 3)
        pixels = cut.reshape(self.batch, self.rows * TILE, self.columns * TILE, c)
        return pixels.permute(0, 3, 1, 2)[..., : self.height, : self.width]

    def _padded(self, image: Float[Tensor, "b c h w"], margin: int) -> Float[Tensor, "b h1 w1 c"]:
        """Zeros around it, and the channels of a pixel side by side."""
        bottom = self.rows * TILE - self.height + margin
        right = self.columns * TILE - self.width + margin
        pixels = image.permute(0, 2, 3, 1)
        return F.pad(pixels, (0, 0, margin, right, margin, bottom)).contiguous()


def tiling_of(image: Float[Tensor, "b c h w"], radius: int) -> Tiling:
    """The tiling of pictures of this size."""
    return Tiling(image.shape[0], image.shape[-2], image.shape[-1], radius)


def products(
    queries: Float[Tensor, "tiles q c"], keys: Float[Tensor, "tiles k c"], radius: int
) -> Float[Tensor, "tiles q o"]:
    """Inner product of every query with the (2 radius + 1)^2 keys around it, row by row."""
    full: Tensor = _Compared.apply(queries, keys)  # type: ignore[no-untyped-call]
    band: Tensor = _Band.apply(full, radius)  # type: ignore[no-untyped-call]
    return band


def combine(
    weights: Float[Tensor, "tiles q o"], keys: Float[Tensor, "tiles k c"], radius: int
) -> Float[Tensor, "tiles q c"]:
    """Sum of the keys around every query, weighted: the adjoint of `products` in the queries."""
    full: Tensor = _Unband.apply(weights, radius)  # type: ignore[no-untyped-call]
    return full @ keys


def local_correlation(
    target: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c h w"], radius: int
) -> Float[Tensor, "b o h w"]:
    """Mean over channels of target(p) * reference(p + d), for every d of the search window.

    Channel (dy + radius) * (2 radius + 1) + dx + radius holds d = (dx, dy). Outside the picture the
    reference is zero.

    Args:
        target: features.
        reference: features of the same size.
        radius: of the search, in pixels.
    """
    tiling = tiling_of(target, radius)
    if torch.is_grad_enabled() and (target.requires_grad or reference.requires_grad):
        found = products(tiling.queries(target), tiling.keys(reference), radius)
    else:
        found = _row_by_row(tiling, target, reference)
    return tiling.join(found) / target.shape[1]


def global_correlation(
    target: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c H W"]
) -> Float[Tensor, "b o h w"]:
    """Inner product of every target feature with every reference feature, row by row (o = H W)."""
    volume = reference.flatten(2).transpose(1, 2) @ target.flatten(2)
    return volume.view(*volume.shape[:2], *target.shape[-2:])


def _row_by_row(
    tiling: Tiling, target: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c h w"]
) -> Float[Tensor, "tiles q o"]:
    """The same products, one row of tiles after the other: what is in hand fits the cache.

    Keeps nothing that a gradient would need.
    """
    radius, window, columns = tiling.radius, tiling.window, tiling.columns
    queries = tiling.queries(target)
    queries = queries.view(tiling.batch, tiling.rows, columns, TILE * TILE, -1)
    around = tiling._padded(reference, radius)
    width, channels = around.shape[2:]
    size, step = (columns, window, window * channels), (TILE * channels, width * channels, 1)
    found = []
    for strips, of_picture in zip(around, queries, strict=True):
        for row, of_row in enumerate(of_picture):
            strip = strips[TILE * row : TILE * row + window]
            keys = strip.as_strided(size, step, strip.storage_offset())
            keys = keys.reshape(columns, window * window, channels)
            band = _band_view(of_row @ keys.transpose(1, 2), radius)
            found.append(band.reshape(columns, TILE * TILE, -1))
    return torch.cat(found)


class _Compared(Function):
    """All queries of a tile with all its keys: (tiles, q, c) and (tiles, k, c) to (tiles, q, k).

    As autograd would have it the gradient of the keys comes channels first, and adding up windows
    that lie across memory takes longer than all the products.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(queries, keys)
        return queries @ keys.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        queries, keys = ctx.saved_tensors
        # Autocast, which may have brought both to one precision, is not at work here.
        of_queries = gradient @ keys.to(gradient.dtype)
        of_keys = gradient.transpose(1, 2) @ queries.to(gradient.dtype)
        return of_queries.to(queries.dtype), of_keys.to(keys.dtype)


class _Windows(Function):
    """Windows at every TILE pixels: (b, h, w, c) to (tiles, k, c)."""

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, window: int) -> Tensor:  # noqa: ANN401
        ctx.size, ctx.window = pixels.shape, window
        b, height, width, c = pixels.shape
        rows, columns = (height - window) // TILE + 1, (width - window) // TILE + 1
        size = (b, rows, columns, window, window * c)
        step = (height * width * c, TILE * width * c, TILE * c, width * c, 1)
        return pixels.contiguous().as_strided(size, step).reshape(-1, window * window, c)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _Overlay.apply(gradient, ctx.size, ctx.window), None  # type: ignore[no-untyped-call]


class _Overlay(Function):
    """Windows added up where they overlap: (tiles, k, c) to (b, h, w, c)."""

    @staticmethod
    def forward(ctx: Any, windows: Tensor, size: torch.Size, window: int) -> Tensor:  # noqa: ANN401
        ctx.window = window
        b, height, width, c = size
        rows, columns = (height - window) // TILE + 1, (width - window) // TILE + 1
        parts = windows.view(b, rows, columns, window, window, c)
        pixels = windows.new_zeros(b, height, width, c)
        # The k-th rows of TILE pixels of all windows lie side by side; they never overlap.
        for top in range(0, window, TILE):
            high = min(TILE, window - top)
            for left in range(0, window, TILE):
                wide = min(TILE, window - left)
                part = parts[:, :, :, top : top + high, left : left + wide]
                step = (height * width * c, TILE * width * c, width * c, TILE * c, c, 1)
                view = pixels.as_strided(
                    (b, rows, high, columns, wide, c), step, (top * width + left) * c
                )
                view += part.permute(0, 1, 3, 2, 4, 5)
        return pixels

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return _Windows.apply(gradient, ctx.window), None, None  # type: ignore[no-untyped-call]


class _Band(Function):
    """Of all products within a tile, those within reach: (tiles, q, k) to (tiles, q, o)."""

    @staticmethod
    def forward(ctx: Any, full: Tensor, radius: int) -> Tensor:  # noqa: ANN401
        ctx.radius = radius
        band = _band_view(full.contiguous(), radius)
        return band.reshape(len(full), TILE * TILE, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _Unband.apply(gradient, ctx.radius), None  # type: ignore[no-untyped-call]


class _Unband(Function):
    """The band put back among zeros: (tiles, q, o) to (tiles, q, k)."""

    @staticmethod
    def forward(ctx: Any, band: Tensor, radius: int) -> Tensor:  # noqa: ANN401
        ctx.radius = radius
        window = TILE + 2 * radius
        full = band.new_zeros(len(band), TILE * TILE, window * window)
        view = _band_view(full, radius)
        view.copy_(band.view(view.shape))
        return full

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _Band.apply(gradient, ctx.radius), None  # type: ignore[no-untyped-call]


def _band_view(full: Tensor, radius: int) -> Tensor:
    """(tiles, qy, qx, dy, dx) of (tiles, q, k): query (qy, qx) reaches key (qy + dy, qx + dx)."""
    reach, window = 2 * radius + 1, TILE + 2 * radius
    keys = window * window
    size = (len(full), TILE, TILE, reach, reach)
    step = (TILE * TILE * keys, TILE * keys + window, keys + 1, window, 1)
    return full.as_strided(size, step)
