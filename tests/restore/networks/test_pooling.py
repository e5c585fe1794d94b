import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.pooling import ContextMean, local_pooling, sliding_mean


def by_loops(x, window):
    """Each pixel takes the mean of the window around it, pushed inside where it sticks out."""
    h, w = x.shape[-2:]
    rows, columns = min(window, h), min(window, w)
    out = torch.empty_like(x)
    for i in range(h):
        for j in range(w):
            top = min(max(i - (rows - 1) // 2, 0), h - rows)
            left = min(max(j - (columns - 1) // 2, 0), w - columns)
            out[..., i, j] = x[..., top : top + rows, left : left + columns].mean((-2, -1))
    return out


@settings(max_examples=60, deadline=None, database=None)
@given(h=st.integers(1, 12), w=st.integers(1, 12), window=st.integers(1, 14), last=st.booleans())
def test_the_sliding_mean_is_the_mean_of_each_window(h, w, window, last):
    x = torch.randn(2, 3, h, w, dtype=torch.float64)
    layout = torch.channels_last if last else torch.contiguous_format
    fast = sliding_mean(x.contiguous(memory_format=layout), window)
    torch.testing.assert_close(fast, by_loops(x, window))


@pytest.mark.parametrize("window", [1, 40, 200, 299])
def test_long_axes_are_summed_in_stretches_that_fit_together(window):
    x = torch.randn(1, 2, 300, 3, dtype=torch.float64)
    torch.testing.assert_close(sliding_mean(x, window), by_loops(x, window))


@pytest.mark.slow
def test_float32_sums_over_a_photograph_keep_their_digits():
    torch.manual_seed(0)
    x = torch.rand(1, 2, 600, 900) + 100  # a large mean is what cancels in running sums
    exact = sliding_mean(x.double(), 16)
    assert (sliding_mean(x, 16) / exact - 1).abs().max() < 1e-6


def test_bfloat16_stays_bfloat16_within_its_rounding():
    x = torch.rand(1, 4, 40, 60)
    coarse = sliding_mean(x.bfloat16(), 20)
    assert coarse.dtype == torch.bfloat16
    torch.testing.assert_close(coarse.float(), sliding_mean(x, 20), atol=0, rtol=2**-6)


def test_channels_last_is_kept():
    x = torch.rand(1, 8, 30, 40).contiguous(memory_format=torch.channels_last)
    assert sliding_mean(x, 8).is_contiguous(memory_format=torch.channels_last)


def test_a_constant_map_is_its_own_mean():
    x = torch.full((1, 2, 17, 23), 0.25)
    torch.testing.assert_close(sliding_mean(x, 5), x)


def test_the_window_is_one_and_a_half_crops_at_every_stride():
    network = NAFNet(NAFNetConfig(width=2, encoder=(1, 1, 1, 1)))
    local_pooling(network, 48)
    windows = {m.stride: m.window for m in network.modules() if isinstance(m, ContextMean)}
    assert windows == {1: 72, 2: 36, 4: 18, 8: 9, 16: 4}


def test_a_window_as_large_as_the_map_is_the_global_mean():
    pool, x = ContextMean(stride=1), torch.rand(2, 3, 12, 18)
    for size in (12, 13, 100):
        local_pooling(pool, size)
        assert torch.equal(pool(x), x.mean((-2, -1), keepdim=True))
    local_pooling(pool, 11)  # window 16: global in height only
    assert pool(x).shape == x.shape
    torch.testing.assert_close(pool(x)[..., :1, :], pool(x)[..., -1:, :])


def test_none_switches_back_to_global_means():
    torch.manual_seed(0)
    network = NAFNet(NAFNetConfig(width=2, encoder=(1,), decoder=(1,)))
    for value in network.parameters():
        torch.nn.init.normal_(value)
    image = torch.rand(1, 3, 20, 30)
    with torch.no_grad():
        before = network(image)
        local_pooling(network, 8)
        assert not torch.allclose(network(image), before)
        local_pooling(network, None)
        assert torch.equal(network(image), before)


def test_a_crop_of_the_training_size_sees_no_difference():
    pool, x = ContextMean(stride=1), torch.rand(1, 2, 32, 32)
    local_pooling(pool, 32)
    assert torch.equal(pool(x), x.mean((-2, -1), keepdim=True))


def test_gradients_pass_through_the_local_mean():
    x = torch.rand(1, 1, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sliding_mean(x, 3), x)


def test_a_training_size_below_one_pixel_is_refused():
    with pytest.raises(ValueError, match="at least 1 px, got 0"):
        local_pooling(ContextMean(1), 0)
