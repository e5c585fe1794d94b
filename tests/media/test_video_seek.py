"""A few frames of a long film, without reading it from its start."""

import av
import numpy as np
import pytest
import torch
from tests.media.arrays import noisy, panned, squares, write_video

from bluref.errors import UserError
from bluref.media import video as module
from bluref.media.video import seek_video, stream_grey, stream_video

UNEVEN = [2 * i + (i % 3 == 0) for i in range(60)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov", ".ts"])
@pytest.mark.parametrize(
    "coded", [{"g": "12", "bf": "3"}, {"x264-params": "keyint=12:bframes=0:intra-refresh=1"}]
)
def test_frames_that_are_sought_are_those_of_the_stream(tmp_path, suffix, coded):
    times = None if suffix == ".avi" else UNEVEN
    path = write_video(tmp_path / f"a{suffix}", panned(60), times=times, options=coded)
    every = {frame.index: frame for frame in stream_video(path)}
    wanted = (3, 4, 17, 30, 51, 59)
    found = list(seek_video(path, {n: round(every[n].time, 3) for n in wanted}))
    assert sorted(frame.index for frame in found) == list(wanted)
    for frame in found:
        assert torch.equal(frame.image, every[frame.index].image)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts"])
def test_films_of_cameras_are_not_read_from_their_start(tmp_path, monkeypatch, suffix):
    path = write_video(tmp_path / f"a{suffix}", squares(60), options={"g": "12", "bf": "3"})
    times = {frame.index: round(frame.time, 3) for frame in stream_video(path)}
    monkeypatch.setattr(module, "stream_video", lambda path, **kept: pytest.fail("read on"))
    assert len(list(seek_video(path, times))) == 60


def test_of_films_put_one_behind_the_other_no_time_is_taken_for_another(tmp_path):
    for name, arrays in (("a", panned(10)), ("b", squares(30))):
        coded = {"options": {"g": "12", "bf": "0"}, "times": UNEVEN[: len(arrays)]}
        write_video(tmp_path / f"{name}.ts", arrays, **coded)
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in "ab"))
    every = {frame.index: frame for frame in stream_video(path)}
    looked = list(stream_grey(path, longest=32))
    assert [frame.index for frame in looked] == list(every)
    steps, alone = np.diff([frame.time for frame in looked]), np.diff(UNEVEN[:30]) / 25
    assert steps[:9] == pytest.approx(alone[:9], abs=1e-3)
    assert steps[10:] == pytest.approx(alone, abs=1e-3), "each at its own pace"
    assert 0 < steps[9] < 0.1
    found = list(seek_video(path, {looked[n].index: looked[n].time for n in (3, 15, 35)}))
    assert sorted(frame.index for frame in found) == [3, 15, 35]
    for frame in found:
        assert torch.equal(frame.image, every[frame.index].image)


@pytest.mark.parametrize("wrong", [0.003, -9, 1e300, float("nan")])
def test_times_that_are_no_frames_are_not_believed(tmp_path, wrong):
    path = write_video(tmp_path / "a.mp4", squares(30), options={"g": "12"})
    every = {frame.index: frame for frame in stream_video(path)}
    for frame in seek_video(path, {n: every[n].time + wrong for n in (0, 7, 29)}):
        assert torch.equal(frame.image, every[frame.index].image)


def test_neighbours_in_slow_motion_are_told_apart(tmp_path):
    path = write_video(tmp_path / "a.mkv", squares(60), options={"g": "12"}, rate=960)
    every = {frame.index: frame for frame in stream_video(path)}
    found = list(seek_video(path, {n: round(f.time, 3) for n, f in every.items()}))
    assert len(found) == 60
    assert all(torch.equal(f.image, every[f.index].image) for f in found)


def spoil(path, which):
    """Overwrite the packets of some frames, by their time in seconds."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pts is not None]
        spoilt = [p for p in packets if which(float(p.pts * p.time_base))]
    data = bytearray(path.read_bytes())
    for packet in spoilt:
        data[packet.pos + 16 : packet.pos + packet.size] = bytes(packet.size - 16)
    path.write_bytes(data)


def test_what_lies_before_the_key_frame_is_not_needed(tmp_path):
    path = write_video(tmp_path / "a.mkv", noisy(40), options={"g": "10"})
    whole = list(stream_video(path))
    spoil(path, lambda time: time < 0.8)
    (frame,) = seek_video(path, {35: whole[35].time})
    assert torch.equal(frame.image, whole[35].image)
    with pytest.raises(UserError):
        list(stream_video(path, only=[35]))


def test_nothing_is_decoded_after_the_last_that_is_wanted(tmp_path):
    path = write_video(tmp_path / "a.mkv", noisy(60), options={"g": "10"})
    spoil(path, lambda time: time > 1.6)
    with pytest.raises(UserError):
        list(stream_video(path))
    assert [frame.index for frame in stream_video(path, only=(0, 9))] == [0, 9]
