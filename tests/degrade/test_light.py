import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.light import to_linear, to_srgb


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
