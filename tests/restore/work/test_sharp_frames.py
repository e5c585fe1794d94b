import random

import pytest
import torch

from bluref.degrade.blur import blur
from bluref.frames.sharpness import image_sharpness
from bluref.restore.work.sharp_frames import is_sharp, with_sharpness

skimage_data = pytest.importorskip("skimage.data")


def directly(values, window):
    """The definition, with all values at hand."""
    near = [values[max(0, i - window) : i + window + 1] for i in range(len(values))]
    return [is_sharp(v, n) for v, n in zip(values, near, strict=True)]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6, 7, 11, 40])
@pytest.mark.parametrize("window", [1, 3, 12])
def test_a_stream_is_judged_as_if_all_were_at_hand(count, window):
    chance = random.Random(count)
    values = [chance.uniform(-2, 0) for _ in range(count)]
    found = list(with_sharpness(range(count), lambda i: values[i], window))
    assert [item for item, _ in found] == list(range(count))
    assert [sharp for _, sharp in found] == directly(values, window)


def test_no_more_is_held_than_the_window():
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    for given, _ in with_sharpness(items(), lambda _: 0.0, 4):
        assert len(taken) - given <= 5


def test_frames_that_are_all_alike_are_not_called_sharp():
    assert not any(sharp for _, sharp in with_sharpness(range(30), lambda i: -3.0 + i % 2 / 20))


@pytest.mark.parametrize("picture", ["astronaut", "coffee", "chelsea"])
def test_frames_between_blurred_ones_are_found_while_the_camera_moves(picture):
    pixels = getattr(skimage_data, picture)()[:260, :320].copy()
    scene = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    frames = []
    for i in range(16):
        side = 1 if i % 4 == 0 else 9
        kernel = torch.zeros(1, 15, 15)
        kernel[0, 7, 7 - side // 2 : 8 + side // 2] = 1 / side
        frames.append(blur(scene[..., i:, 2 * i :][..., :200, :240], kernel))
    found = [sharp for _, sharp in with_sharpness(frames, image_sharpness)]
    assert found == [i % 4 == 0 for i in range(16)]
