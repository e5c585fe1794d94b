import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.frames.crops import Crop, random_crop
from bluref.frames.randomness import item_generator

sizes = st.tuples(st.integers(1, 50), st.integers(1, 50))


@settings(max_examples=200, deadline=None, database=None)
@given(seed=st.integers(), step=st.integers(0), size=sizes, side=st.integers(1, 60))
def test_a_crop_lies_inside_the_frame_and_is_as_large_as_asked(seed, step, size, side):
    crop = random_crop(item_generator(seed, step, 0), size, side)
    assert 0 <= crop.top <= size[0] - crop.height
    assert 0 <= crop.left <= size[1] - crop.width
    assert (crop.height, crop.width) == (min(side, size[0]), min(side, size[1]))
    assert crop == random_crop(item_generator(seed, step, 0), size, side)


def test_every_place_and_every_flip_comes_up():
    crops = [random_crop(item_generator(0, step, 0), (5, 6), 4) for step in range(300)]
    assert {(crop.top, crop.left) for crop in crops} == {(t, x) for t in range(2) for x in range(3)}
    for flips in [(False, False), (False, True), (True, False), (True, True)]:
        share = sum((crop.mirror, crop.upend) == flips for crop in crops) / len(crops)
        assert 0.15 < share < 0.35  # a quarter, give or take four standard deviations


def test_mirror_swaps_left_and_right_and_upend_top_and_bottom():
    cut = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    box = (0, 0, 2, 2)
    assert Crop(*box).flip(cut).tolist() == [[[[1, 2], [3, 4]]]]
    assert Crop(*box, mirror=True).flip(cut).tolist() == [[[[2, 1], [4, 3]]]]
    assert Crop(*box, upend=True).flip(cut).tolist() == [[[[3, 4], [1, 2]]]]
    assert Crop(*box, mirror=True, upend=True).flip(cut).tolist() == [[[[4, 3], [2, 1]]]]


@settings(max_examples=20, deadline=None, database=None)
@given(mirror=st.booleans(), upend=st.booleans())
def test_flipping_twice_changes_nothing(mirror, upend):
    cut = torch.rand(2, 3, 4, 5)
    crop = Crop(0, 0, 4, 5, mirror, upend)
    assert torch.equal(crop.flip(crop.flip(cut)), cut)
