"""Sums over a whole picture for networks that want them, gathered tile by tile in a first pass.

A network that pools globally (`networks.pooling`) makes of each tile something else than of the
whole picture, since a tile has other means. So some tiles are run once to learn what the means of
the picture are, about, and every tile is then run with those.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bluref.restore.networks.pooling import Windowed

Sums = dict[Windowed, list[Tensor]]
"""What each module that sums over whole maps has summed, map by map."""


def no_sums(model: nn.Module) -> Sums:
    """Nothing heard yet, of every module that can be listened to."""
    return {module: [] for module in model.modules() if isinstance(module, Windowed)}


@contextmanager
def listening(sums: Sums) -> Iterator[None]:
    """Note the sums of every map that passes while the block runs."""
    try:
        for module, notes in sums.items():
            module.heard = notes
        yield
    finally:
        for module in sums:
            module.heard = None


@contextmanager
def given_sums(sums: Sums) -> Iterator[None]:
    """Let every module that heard something use the mean of it while the block runs."""
    try:
        for module, notes in sums.items():
            module.given = torch.stack(notes).mean(dim=0) if notes else None
        yield
    finally:
        for module in sums:
            module.given = None


def sample(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly spread."""
    return [i * count // most for i in range(most)] if count > most else list(range(count))
