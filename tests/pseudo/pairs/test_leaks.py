import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.media.pixels import from_array, to_array
from bluref.pseudo.pairs.leaks import find_leaks, without


@pytest.fixture
def scene():
    """A wide landscape to look at through a window: as smooth as photographs are."""
    generator = torch.Generator().manual_seed(5)
    layers = [torch.rand(1, 3, 6 * k, 10 * k, generator=generator) / k for k in (1, 2, 4)]
    wide = sum(F.interpolate(layer, (216, 600), mode="bicubic") for layer in layers)
    return (wide / 2).clamp(0, 1)


@pytest.fixture
def frame(tmp_path, scene):
    def frame(clip, index, *, left=0, change=lambda image: image, suffix="png"):
        path = tmp_path / clip / f"{index:06d}.{suffix}"
        write_picture(change(scene[..., 3 * left : 3 * left + 288]), path)
        return Frame(clip, index, path)

    return frame


@pytest.fixture
def found(frame, tmp_path):
    """What is found of one sample: three frames of a camera that moves twelve pixels a frame."""
    sample = Sample(frame("a", 2, left=8), (frame("a", 1, left=4), frame("a", 3, left=12)), None)

    def found(*validation):
        store = FrameStore(tmp_path / "store")
        return find_leaks([sample], validation, store), sample

    return found


def test_other_scenes_and_neighbours_in_time_are_no_leak(found, frame):
    leaks, sample = found(
        frame("b", 0, left=100),
        frame("b", 1, left=16),
        frame("b", 2, left=0),
        frame("b", 3, left=6),
    )
    assert leaks == []
    assert without([sample], leaks) == [sample]


def test_no_validation_is_no_leak(found):
    assert found()[0] == []


@pytest.mark.parametrize("left", [4, 8, 12])
def test_the_very_same_picture_is_found_under_any_name(found, frame, left):
    seen = frame("elsewhere", 77, left=left)
    leaks, sample = found(frame("b", 0, left=100), seen)
    assert [(leak.seen, leak.same) for leak in leaks] == [(seen, True)]
    assert leaks[0].frame.index == left // 4
    assert without([sample], leaks) == []


def saved_again(image):
    file = io.BytesIO()
    Image.fromarray(to_array(image)).save(file, "JPEG", quality=80)
    return from_array(np.array(Image.open(file)))


def smaller(image):
    return F.interpolate(image, scale_factor=0.5, mode="area")


def noisy(image):
    generator = torch.Generator().manual_seed(0)
    return (image + torch.randn(image.shape, generator=generator) * 0.02).clamp(0, 1)


@pytest.mark.parametrize("change", [saved_again, smaller, noisy])
def test_a_picture_that_was_saved_again_is_nearly_the_same(found, frame, change):
    leaks, sample = found(frame("b", 0, left=8, change=change))
    assert [(leak.frame, leak.same) for leak in leaks] == [(sample.blurry, False)]
    assert without([sample], leaks) == [sample]  # told, and left to a person


def test_black_pictures_are_not_all_the_same(tmp_path, frame):
    dark = frame("dark", 0, change=lambda image: image * 0.01)
    other = frame("dark", 1, left=60, change=lambda image: image * 0.01)
    store = FrameStore(tmp_path / "store")
    assert find_leaks([Sample(dark, (dark,), None)], [other], store) == []


def test_nearly_black_pictures_that_differ_by_little_tell_nothing(tmp_path, frame):
    """Of light ones as little would be the same picture, saved again."""
    store, found = FrameStore(tmp_path / "store"), {}
    for name, times in (("dark", 0.02), ("light", 0.9)):

        def darker(image, times=times):
            return image * times

        def shifted(image, times=times):
            return (image + 0.002) * times

        frames = [frame(name, place, change=c) for place, c in enumerate((darker, shifted))]
        found[name] = find_leaks([Sample(frames[0], (frames[0],), None)], frames[1:], store)
    assert found["dark"] == []
    assert {leak.same for leak in found["light"]} == {False}
