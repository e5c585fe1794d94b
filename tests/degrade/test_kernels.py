import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.kernels import (
    MotionConfig,
    draw_paths,
    drawn_lengths,
    motion_kernel,
    random_kernels,
    random_paths,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centroid(kernels: torch.Tensor) -> torch.Tensor:
    """(x, y) of each kernel relative to its centre pixel."""
    at = torch.arange(kernels.shape[-1], dtype=kernels.dtype) - kernels.shape[-1] // 2
    return torch.stack(((kernels * at).sum((1, 2)), (kernels * at[:, None]).sum((1, 2))), -1)


@settings(max_examples=25, deadline=None, database=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 20).map(lambda r: 2 * r + 1))
def test_kernels_are_positive_sum_to_one_and_lie_centred(seed, size):
    config = MotionConfig(length=(0.0, size - 1.0), size=size, shaky=0.5)
    kernels = random_kernels(generator(seed), 8, config)
    assert kernels.shape == (8, size, size)
    assert kernels.min() >= 0
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(8))
    assert centroid(kernels).abs().max() < 1e-3


def test_length_zero_is_the_delta():
    kernel = motion_kernel(generator(), length=0.0, size=7)
    expected = torch.zeros(7, 7)
    expected[3, 3] = 1
    torch.testing.assert_close(kernel, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1.0, 8.0, 30.0])
def test_paths_have_the_length_asked_for(length):
    config = MotionConfig(length=(length, length), size=33, shaky=0.5)
    steps = random_paths(generator(), 16, config).diff(dim=1)
    travelled = steps.norm(dim=-1).sum(1)
    torch.testing.assert_close(travelled, torch.full((16,), length), rtol=0.05, atol=0)


def test_a_uniform_straight_path_is_a_uniform_line():
    x = torch.linspace(-5.5, 5.5, 1001)
    kernel = draw_paths(torch.stack((x, torch.zeros_like(x)), -1)[None], size=15)[0]
    assert kernel[[0, 1, 6, 8, 14]].abs().max() == 0
    # The bilinear share widens the 11 px path by half a pixel at each end.
    torch.testing.assert_close(kernel[7, 3:12], torch.full((9,), 1 / 11), rtol=0.02, atol=0)


def test_a_kernel_lies_where_its_path_went():
    path = torch.tensor([[[2.0, -1.0], [2.0, -1.0], [-4.0, 2.0]]])  # x first, y down
    kernel = draw_paths(path, size=11)[0]
    expected = torch.zeros(11, 11)
    expected[5 - 1, 5 + 2] = 2 / 3
    expected[5 + 2, 5 - 4] = 1 / 3
    torch.testing.assert_close(kernel, expected)


def test_paths_are_centred():
    paths = random_paths(generator(), 20, MotionConfig(shaky=0.5))
    assert paths.mean(dim=1).abs().max() < 1e-4


def test_impulses_bend_the_paths_of_a_shaking_hand():
    def reach(impulses: float) -> float:
        config = MotionConfig(length=(20.0, 20.0), shaky=1.0, impulses=impulses)
        paths = random_paths(generator(), 300, config)
        return (paths[:, -1] - paths[:, 0]).norm(dim=-1).mean().item()

    assert reach(4.0) < reach(0.0) - 1


def test_paths_that_reach_too_far_are_shrunk_to_fit():
    path = torch.tensor([[[0.0, 0.0]] * 9 + [[40.0, 0.0]]])
    kernel = draw_paths(path, size=9)
    torch.testing.assert_close(kernel.sum(), torch.tensor(1.0))
    assert centroid(kernel).abs().max() < 1e-4


def test_nearly_straight_kernels_reach_further_than_shaky_ones():
    def reach(shaky: float) -> float:
        config = MotionConfig(length=(20.0, 20.0), shaky=shaky)
        paths = random_paths(generator(), 200, config)
        return (paths[:, -1] - paths[:, 0]).norm(dim=-1).mean().item()

    assert reach(0.0) > 18
    assert 4 < reach(1.0) < 15


def test_the_same_generator_state_draws_the_same_kernels():
    config = MotionConfig()
    first = random_kernels(generator(3), 4, config)
    assert torch.equal(first, random_kernels(generator(3), 4, config))
    assert not torch.equal(first, random_kernels(generator(4), 4, config))


def test_directions_are_drawn_evenly():
    paths = random_paths(generator(), 2000, MotionConfig(length=(10.0, 10.0), shaky=0.0))
    ends = paths[:, -1] - paths[:, 0]
    assert (ends.mean(0).norm() / 10) < 0.06
    assert ends.var(0)[0] / ends.var(0)[1] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 8},
        {"length": (0.0, 33.0)},
        {"length": (-1.0, 3.0)},
        {"length": (3.0, 1.0, 4.0)},
        {"length": (3.0,)},
        {"shaky": 2.0},
        {"inertia": 1.0},
    ],
)
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MotionConfig(**wrong)


def test_lengths_follow_the_quantiles_given():
    """Half of all between 2 and 3 pixels, half between 3 and 20."""
    config = MotionConfig(length=(2.0, 3.0, 20.0), size=33, shaky=0.0)
    paths = random_paths(generator(), 4000, config)
    travelled = paths.diff(dim=1).norm(dim=-1).sum(dim=1)
    expected = torch.tensor([2.5, 2.9, 11.5])
    found = travelled.quantile(torch.tensor([0.25, 0.45, 0.75]))
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)


def test_two_quantiles_are_the_bounds_of_a_uniform_length():
    chance = torch.tensor([0.0, 0.25, 1.0])
    assert drawn_lengths((1.0, 5.0), chance).tolist() == [1.0, 2.0, 5.0]
