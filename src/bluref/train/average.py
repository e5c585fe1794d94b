"""The averaged copy of a network: an exponential moving average of its weights."""

import copy

import torch
from torch import Tensor, nn


def averaged_copy(model: nn.Module) -> nn.Module:
    """A copy that does not learn by itself."""
    copied = copy.deepcopy(model)
    copied.requires_grad_(requires_grad=False)
    return copied.eval()


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, *, step: int, decay: float) -> None:
    """Move towards the model: average <- d * average + (1 - d) * model.

    d = min(decay, (1 + step) / (10 + step)): the smaller decay of the first steps lets go of the
    random weights that the copy started from.

    Args:
        average: what `averaged_copy` returned.
        model: what it is a copy of.
        step: steps done before this one.
        decay: in [0, 1]; 1 - decay is one over the number of steps that are averaged.
    """
    d = min(decay, (1 + step) / (10 + step))
    mine: list[Tensor] = list(average.parameters())
    its: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(mine, its, 1 - d)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)  # batch norm's statistics, which are averages already
