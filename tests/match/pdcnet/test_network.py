"""The network as a whole: shapes, gradients, and what may not matter."""

import dataclasses

import pytest
import torch

from bluref.match.pdcnet.config import COMPACT, PAPER
from bluref.match.pdcnet.network import PDCNet


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return PDCNet(COMPACT).eval()


def pictures(h=128, w=160, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.rand(2, 3, h, w, generator=generator) for _ in range(2))


def test_compact_has_at_most_four_million_parameters(network):
    assert sum(p.numel() for p in network.parameters()) <= 4e6


@pytest.mark.slow
def test_the_papers_has_as_many_as_the_published_one():
    with torch.device("meta"):
        network = PDCNet(PAPER)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(18.44, abs=0.01)


def test_levels_come_at_their_sizes(network):
    with torch.inference_mode():
        a, b = (network.encode(x) for x in pictures())
        found = network(a, b)
    sizes = {level: tuple(e.flow.shape) for level, e in found.items()}
    assert sizes == {4: (2, 2, 8, 8), 3: (2, 2, 16, 16), 2: (2, 2, 16, 20), 1: (2, 2, 32, 40)}


def test_items_of_a_batch_do_not_know_each_other(network):
    a, b = pictures()
    with torch.inference_mode():
        both = network(network.encode(a), network.encode(b))[1]
        alone = network(network.encode(a[1:]), network.encode(b[1:]))[1]
    torch.testing.assert_close(both.flow[1:], alone.flow, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(both.logits[1:], alone.logits, rtol=1e-4, atol=1e-4)


def test_pictures_of_different_size_are_refused(network):
    a, b = pictures()[0], pictures(h=136)[0]
    with pytest.raises(ValueError, match="sizes must be equal"):
        network(network.encode(a), network.encode(b))


@pytest.mark.slow
def test_every_weight_learns():
    torch.manual_seed(0)
    network = PDCNet(dataclasses.replace(COMPACT, local_steps={3: 1, 2: 1, 1: 1}))
    a, b = (network.encode(x) for x in pictures())
    found = network(a, b)
    loss = sum(
        (e.flow.square().mean() + e.log_variance.mean() + e.logits.square().mean())
        for e in found.values()
    )
    loss.backward()
    silent = [
        name
        for name, p in network.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert silent == []


def test_soft_argmax_finds_a_shifted_picture_before_any_training():
    """The untrained coarse level already points roughly where a picture went."""
    torch.manual_seed(0)
    network = PDCNet(COMPACT).eval()
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 12), (256, 256), mode="bicubic"
    ).clamp(0, 1)
    shifted = torch.roll(smooth, 32, dims=3)
    with torch.inference_mode():
        scores = network.global_gocor(
            *(
                torch.nn.functional.normalize(network.encode(x).coarse[16])
                for x in (smooth, shifted)
            )
        )
        expected = network._expected(scores, (8, 8))
    columns = torch.linspace(-1, 1, 8).view(1, 1, 1, 8)
    moved = ((expected[:, :1] - columns) * 3.5)[..., 2:6, 2:5]  # cells of 32 pixels
    assert moved.median() == pytest.approx(1, abs=0.35)
