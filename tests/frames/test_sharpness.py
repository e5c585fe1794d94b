import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.frames.clip import Frame
from bluref.frames.sharpness import image_sharpness, split_by_sharpness

SIDE, FRAMES = 48, 30


def pan(contrast_at):
    """A camera that pans 5 px per frame over texture of a contrast that depends on the place."""
    wide = SIDE + 5 * FRAMES
    generator = torch.Generator().manual_seed(0)
    strip = F.interpolate(
        torch.rand(1, 3, SIDE // 3, wide // 3, generator=generator), (SIDE, wide), mode="bicubic"
    )
    contrast = torch.tensor([contrast_at(x / wide) for x in range(wide)])
    strip = 0.5 + (strip - 0.5) * contrast
    return [strip[..., 5 * i : 5 * i + SIDE] for i in range(FRAMES)]


def blurred(image, length=5):
    """Mean over `length` pixels along x, as a moving camera gives."""
    return F.avg_pool2d(
        image, (1, length), stride=1, padding=(0, length // 2), count_include_pad=False
    )


def roles(images):
    frames = {i: Frame("a", i, Path(f"{i}.png")) for i in range(len(images))}
    blurry, sharp = split_by_sharpness(frames, lambda frame: image_sharpness(images[frame.index]))
    return [f.index for f in blurry], [f.index for f in sharp]


def every_second_blurred(images):
    return [blurred(image) if i % 2 else image for i, image in enumerate(images)]


def test_blur_lowers_sharpness_and_more_blur_lowers_it_more():
    image = pan(lambda x: 1.0)[0]
    values = [image_sharpness(blurred(image, length)) for length in (1, 3, 5, 9)]
    assert values == sorted(values, reverse=True)


def test_brightness_does_not_count_as_sharpness():
    image = pan(lambda x: 1.0)[0] * 0.5
    assert abs(image_sharpness(image + 0.3) - image_sharpness(image)) < 1e-3


def test_a_flat_picture_has_a_finite_sharpness():
    assert image_sharpness(torch.zeros(1, 3, 8, 8)) < image_sharpness(torch.rand(1, 3, 8, 8))
    assert torch.tensor(image_sharpness(torch.zeros(1, 3, 2, 2))).isfinite()


@pytest.mark.parametrize("contrast_at", [lambda x: 1.0, lambda x: 0.5 + 0.5 * x])
def test_frames_that_are_blurred_in_turn_are_told_apart(contrast_at):
    blurry, sharp = roles(every_second_blurred(pan(contrast_at)))
    assert all(i % 2 == 1 for i in blurry)
    assert all(i % 2 == 0 for i in sharp)
    assert len(blurry) + len(sharp) >= 0.8 * FRAMES


def test_texture_that_changes_along_the_way_makes_no_blurred_frame_a_reference():
    # At the end the blurred frames have more fine detail than the sharp ones had at the start.
    images = every_second_blurred(pan(lambda x: 0.15 + 0.85 * x))
    assert image_sharpness(images[-1]) > image_sharpness(images[0])
    _, sharp = roles(images)
    assert all(i % 2 == 0 for i in sharp)
    assert len(sharp) >= 0.5 * FRAMES / 2


def test_a_blurry_stretch_gives_no_reference_of_its_own_worst_frames():
    images = [
        blurred(image, 9) if 10 <= i < 16 else image for i, image in enumerate(pan(lambda x: 1.0))
    ]
    blurry, sharp = roles(images)
    assert set(range(10, 16)) <= set(blurry)
    assert not set(range(10, 16)) & set(sharp)


@settings(max_examples=60, deadline=None, database=None)
@given(
    values=st.lists(st.floats(-5, 5), max_size=60),
    scale=st.sampled_from([0.5, 2.0]),
    shift=st.integers(-8, 8),
)
def test_only_the_order_of_values_matters(values, scale, shift):
    frames = {i: Frame("a", 3 * i, Path(f"{i}.png")) for i in range(len(values))}
    one = split_by_sharpness(frames, lambda f: values[f.index // 3])
    # Scaling by powers of two is exact; ranks of what stays distinct cannot change.
    assert one == split_by_sharpness(frames, lambda f: scale * values[f.index // 3])
    blurry, sharp = one
    assert not set(blurry) & set(sharp)
    for role in one:
        assert all(a.index < b.index for a, b in itertools.pairwise(role))
