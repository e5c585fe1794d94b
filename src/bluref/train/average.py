"""The averaged copy of a network: an exponential moving average of its weights."""

import copy

import torch
from torch import nn


def averaged_copy(model: nn.Module) -> nn.Module:
    """A copy that does not learn by itself."""
    copied = copy.deepcopy(model)
    copied.requires_grad_(requires_grad=False)
    return copied.eval()


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, *, step: int, decay: float) -> None:
    """average <- d * average + (1 - d) * model, with d = min(decay, (1 + step) / (10 + step)).

    The smaller decay of the first steps lets go of the random weights that the copy started from.
    """
    d = min(decay, (1 + step) / (10 + step))
    mine, its = list(average.parameters()), list(model.parameters())
    torch._foreach_lerp_(mine, its, 1 - d)
