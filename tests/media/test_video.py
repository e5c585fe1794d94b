import contextlib
import struct
from itertools import islice
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from tests.media.arrays import HEIGHT, WIDTH, corner, write_video

from bluref.errors import UserError
from bluref.media.pixels import to_array
from bluref.media.video import (
    VIDEO_SUFFIXES,
    is_video,
    probe_video,
    stream_video,
)


def set_matrix(path, a, b, c, d):
    """Overwrite the display matrix of an MP4's track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    at += 4 + (32 if data[at] == 1 else 20) + 16
    fixed = (v * 65_536 for v in (a, b, 0, c, d, 0, 0, 0))
    data[at : at + 36] = struct.pack(">9i", *fixed, 1 << 30)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    arrays = [corner((i * 20, 0, 0)) for i in range(10)]
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", arrays)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_a_red_corner_stays_red_and_stays_in_its_corner(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", [corner()] * 3)
    frames = list(stream_video(path))
    assert len(frames) == 3
    for frame in frames:
        difference = to_array(frame.image).astype(int) - corner()
        assert np.abs(difference[:20, :28]).max() <= 6
        assert np.abs(difference).mean() < 1


def test_frames_come_in_order_with_their_times(clip):
    frames = list(stream_video(clip))
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(10)])
    red = [frame.image[0, 0, 4, 4].item() * 255 for frame in frames]
    assert red == pytest.approx([i * 20 for i in range(10)], abs=4)


def test_uneven_frame_times_are_kept(tmp_path):
    path = write_video(tmp_path / "a.mkv", [corner()] * 4, times=[0, 1, 5, 6])
    times = [frame.time for frame in stream_video(path)]
    assert times == pytest.approx([0, 0.04, 0.2, 0.24], abs=1e-3)


def test_the_probe_agrees_with_the_stream(clip):
    info = probe_video(clip)
    frame = next(stream_video(clip))
    assert (info.height, info.width) == tuple(frame.image.shape[-2:]) == (HEIGHT, WIDTH)
    assert (info.path, info.frames, info.rate) == (clip, 10, 25.0)


def test_a_container_that_does_not_count_is_counted(tmp_path):
    path = write_video(tmp_path / "a.mkv", [corner()] * 20)
    assert probe_video(path).frames == 20


# The matrix maps a stored point (x, y) to the shown point (a x + c y, b x + d y), y down.
@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((1, 0, 0, 1), lambda stored: stored),
        ((0, 1, -1, 0), lambda stored: np.rot90(stored, -1)),  # x becomes down: clockwise
        ((-1, 0, 0, -1), lambda stored: np.rot90(stored, 2)),
        ((0, -1, 1, 0), lambda stored: np.rot90(stored, 1)),
        ((-1, 0, 0, 1), lambda stored: stored[:, ::-1]),  # x becomes left: mirrored
        ((1, 0, 0, -1), lambda stored: stored[::-1]),
        ((0, 1, 1, 0), lambda stored: stored.transpose(1, 0, 2)),  # x becomes down, y right
        ((0, -1, -1, 0), lambda stored: stored[::-1, ::-1].transpose(1, 0, 2)),
    ],
)
def test_rotated_and_mirrored_videos_are_turned_upright(tmp_path, matrix, turned):
    path = write_video(tmp_path / "a.mp4", [corner()] * 2)
    set_matrix(path, *matrix)
    expected = turned(corner())
    for frame in stream_video(path):
        assert np.abs(to_array(frame.image).astype(int) - expected).mean() < 1
    info = probe_video(path)
    assert (info.height, info.width) == expected.shape[:2]


@pytest.mark.parametrize(
    ("colourspace", "tagged", "size"),
    [
        ("ITU601", True, (64, 96)),
        ("ITU709", True, (64, 96)),
        ("ITU601", False, (64, 96)),
        ("ITU709", False, (720, 1280)),
    ],
)
def test_colours_follow_the_tags_and_without_them_the_height(tmp_path, colourspace, tagged, size):
    array = corner((200, 40, 90), *size)
    path = tmp_path / "a.mp4"
    if tagged:
        write_video(path, [array], colourspace=colourspace)
    else:
        frame = av.VideoFrame.from_ndarray(array, format="rgb24")
        frame = frame.reformat(format="yuv444p", dst_colorspace=colourspace)
        frame.colorspace = 2
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
            stream.height, stream.width, stream.pix_fmt = *size, "yuv444p"
            container.mux([*stream.encode(frame), *stream.encode()])
    shown = next(stream_video(path)).image[0, :, 10, 10] * 255
    torch.testing.assert_close(shown, torch.tensor([200.0, 40, 90]), atol=5, rtol=0)


def test_only_the_frames_asked_for_are_decoded(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", [corner()] * 50)
    made = []
    from bluref.media import video

    from_array = video.from_array
    monkeypatch.setattr(video, "from_array", lambda a: made.append(1) or from_array(a))
    assert len(list(islice(stream_video(path), 3))) == 3
    assert len(made) == 3


def test_the_file_is_closed_when_the_stream_is_dropped(clip):
    stream = stream_video(clip)
    next(stream)

    def is_open():
        return any(Path(file.path) == clip for file in psutil.Process().open_files())

    assert is_open()
    stream.close()
    assert not is_open()


@pytest.mark.parametrize("read", [probe_video, lambda path: next(stream_video(path))])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"just some text\n" * 50, "cannot decode"),
        (bytes(range(256)) * 40, "cannot decode"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n", "other files"),
    ],
)
def test_what_is_not_a_video_is_refused_by_name(tmp_path, read, content, words):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    assert str(path) in caught.value.problem
    assert caught.value.fix


def test_a_list_of_other_files_is_not_followed(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.mp4").write_bytes(clip.read_bytes())
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(UserError, match="a list of other files"):
        probe_video(path)


@pytest.mark.parametrize(
    ("container", "codec", "kind"),
    [("flv", "flv", "Flash"), ("nut", "mpeg4", "NUT"), ("mxf", "mpeg2video", "MXF")],
)
def test_whole_footage_in_a_container_that_is_not_read_is_to_be_converted(
    tmp_path, container, codec, kind
):
    """To copy it again, as one should what is damaged, would not help."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        black = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
        output.mux([*stream.encode(black), *stream.encode()])
    with pytest.raises(UserError, match=f"{path} is {kind}") as caught:
        probe_video(path)
    assert "ffmpeg -i FILE -c copy" in caught.value.fix


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tiff", ".bmp"])
def test_a_picture_with_the_suffix_of_a_film_is_told_as_one(tmp_path, suffix):
    Image.new("RGB", (64, 48)).save(tmp_path / f"a{suffix}")
    path = (tmp_path / f"a{suffix}").rename(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="is a picture") as caught:
        probe_video(path)
    assert "suffix" in caught.value.fix


@pytest.mark.parametrize("name", ["missing.mp4", ".", "null\0.mp4", "http://127.0.0.1:9/a.mp4"])
def test_a_path_that_cannot_be_opened_is_refused_by_name(tmp_path, name):
    with pytest.raises(UserError, match="cannot open"):
        probe_video(tmp_path / name)


def test_sound_without_pictures_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    with pytest.raises(UserError, match="no video"):
        probe_video(path)


def test_a_video_cut_short_is_refused_where_its_index_is_gone(clip, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[:-600])  # the index of an MP4 is at its end
    with pytest.raises(UserError, match="codec that is not known"):
        list(stream_video(path))


@pytest.mark.slow
def test_damage_in_the_middle_never_escapes_as_another_error(clip, tmp_path):
    data, path = clip.read_bytes(), tmp_path / "damaged.mp4"
    for at in range(0, len(data), max(1, len(data) // 60)):
        path.write_bytes(data[:at] + bytes(b ^ 0xFF for b in data[at : at + 8]) + data[at + 8 :])
        with contextlib.suppress(UserError):
            assert list(stream_video(path, max_pixels=100_000))


def test_frames_over_the_limit_are_refused(clip):
    probe_video(clip, max_pixels=HEIGHT * WIDTH)
    with pytest.raises(UserError, match="more than 3,071 pixels") as caught:
        probe_video(clip, max_pixels=HEIGHT * WIDTH - 1)
    assert "--max-pixels" in caught.value.fix


@pytest.mark.parametrize(
    "name", ["with space", "quo'te\"s", "line\nbreak", "Übung 写真", "a:b", "%d"]
)
def test_any_file_name_works(clip, tmp_path, name):
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(clip.read_bytes())
    assert probe_video(path).frames == 10


def test_a_video_is_known_by_its_suffix_in_either_case():
    assert is_video("a.MP4")
    assert not is_video("a.png")
    assert all(is_video(f"x{suffix}") for suffix in VIDEO_SUFFIXES)


def test_only_the_frames_that_are_wanted_come(clip):
    whole = list(stream_video(clip))
    found = list(stream_video(clip, only=[7, 2, 50]))
    assert [frame.index for frame in found] == [2, 7]
    assert all(torch.equal(f.image, whole[f.index].image) for f in found)
