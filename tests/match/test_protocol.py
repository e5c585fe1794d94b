import torch

from bluref.match.protocol import Match


def test_the_target_at_p_is_seen_in_the_reference_at_p_plus_flow():
    reference = torch.rand(1, 3, 12, 16)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 12, 16)
    everywhere = torch.ones(1, 1, 12, 16)
    warped = Match(flow, everywhere, everywhere > 0).warp(reference)
    torch.testing.assert_close(warped[..., 1:, :-2], reference[..., :-1, 2:])


def test_a_warp_never_overshoots():
    reference = (torch.rand(1, 3, 12, 16) > 0.5).float()
    flow = torch.full((1, 2, 12, 16), 0.5)
    everywhere = torch.ones(1, 1, 12, 16)
    warped = Match(flow, everywhere, everywhere > 0).warp(reference)
    assert warped.min() >= 0
    assert warped.max() <= 1
