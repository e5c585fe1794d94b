"""Tiles that are better left alone, or made another way: found, mended and said.

A network that meets what it was not trained for can paint mosaics of colour, move the picture,
break down, or work on what is sharp already. What is asked here needs no truth: deblurring hardly
changes the mean colour of a patch, nor where things lie. Thresholds stand well beyond everything
seen on real frames that came out well; `bench/guard_rates.py` prints how far, and what is found of
that which was broken on purpose.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.measure.shift import mean_shift
from bluref.restore.tiling.defocus import is_out_of_focus
from bluref.restore.tiling.sharp_already import is_sharp_already, noise

Finding = Literal["broken", "clipped", "colours", "moved", "already sharp", "noise", "defocus"]
"""`broken`: not finite; `clipped`: much became black or white that was not; `colours`: patches
changed their mean colour; `moved`: they changed their brightness, or things lie elsewhere;
`noise`, `defocus`: the picture suffers from something else than motion."""
Action = Literal["kept", "global pooling", "input"]
"""What became of the tile: the result as it is, that of the network with means over the whole tile
(`bluref.restore.networks.pooling`), or the picture as it came."""

CELL = 32
"""Side of the patches whose means are compared, px."""
COLOUR = 0.04
"""Largest change of a patch's mean colour, beside that of its brightness, in [0, 1]."""
BRIGHTNESS, MEAN_BRIGHTNESS = 0.25, 0.05
"""Largest change of a patch's mean brightness, of any patch and over all patches."""
SHIFT = 2.0
"""Largest translation, px; under strong blur good results seem to lie up to 1.3 px away."""
FLAT = 0.004
"""Standard deviation of the grey image, in [0, 1], below which nothing is there to be moved."""
CLIPPED = 0.05
"""Largest share of values that reach 0 or 1 and were farther than this from it."""
NOISE = 0.04
"""Standard deviation of the noise of the grey image, in [0, 1], from which on it is told."""


@dataclass(frozen=True)
class Verdict:
    """What was found in a tile and what was done about it."""

    finding: Finding
    action: Action


@dataclass(frozen=True)
class GuardNote:
    """What was found in a picture.

    tiles: in how many tiles.
    share: of the picture's pixels, in (0, 1].
    """

    finding: Finding
    action: Action
    tiles: int
    share: float


class Notes:
    """Counts verdicts.

    Args:
        pixels: of the picture, in all its planes.
    """

    def __init__(self, pixels: int) -> None:
        self._all = pixels
        self._counts: dict[Verdict, tuple[int, int]] = {}

    def add(self, verdict: Verdict | None, pixels: int) -> None:
        """One more tile, which so many pixels of the result come from."""
        if verdict is not None:
            tiles, so_far = self._counts.get(verdict, (0, 0))
            self._counts[verdict] = (tiles + 1, so_far + pixels)

    def told(self) -> tuple[GuardNote, ...]:
        """The counts, the largest share first; pixels that two tiles share count once at most."""
        notes = [
            GuardNote(verdict.finding, verdict.action, tiles, min(1.0, pixels / self._all))
            for verdict, (tiles, pixels) in self._counts.items()
        ]
        return tuple(sorted(notes, key=lambda note: -note.share))


def summed(notes: Iterable[GuardNote], frames: int) -> tuple[GuardNote, ...]:
    """Notes of the frames of a film as notes of the film: in how many frames, in what share of all.

    Args:
        notes: of its frames.
        frames: how many the film has.
    """
    found: dict[Verdict, list[float]] = {}
    for note in notes:
        found.setdefault(Verdict(note.finding, note.action), []).append(note.share)
    told = [
        GuardNote(verdict.finding, verdict.action, len(shares), min(1.0, sum(shares) / frames))
        for verdict, shares in found.items()
    ]
    return tuple(sorted(told, key=lambda note: -note.share))


def guarded(
    tile: Float[Tensor, "3 h w"],
    sharpen: Callable[[Tensor], Tensor],
    again: Callable[[Tensor], Tensor] | None,
) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "3 h w"], Verdict | None]:
    """The tile deblurred, or what is safer.

    Args:
        tile: of the picture, RGB, [0, 1].
        sharpen: the network.
        again: the same with means over the whole tile, where those are local otherwise.

    Returns:
        what takes the tile's place, what the network made of it (the tile, where it was not asked),
        and what was found.
    """
    if is_sharp_already(tile):
        return tile, tile, Verdict("already sharp", "input")
    sharp = sharpen(tile)
    finding = harm(tile, sharp)
    if finding is None:
        return sharp, sharp, _of_another_kind(tile)
    if again is not None:
        other = again(tile)
        if harm(tile, other) is None:
            return other, other, Verdict(finding, "global pooling")
    return tile, sharp, Verdict(finding, "input")


def _of_another_kind(tile: Float[Tensor, "3 h w"]) -> Verdict | None:
    """What a tile suffers from that networks for motion blur are not made for."""
    if noise(tile) > NOISE:
        return Verdict("noise", "kept")
    return Verdict("defocus", "kept") if is_out_of_focus(tile) else None


def harm(tile: Float[Tensor, "3 h w"], result: Float[Tensor, "3 h w"]) -> Finding | None:
    """What is wrong with the result of a tile, if anything."""
    if not bool(result.isfinite().all()):
        return "broken"
    if _clipped(tile[:, ::2, ::2], result[:, ::2, ::2]) > CLIPPED:
        return "clipped"
    change = _by_cell((result - tile)[None])
    light = change.mean(dim=1, keepdim=True)
    if (change - light).abs().max() > COLOUR:
        return "colours"
    if light.abs().max() > BRIGHTNESS or light.abs().mean() > MEAN_BRIGHTNESS:
        return "moved"
    return "moved" if _shift(tile, result) > SHIFT else None


def _clipped(tile: Tensor, result: Tensor) -> float:
    """The share of values that reach 0 or 1 and were not near there before."""
    inside = (tile > CLIPPED) & (tile < 1 - CLIPPED)
    return float(((result <= 0) | (result >= 1)).logical_and(inside).float().mean())


def _by_cell(image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 rows columns"]:
    """Means of cells; where they do not fill a side, one more that ends where it does."""
    cell = min(CELL, image.shape[-2]), min(CELL, image.shape[-1])
    for dim, side in zip((-2, -1), cell, strict=True):
        length = image.shape[dim]
        if rest := length % side:
            last = image.narrow(dim, length - side, side)
            image = torch.cat((image.narrow(dim, 0, length - rest), last), dim)
    return F.avg_pool2d(image, cell)


def _shift(tile: Tensor, result: Tensor) -> float:
    """Pixels that the result lies away from the tile, seen at a quarter of the size."""
    if min(tile.shape[-2:]) < 64:
        return 0.0
    small = [F.avg_pool2d(image[None], 4) for image in (result, tile)]
    if float(small[1].mean(dim=1).std()) < FLAT:
        return 0.0
    return 4 * float(torch.linalg.vector_norm(mean_shift(*small)))
