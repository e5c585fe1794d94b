import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.light import mean_light, to_linear, to_srgb


@settings(max_examples=30, deadline=None, database=None)
@given(value=st.floats(0, 1, width=32))
def test_light_and_back_returns_the_value(value):
    image = torch.full((1, 3, 2, 2), value)
    torch.testing.assert_close(to_srgb(to_linear(image)), image, atol=1e-6, rtol=1e-5)


def test_values_outside_the_range_are_clamped_and_never_nan():
    image = torch.tensor([-0.5, 0.0, 1.5]).expand(1, 3, 1, 3)
    for convert in (to_linear, to_srgb):
        torch.testing.assert_close(convert(image)[0, 0, 0], torch.tensor([0.0, 0.0, 1.0]))


def test_half_of_the_light_is_encoded_brighter_than_half():
    half = to_srgb(torch.full((1, 3, 1, 1), 0.5))
    torch.testing.assert_close(half, torch.full_like(half, 0.5 ** (1 / 2.2)))


def test_the_mean_of_light_is_what_blur_keeps():
    halves = torch.cat([torch.zeros(1, 3, 4, 2), torch.ones(1, 3, 4, 2)], dim=-1)
    mean = mean_light(halves, torch.ones(1, 1, 4, 4), 4)
    torch.testing.assert_close(mean, torch.full((1, 3, 1, 1), 0.5 ** (1 / 2.2)))


def test_the_mean_of_light_counts_by_weight_and_takes_what_is_left_at_the_edge():
    image = torch.tensor([0.2, 0.8, 0.5]).expand(1, 3, 1, 3)
    weight = torch.tensor([1.0, 0.0, 0.25]).expand(1, 1, 1, 3)
    mean = mean_light(image, weight, 2)
    torch.testing.assert_close(mean[0, 0, 0], torch.tensor([0.2, 0.5]), atol=1e-4, rtol=0)
