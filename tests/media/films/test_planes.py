import av
import numpy as np
import pytest
import torch
from av.video.format import names
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.media.films.films import Film, paint, samples

from bluref.media.films.planes import change, copied, planar, to_image
from bluref.media.video import stream_video

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p10le",
    "yuv444p",
    "yuv440p",
    "yuv411p",
    "yuv410p",
    "yuva420p",
    "yuv420p16le",
    "gray",
    "gray10le",
    "gbrp",
    "gbrp10le",
    "gbrap",
]
LIMITED, FULL = 1, 2


def noise(name, height, width, seed=0):
    """Every value that the format can hold, legal or not."""
    frame = av.VideoFrame(width, height, name)
    rng = np.random.default_rng(seed)
    bits = frame.format.components[0].bits
    dtype = np.dtype("<u2" if bits > 8 else "u1")
    for plane in frame.planes:
        shape, strides = (plane.height, plane.width), (plane.line_size, dtype.itemsize)
        view = np.ndarray(shape, dtype, buffer=plane, strides=strides)
        view[:] = rng.integers(0, 2**bits, shape)
    return frame


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.integers(1, 13),
    st.integers(1, 13),
    st.sampled_from([0, LIMITED, FULL]),
    st.sampled_from([1, 2, 6, 8, 9, 14]),
)
def test_no_change_changes_no_sample(name, height, width, span, matrix):
    frame = noise(name, height, width)
    frame.color_range, frame.colorspace = span, matrix
    before, image = samples(frame), to_image(frame)
    assert image.shape == (1, 3, height, width)
    assert 0 <= image.min() <= image.max() <= 1
    change(frame, image)
    assert samples(frame) == before


# Black, white and the primaries by the equations of BT.601 and BT.709, in 8 bit.
@pytest.mark.parametrize(
    ("rgb", "matrix", "span", "yuv"),
    [
        ((0, 0, 0), 1, LIMITED, (16, 128, 128)),
        ((1, 1, 1), 1, LIMITED, (235, 128, 128)),
        ((1, 0, 0), 6, LIMITED, (81, 90, 240)),
        ((1, 0, 0), 1, LIMITED, (63, 102, 240)),
        ((0, 1, 0), 1, LIMITED, (173, 42, 26)),
        ((0, 0, 1), 9, LIMITED, (29, 240, 119)),
        ((1, 0, 0), 6, FULL, (76, 85, 255)),
        ((1, 1, 1), 6, FULL, (255, 128, 128)),
    ],
)
def test_colours_are_those_of_the_standards(rgb, matrix, span, yuv):
    frame = av.VideoFrame(4, 4, "yuv444p")
    frame.colorspace, frame.color_range = matrix, span
    for plane, level in zip(frame.planes, yuv, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    shown = to_image(frame)[0, :, 1, 1]
    torch.testing.assert_close(shown, torch.tensor(rgb, dtype=torch.float32), atol=0.01, rtol=0)
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    change(frame, torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 4, 4))
    written = [bytes(plane)[0] for plane in frame.planes]
    assert np.abs(np.array(written) - yuv).max() <= 1


@pytest.mark.parametrize(("bits", "name"), [(10, "yuv422p10le"), (12, "yuv420p12le")])
def test_black_and_white_of_deep_video_are_where_the_standard_has_them(bits, name):
    frame = av.VideoFrame(8, 8, name)
    frame.colorspace, frame.color_range = 1, LIMITED
    for light in (0, 1):
        for plane, level in zip(frame.planes, (16 + 219 * light, 128, 128), strict=True):
            sample = (level << (bits - 8)).to_bytes(2, "little")
            plane.update(sample * (plane.buffer_size // 2))
        torch.testing.assert_close(to_image(frame), torch.full((1, 3, 8, 8), float(light)))


@pytest.mark.parametrize(("step", "moved"), [(0.4, 0), (0.6, 1), (-0.4, 0), (-0.6, -1)])
def test_changes_are_rounded_to_the_nearest_sample(step, moved):
    frame = paint(av.VideoFrame(16, 12, "gray"), 3)
    frame.color_range = FULL
    before = np.frombuffer(samples(frame), "u1").astype(int)
    change(frame, to_image(frame) + step / 255)
    assert set(np.frombuffer(samples(frame), "u1") - before) == {moved}


@pytest.mark.parametrize(("height", "tag"), [(64, 2), (64, 1), (720, 2)])
def test_the_network_sees_what_training_saw(tmp_path, height, tag):
    film = Film("ffv1", size=(height, 96), frames=1, tags=(LIMITED, tag, 2, 2))
    path = film.write(tmp_path / "a.mkv")
    frame = film.picture(0)
    frame.color_range, frame.colorspace = LIMITED, tag
    difference = to_image(frame) - next(stream_video(path)).image
    assert difference.abs().max() < 3 / 255
    assert -0.1 / 255 < difference.mean() < 1.5 / 255  # the quick way of FFmpeg rounds down


def test_deep_frames_are_seen_in_their_depth():
    frame = noise("gray16le", 64, 64)
    assert len(np.unique(to_image(frame)[0, 0])) > 3900


@pytest.mark.parametrize("name", ["yuv420p", "gbrp10le", "gray"])
def test_a_change_arrives_where_it_was_made(name):
    frame = paint(av.VideoFrame(16, 12, name), 0)
    frame.color_range, frame.colorspace = LIMITED, 1
    target = to_image(frame)
    target[..., 4:8, 8:12] = 0.5
    change(frame, target)
    shown = to_image(frame)
    assert (shown[..., 4:8, 8:12] - 0.5).abs().max() < 0.01
    assert (shown - target).abs().max() < 0.01


def test_alpha_stays_when_colours_change():
    frame = noise("gbrap", 8, 8)
    alpha = bytes(frame.planes[3])
    change(frame, torch.zeros(1, 3, 8, 8))
    assert bytes(frame.planes[3]) == alpha
    assert to_image(frame).max() == 0


@pytest.mark.parametrize("size", [(140, 9), (60, 9), (130, 8)])
def test_a_picture_of_another_size_is_refused_before_anything_changes(size):
    frame = noise("yuv420p", 130, 9)
    before = samples(frame)
    with pytest.raises(ValueError, match="picture of"):
        change(frame, torch.zeros(1, 3, *size))
    assert samples(frame) == before


def test_a_copy_is_the_same_and_its_own():
    frame = noise("yuv420p10le", 7, 9)
    frame.pts, frame.colorspace, frame.color_range = 5, 9, FULL
    copy = copied(frame)
    assert samples(copy) == samples(frame)
    assert (copy.pts, int(copy.colorspace), int(copy.color_range)) == (5, 9, FULL)
    change(copy, torch.zeros(1, 3, 7, 9))
    assert samples(copy) != samples(frame)


@pytest.mark.parametrize(
    "name",
    [
        "nv12",
        "p010le",
        "yuyv422",
        "uyvy422",
        "rgb24",
        "bgr0",
        "bgra",
        "rgb48be",
        "gray10be",
        "vyu444",
        "uyva",
        "v30xle",
        "vuya",
        "vuyx",
        "ayuv",
        "xv30le",
        "xv36le",
        "y212le",
        "p212le",
    ],
)
def test_interleaved_samples_find_their_planes_unchanged(name):
    there = noise(planar(name), 8, 16)
    packed = there.reformat(format=name, threads=1)
    assert samples(packed.reformat(format=planar(name), threads=1)) == samples(there)


def test_of_every_format_each_colour_comes_into_a_plane_of_its_own():
    """As whole numbers of up to 16 bits, in this machine's order: what NumPy is told it is."""
    known = 0
    for name in sorted(names):
        if not av.VideoFormat(name).components:
            continue  # held by a graphics card
        there = av.VideoFormat(planar(name))
        parts = there.components
        assert len({part.plane for part in parts}) == len(parts), (name, there.name)
        assert all(part.bits <= 16 for part in parts), (name, there.name)
        assert not there.is_big_endian, (name, there.name)
        assert not {"f16le", "f32le", "msble"} & {there.name[-5:]}, (name, there.name)
        known += 1
    assert known > 150
