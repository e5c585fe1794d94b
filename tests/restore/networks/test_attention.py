from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.networks.attention import TransposedAttention, window_starts
from bluref.restore.networks.pooling import local_pooling


def awake(attention, seed=0):
    """All weights random, in float64."""
    random = torch.Generator().manual_seed(seed)
    for value in attention.parameters():
        value.data = torch.randn(value.shape, generator=random)
    return attention.double().eval()


@pytest.fixture
def attention():
    return awake(TransposedAttention(4, 2, stride=1))


def by_loops(attention, qkv):
    """Attention over the whole map, head by head and row by row."""
    out = torch.empty_like(qkv[:, : qkv.shape[1] // 3])
    size = out.shape[1] // len(attention.temperature)
    for image, seen in zip(qkv, out, strict=True):
        queries, keys, values = image.chunk(3)
        for head, temperature in enumerate(attention.temperature.flatten()):
            of_head = range(head * size, (head + 1) * size)
            for i in of_head:
                cosines = torch.stack(
                    [(queries[i] * keys[j]).sum() / queries[i].norm() / keys[j].norm()
                     for j in of_head]
                )  # fmt: skip
                share = (temperature * cosines).exp() / (temperature * cosines).exp().sum()
                seen[i] = sum(s * values[j] for s, j in zip(share, of_head, strict=True))
    return out


def test_attention_is_its_formula_read_literally(attention):
    x = torch.randn(2, 4, 5, 6).double()
    with torch.no_grad():
        expected = attention.project_out(
            by_loops(attention, attention.qkv_dwconv(attention.qkv(x)))
        )
        torch.testing.assert_close(attention(x), expected)


@settings(max_examples=20, deadline=None, database=None)
@given(h=st.integers(1, 9), w=st.integers(1, 9), window=st.integers(1, 10))
def test_with_a_window_each_pixel_takes_the_mean_over_the_windows_that_hold_it(h, w, window):
    attention, x = awake(TransposedAttention(4, 2, stride=1)), torch.randn(2, 4, h, w).double()
    rows, columns = min(window, h), min(window, w)
    attention.window = window
    with torch.no_grad():
        qkv = attention.qkv_dwconv(attention.qkv(x))
        answers = {
            (top, left): by_loops(attention, qkv[..., top : top + rows, left : left + columns])
            for top in window_starts(h, rows)
            for left in window_starts(w, columns)
        }
        expected = torch.empty_like(x)
        for i in range(h):
            for j in range(w):
                held = [
                    answer[..., i - top, j - left]
                    for (top, left), answer in answers.items()
                    if top <= i < top + rows and left <= j < left + columns
                ]
                expected[..., i, j] = torch.stack(held).mean(dim=0)
        torch.testing.assert_close(attention(x), attention.project_out(expected))


@settings(max_examples=100, deadline=None, database=None)
@given(data=st.data(), length=st.integers(1, 400))
def test_windows_cover_the_axis_evenly_and_share_half_of_their_side(data, length):
    window = data.draw(st.integers(1, length))
    starts = window_starts(length, window)
    assert (starts[0], starts[-1]) == (0, length - window)
    steps = [b - a for a, b in pairwise(starts)]
    assert all(1 <= step <= max(1, window // 2) for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


def test_the_window_is_one_and_a_half_crops_and_can_be_taken_away(attention):
    x = torch.randn(1, 4, 12, 18).double()
    with torch.no_grad():
        whole = attention(x)
        for size in (12, 100):
            local_pooling(attention, size)
            assert torch.equal(attention(x), whole)
        local_pooling(attention, 8)
        assert attention.window == 12
        assert not torch.allclose(attention(x), whole)
        local_pooling(attention, None)
        assert torch.equal(attention(x), whole)


def test_at_coarser_levels_the_window_has_fewer_pixels():
    attention = TransposedAttention(4, 2, stride=8)
    local_pooling(attention, 48)
    assert attention.window == 9


def test_a_pixel_knows_nothing_of_what_is_beyond_its_windows(attention):
    attention.window = 4
    x = torch.randn(1, 4, 4, 40).double()
    changed = x.clone()
    changed[..., 30:] += 1
    with torch.no_grad():
        assert torch.equal(attention(x)[..., :20], attention(changed)[..., :20])
        attention.window = None
        assert not torch.allclose(attention(x)[..., :20], attention(changed)[..., :20])


@pytest.mark.parametrize("window", [None, 4])
def test_a_black_map_gives_finite_answers_and_gradients(window):
    attention = TransposedAttention(4, 2, stride=1)
    attention.window = window
    x = torch.zeros(1, 4, 6, 6, requires_grad=True)
    out = attention(x)
    out.sum().backward()
    assert torch.equal(out, torch.zeros_like(out))
    assert all(p.grad.isfinite().all() for p in (x, *attention.parameters()))


@pytest.mark.slow
def test_gradients_pass_through_windows(attention):
    attention.window = 3
    x = torch.randn(1, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(attention, x)
