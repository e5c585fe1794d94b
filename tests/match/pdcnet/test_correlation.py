"""The tiled correlation against the loop over shifts that defines it."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.match.pdcnet.correlation import (
    combine,
    global_correlation,
    local_correlation,
    products,
    tiling_of,
)


def loop_of_shifts(target, reference, radius):
    """The definition, one shift after the other."""
    padded = F.pad(reference, (radius,) * 4)
    h, w = target.shape[-2:]
    reach = range(2 * radius + 1)
    return torch.stack(
        [(target * padded[..., y : y + h, x : x + w]).mean(dim=1) for y in reach for x in reach],
        dim=1,
    )


def two(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.double) for _ in range(2))


@settings(max_examples=30, deadline=None)
@given(
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    radius=st.integers(0, 5),
    batch=st.integers(1, 2),
)
def test_equals_the_loop_of_shifts(size, radius, batch):
    a, b = two(batch, 3, *size)
    torch.testing.assert_close(local_correlation(a, b, radius), loop_of_shifts(a, b, radius))


def test_with_and_without_gradients_it_is_the_same():
    a, b = two(2, 5, 21, 17)
    learning = local_correlation(a.clone().requires_grad_(), b, 4)
    assert learning.requires_grad
    torch.testing.assert_close(learning.detach(), local_correlation(a, b, 4))


def test_the_centre_channel_is_the_pixel_itself():
    a, b = two(1, 4, 9, 10)
    torch.testing.assert_close(local_correlation(a, b, 4)[:, 40], (a * b).mean(dim=1))


def test_channels_run_row_by_row():
    a, b = torch.ones(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    b[0, 0, 4, 6] = 1  # two to the right of the centre
    assert local_correlation(a, b, 4)[0, :, 4, 4].argmax() == 4 * 9 + 6


@pytest.mark.slow
@pytest.mark.parametrize("radius", [1, 4])
def test_gradients_of_first_and_second_order_are_right(radius):
    a, b = (x.requires_grad_() for x in two(1, 2, 9, 3))

    def correlate(x, y):
        return local_correlation(x, y, radius)

    assert torch.autograd.gradcheck(correlate, (a, b))
    if radius == 1:
        assert torch.autograd.gradgradcheck(correlate, (a, b))


def test_combine_is_the_adjoint_of_products():
    a, b = two(2, 3, 11, 13)
    tiling = tiling_of(a, 4)
    queries, keys = tiling.queries(a), tiling.keys(b)
    weights = torch.randn(len(queries), 64, 81, dtype=torch.double)
    one = (products(queries, keys, 4) * weights).sum()
    other = (queries * combine(weights, keys, 4)).sum()
    torch.testing.assert_close(one, other)


def test_queries_join_to_the_picture_they_were_cut_from():
    a, _ = two(2, 3, 11, 13)
    tiling = tiling_of(a, 2)
    torch.testing.assert_close(tiling.join(tiling.queries(a)), a)


def test_global_correlation_compares_all_with_all():
    a, b = two(1, 3, 2, 4)
    found = global_correlation(a, b[..., :3])
    assert found.shape == (1, 6, 2, 4)
    torch.testing.assert_close(found[0, 1 * 3 + 2, 1, 0], (a[0, :, 1, 0] * b[0, :, 1, 2]).sum())
