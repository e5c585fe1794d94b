"""How much fine detail a frame holds, and where: what sharpness is measured from.

A picture is halved again and again; at each size the squared differences between neighbours are
gathered in four directions, over cells of `CELL` pixels. Blur takes from the fine sizes and leaves
the coarse ones; texture that is rich or poor has more or less of both.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

CELL = 16
"""Side of a cell in pixels of the picture that is looked at."""
COARSE = 4  # halvings down to the size at which blur takes nothing yet
FINE = (0, 1)  # halvings of the sizes that tell sharpness
_QUIETEST = 0.01  # share of the cells that hold nothing but noise
_LEAST = 0.3  # of the noise's energy: detail below it cannot be told from none
_ROUNDING = 0.02  # squared grey levels of 255 that rounding leaves
_AROUND = 15  # pixels of the view, odd
_FAINT = 4.0  # grey levels: variation that is not made stronger
_VIEW = 160  # pixels of the longer side of the picture by which motion is found


@dataclass(frozen=True)
class Detail:
    """What is kept of a frame to compare it with its neighbours.

    Attributes:
        fine: natural log of the energy of each fine size, by cell; grey levels of 255, squared.
        say: how much a cell has to say, by its coarse energy, in [0, 1]: 0.5 for the middlemost.
        energy: mean of `fine` over cells, by what they have to say, and sizes.
        focus: log of fine over coarse energy, in the direction in which it is least: it hardly
            depends on how rich the texture is, and moderately on which kind it is.
        slant: that of the direction in which it is greatest less `focus`: motion blurs along its
            way and not across, while texture is seldom so one-sided.
        noise: energy that the quietest cells have at full size: noise, and coding of nothing.
        view: a small picture, in grey levels.
        even: the view with its contrast made even, so that motion is that of most of the scene and
            not of the one thing in it that is rich in contrast.
        step: pixels of the picture that was looked at per pixel of the view.
        exposure: mean of the picture, in [0, 1].
        spread: standard deviation of the picture, in [0, 1].
    """

    fine: Float[np.ndarray, "2 y x"]
    say: Float[np.ndarray, "y x"]
    energy: float
    focus: float
    slant: float
    noise: float
    view: Float[np.ndarray, "v u"]
    even: Float[np.ndarray, "v u"]
    step: int
    exposure: float
    spread: float


def detail_of(grey: Float[Tensor, "h w"], *, noise: float | None = None) -> Detail:
    """Measure a picture.

    Args:
        grey: levels in [0, 255].
        noise: energy to take for noise, where neighbours have told; else the picture's own.
    """
    mean, deviation = cv2.meanStdDev(grey.numpy())
    step = max(2 if min(grey.shape) >= 4 * CELL else 1, round(max(grey.shape) / _VIEW))
    energies = _energies(_padded(grey))  # sizes, 4, y, x
    own = float(np.quantile(energies[0].mean(axis=0), _QUIETEST))
    floor = (own if noise is None else noise) / 4.0 ** np.arange(COARSE + 1)[:, None, None, None]
    energies = np.maximum(energies - floor, _LEAST * floor + _ROUNDING)
    coarse = energies[COARSE].mean(axis=0)  # y, x
    total = energies.sum(axis=(2, 3))  # sizes, 4
    focus = np.log(total[0] / total[COARSE])  # 4
    fine = np.log(energies[list(FINE)].mean(axis=1))
    # No cell counts for more than two plain ones: a rich object must not speak for the scene.
    say = coarse / (coarse + np.median(coarse))
    view = F.avg_pool2d(grey[None], step)[0] if min(grey.shape) >= step else grey
    return Detail(
        fine=fine,
        say=say,
        energy=float(np.average(fine.mean(axis=0), weights=say)),
        focus=float(focus.min()),
        slant=float(np.ptp(focus)),
        noise=own,
        view=view.numpy(),
        even=_even(view.numpy()),
        step=step,
        exposure=float(mean.item()) / 255,
        spread=float(deviation.item()) / 255,
    )


def _even(view: Float[np.ndarray, "v u"]) -> Float[np.ndarray, "v u"]:
    """Less the mean of what is around, in units of how much that varies."""
    rest = view - _around(view)
    variance = np.maximum(_around(np.square(rest)), 0)  # running sums leave a little below nothing
    even: np.ndarray = rest / (np.sqrt(variance) + _FAINT)
    return even


def _around(view: Float[np.ndarray, "v u"]) -> Float[np.ndarray, "v u"]:
    """Mean over a square about each pixel, as much of it as lies in the picture."""
    square = (_AROUND, _AROUND)
    sums, counts = (
        cv2.boxFilter(v, -1, square, normalize=False, borderType=cv2.BORDER_CONSTANT)
        for v in (view, np.ones_like(view))
    )
    mean: np.ndarray = sums / counts
    return mean


def _padded(grey: Float[Tensor, "h w"]) -> Float[np.ndarray, "H W"]:
    """Whole cells; what remains at the right and below is cut off, tiny pictures are repeated."""
    h, w = (side - side % CELL if side >= 4 * CELL else side for side in grey.shape)
    return np.pad(grey[:h, :w].numpy(), ((0, -h % CELL), (0, -w % CELL)), mode="edge")


def _energies(picture: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "sizes 4 y x"]:
    """Mean squared difference to the neighbour right, below and along both diagonals, by cell."""
    h, w = picture.shape
    cells = w // CELL, h // CELL
    sizes = []
    for halvings in range(COARSE + 1):
        if halvings:
            picture = _reduced(picture, (w >> halvings, h >> halvings))
        p = cv2.copyMakeBorder(picture, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
        here, right, below, across = p[:-1, :-1], p[:-1, 1:], p[1:, :-1], p[1:, 1:]
        pairs = (right, here), (below, here), (across, here), (below, right)
        differences = [cv2.subtract(a, b) for a, b in pairs]
        sizes.append(np.stack([_reduced(cv2.multiply(d, d), cells) for d in differences]))
        # A diagonal neighbour is farther by the root of 2; energy grows about as distance squared.
        sizes[-1][2:] *= 0.5
    return np.stack(sizes)


def _reduced(
    picture: Float[np.ndarray, "h w"], size: tuple[int, int]
) -> Float[np.ndarray, "h2 w2"]:
    """Means over blocks: made smaller by whole numbers, to (width, height)."""
    small: np.ndarray = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small
