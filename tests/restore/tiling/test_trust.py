from itertools import pairwise

import torch

from bluref.restore.tiling.trust import HALF, trust


def test_what_was_left_alone_is_believed_and_what_was_remade_is_not():
    tile = torch.full((3, 40, 60), 0.5)
    result = tile.clone()
    result[:, :, 30:] += 0.3
    believed = trust(tile, result)
    assert believed.shape == (1, 40, 60)
    assert believed[..., :20].min() == 1
    assert believed[..., 40:].max() < 0.1
    assert (believed[0, 20].diff() <= 0).all()


def test_trust_is_a_half_where_half_is_named():
    tile = torch.full((3, 20, 20), 0.5)
    torch.testing.assert_close(trust(tile, tile - HALF), torch.full((1, 20, 20), 0.5))


def test_more_change_is_never_more_trust_and_the_border_is_no_exception():
    tile = torch.zeros(3, 12, 12)
    levels = [trust(tile, tile + c) for c in (0.0, 0.01, 0.1, 1.0)]
    for more, less in pairwise(levels):
        assert (less < more).all()
    assert all(torch.equal(level, level.mean().expand_as(level)) or level.std() < 1e-6
               for level in levels)  # fmt: skip


def test_what_is_not_finite_is_not_believed():
    tile = torch.zeros(3, 30, 30)
    result = tile.clone()
    result[0, 15, 15] = torch.nan
    believed = trust(tile, result)
    assert believed[0, 15, 15] == 0
    assert believed[0, 0, 0] == 1
