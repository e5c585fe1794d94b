import torch

from bluref.restore.tiling import footprint as module
from bluref.restore.tiling.footprint import Footprint, footprint

MIB = 2**20


class Hungry:
    """Takes 100 bytes per pixel, and counts its calls."""

    def __init__(self):
        self.sides = []

    def __call__(self, image):
        self.sides.append(image.shape[-1])
        held = torch.ones(image.shape[-1] * image.shape[-2] * 100, dtype=torch.uint8)
        return image + held[0] * 0


def test_what_a_call_takes_is_found_within_a_factor():
    found = footprint(Hungry(), 10**8, 10**8)
    # The result of 12 bytes per pixel is made while the rest is held.
    assert 90 < found.per_pixel[384] < 150
    assert 10**6 * 100 < found.bytes(10**6) < 10**6 * 400


def test_it_is_measured_once():
    hungry = Hungry()
    footprint(hungry, 10**8, 10**8)
    before = list(hungry.sides)
    assert before == [128, 128, 256, 384]
    footprint(hungry, 10**8, 10**8)
    assert hungry.sides == before


def test_every_trial_pays_for_what_is_kept_and_none_of_it_is_left():
    kept = set()

    def keeps(image):
        if image.shape not in kept:
            kept.add(image.shape)
            return Hungry()(image)
        return image

    found = footprint(keeps, 10**8, 10**8, forget=kept.clear)
    assert set(found.per_pixel) == {128, 256, 384}
    assert min(found.per_pixel.values()) > 50
    assert kept == set()


def test_a_small_picture_costs_no_more_than_the_smallest_trial():
    hungry = Hungry()
    footprint(hungry, 1000, 2**30)
    assert hungry.sides == [128, 128]
    footprint(hungry, 10**8, 10**8)  # a larger one goes on from there
    assert hungry.sides == [128, 128, 256, 384]


def test_no_trial_is_made_that_might_itself_take_too_much():
    hungry = Hungry()
    footprint(hungry, 10**8, 4 * MIB)
    assert max(hungry.sides) == 128


def test_fewer_trials_are_trusted_less():
    slack = [Footprint(dict.fromkeys(sides, 100.0)).bytes(1000)
             for sides in ((128,), (128, 256), (128, 256, 384))]  # fmt: skip
    assert slack[0] > slack[1] > slack[2] > 100_000
    assert [side for side, _ in module._TRIALS] == [128, 256, 384]


def test_what_does_not_grow_with_the_image_is_not_taken_for_a_cost_per_pixel():
    assert Footprint({128: 3000.0, 256: 1000.0, 384: 900.0}).bytes(1000) == int(1000 * 1.15 * 1000)
    assert Footprint({128: 500.0, 256: 1000.0}).bytes(1000) == int(1000 * 1.3 * 1000)
