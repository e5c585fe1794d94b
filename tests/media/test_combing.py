import av
import numpy as np
import pytest
from skimage import data

from bluref.media import combing as module
from bluref.media.combing import is_combed, torn_cells

PICTURES = ("astronaut", "brick", "coffee", "grass", "gravel", "page", "text")


def grey(name):
    picture = getattr(data, name)()
    return picture if picture.ndim == 2 else np.round(picture.mean(axis=2)).astype(np.uint8)


def woven(picture, shift):
    """The odd lines a moment later."""
    both = picture.copy()
    both[1::2] = np.roll(picture, shift, axis=1)[1::2]
    return both


@pytest.mark.parametrize("name", PICTURES)
def test_no_picture_of_one_moment_is_torn(name):
    assert not torn_cells(grey(name)).any()


@pytest.mark.parametrize("shift", [3, 8])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "gravel", "page"])
def test_two_moments_in_turn_tear_it(name, shift):
    assert torn_cells(woven(grey(name), shift)).mean() > 0.04


def test_noise_tears_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
    assert torn_cells(noise).mean() < 0.002


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "gray", "yuv422p10le", "rgb24"])
@pytest.mark.parametrize("shift", [0, 8])
def test_frames_of_any_format_are_told(pixel_format, shift):
    picture = woven(grey("astronaut"), shift)[:, :500]  # lines of an odd length in memory
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
    assert is_combed(frame.reformat(format=pixel_format)) == (shift > 0)


@pytest.mark.parametrize("size", [(2, 2), (16, 64), (17, 300), (18, 2), (40, 2)])
def test_tiny_frames_are_never_woven(size):
    frame = av.VideoFrame.from_ndarray(np.zeros(size, np.uint8), format="gray")
    assert not is_combed(frame)


@pytest.mark.parametrize(
    ("torn", "of", "told"), [(1, 44, False), (3, 44, False), (4, 44, True), (4, 400, False)]
)
def test_a_cell_or_two_of_a_small_frame_are_not_enough(monkeypatch, torn, of, told):
    monkeypatch.setattr(module, "torn_cells", lambda luma: np.arange(of) < torn)
    assert is_combed(av.VideoFrame(256, 192, "gray")) == told
