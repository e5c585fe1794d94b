"""Pictures that a film turns and mirrors, and back."""

import pytest
import torch

from bluref.media.upright import Turn


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_what_was_made_upright_is_stored_as_it_was(mirrored, quarters):
    turn, stored = Turn(mirrored, quarters), torch.rand(1, 3, 5, 7)
    upright = turn.upright(stored)
    assert upright.shape[-2:] == ((7, 5) if turn.sideways else (5, 7))
    assert torch.equal(turn.stored(upright), stored)


def test_all_eight_ways_differ():
    stored = torch.rand(1, 1, 5, 5)
    ways = [Turn(m, q).upright(stored) for m in (False, True) for q in range(4)]
    assert len({tuple(way.flatten().tolist()) for way in ways}) == 8
