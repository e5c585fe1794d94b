import torch

from bluref.restore.networks.padding import pad_to_multiple


def test_edges_are_reflected_and_short_sides_repeated():
    row = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert pad_to_multiple(row.view(1, 1, 1, 5), 8)[0, 0, 0].tolist() == [1, 2, 3, 4, 5, 4, 3, 2]
    assert pad_to_multiple(row[:2].view(1, 1, 2, 1), 4)[0, 0, :, 0].tolist() == [1, 2, 2, 2]
    assert pad_to_multiple(row[:3].view(1, 1, 3, 1), 5)[0, 0, :, 0].tolist() == [1, 2, 3, 2, 1]
