import av
import numpy as np
import pytest
from tests.media.films.films import Film, look, samples, trimmed

from bluref.errors import UserError
from bluref.media.films.recording import _Expected, open_recording


def read(path):
    with open_recording(path) as recording:
        return list(recording.frames()), recording


def harm(path, victims, part, noise=False):
    """Overwrite 40 bytes of some packets at most, from a part of each on."""
    with av.open(str(path)) as container:
        packets = [bytes(p) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    for victim in victims:
        size = len(packets[victim])
        begin = content.index(packets[victim]) + int(size * part)
        count = min(40, size - int(size * part))
        bad = np.random.default_rng(victim).integers(0, 256, count, np.uint8) if noise else None
        content[begin : begin + count] = bytes(count) if bad is None else bad.tobytes()
    path.write_bytes(content)


def test_frames_are_as_pyav_decodes_them_with_their_times(tmp_path):
    times = [3, 7, 8, 20, 21, 22, 40]
    path = Film("libx264", frames=7, times=times).write(tmp_path / "a.mkv")
    expected = look(path)
    frames, recording = read(path)
    assert [samples(shown.frame) for shown in frames] == expected.samples
    assert [shown.pts for shown in frames] == expected.ticks
    assert [shown.index for shown in frames] == list(range(7))
    assert not any(shown.corrupt for shown in frames)
    assert recording.notes == []


@pytest.mark.parametrize("victims", [[5], [0], [11], [4, 5, 6], [2, 9]])
@pytest.mark.parametrize(
    ("codec", "name"), [("libvpx-vp9", "a.webm"), ("libsvtav1", "a.mp4"), ("png", "a.mov")]
)
def test_frames_that_cannot_be_decoded_keep_their_places(tmp_path, codec, name, victims):
    film = Film(codec, "rgb24" if codec == "png" else "yuv420p", (64, 96), 12)
    film.options = {} if codec == "png" else {"g": "1"}
    path = film.write(tmp_path / name)
    whole = look(path)
    harm(path, victims, part=0)
    frames, _ = read(path)
    assert [shown.pts for shown in frames] == whole.ticks
    assert [shown.index for shown in frames if shown.corrupt] == victims
    for shown in frames[1:]:
        if shown.corrupt:  # the one before again
            assert samples(shown.frame) == samples(frames[shown.index - 1].frame)
    if victims == [0]:
        assert samples(frames[0].frame) == samples(frames[1].frame)


@pytest.mark.parametrize(("codec", "name"), [("mpeg4", "a.avi"), ("libx264", "a.mp4")])
def test_however_it_is_harmed_a_film_keeps_its_frames(tmp_path, codec, name):
    whole = Film(codec, size=(64, 96), frames=15).write(tmp_path / f"whole-{name}")
    ticks = look(whole).ticks
    path = tmp_path / name
    for victim in range(2, 15, 3):
        for part in (0.1, 0.5, 0.9):
            path.write_bytes(whole.read_bytes())
            harm(path, [victim], part, noise=True)
            frames, _ = read(path)
            assert [shown.pts for shown in frames] == ticks


def test_a_frame_of_which_a_part_was_lost_on_the_way_is_told(tmp_path):
    path = Film("libx264", size=(96, 128), frames=12, options={"g": "1", "crf": "5"}).write(
        tmp_path / "a.ts"
    )
    whole = look(path)
    content, size = path.read_bytes(), 188  # bytes of a packet of a transport stream
    with av.open(str(path)) as container:
        positions = [p.pos for p in container.demux(video=0) if p.size]
    lost = positions[6] // size + 3
    path.write_bytes(content[: lost * size] + content[(lost + 1) * size :])
    frames, _ = read(path)
    assert [shown.pts for shown in frames] == whole.ticks
    told = {shown.index for shown in frames if shown.corrupt}
    assert {6} <= told <= {5, 6, 7}  # the gap is found with the packet before or after it


def test_a_frame_changed_afterwards_does_not_change_what_is_shown_again(tmp_path):
    path = Film("png", "rgb24", frames=4).write(tmp_path / "a.mov")
    harm(path, [2], part=0)
    with open_recording(path) as recording:
        seen = []
        for shown in recording.frames():
            seen.append(samples(shown.frame))
            for plane in shown.frame.planes:
                plane.update(bytes(plane.buffer_size))
    assert seen[2] == seen[1]
    assert any(seen[2])


def test_the_part_of_a_film_that_is_there_is_read_and_told(tmp_path):
    path = Film("libx264", frames=100, options={"g": "10"}, sound="aac").write(tmp_path / "a.mkv")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    frames, recording = read(path)
    assert 20 < len(frames) < 80
    (note,) = recording.notes
    assert "cut short" in note


def test_a_size_that_changes_on_the_way_is_refused(tmp_path):
    parts = []
    for size in ((48, 64), (64, 96)):
        part = Film("mjpeg", "yuvj420p", size, 3).write(tmp_path / "part.mjpeg", format="mjpeg")
        parts.append(part.read_bytes())
    (tmp_path / "a.mjpeg").write_bytes(b"".join(parts))
    with pytest.raises(UserError, match="changes its size at frame 3"):
        read(tmp_path / "a.mjpeg")


def test_frames_without_times_are_given_some(tmp_path):
    path = Film("libx264", frames=10, options={"bf": "0"}).write(tmp_path / "a.h264", format="h264")
    frames, _ = read(path)
    assert len(frames) == 10
    assert all(np.diff([shown.pts for shown in frames]) > 0)


def test_a_cover_is_not_taken_for_the_film(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        film = container.add_stream("libx264", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p"
        picture = Film("mjpeg", "yuvj420p", (16, 16)).picture(0)
        picture.pts = 0
        container.mux([*cover.encode(picture), *cover.encode()])
        for i in range(5):
            frame = Film().picture(i)
            frame.pts = i
            container.mux(film.encode(frame))
        container.mux(film.encode())
    frames, _ = read(path)
    assert [(shown.frame.width, shown.frame.height) for shown in frames] == [(64, 48)] * 5


def test_frames_over_the_limit_are_refused(tmp_path):
    path = Film(frames=1).write(tmp_path / "a.mkv")
    with (
        pytest.raises(UserError, match="more than 3,071 pixels"),
        open_recording(path, max_pixels=48 * 64 - 1),
    ):
        pass


def test_a_frame_that_comes_in_spite_of_an_error_is_damaged():
    expected = _Expected("h264", timed=True)
    for pts in (10, 20):
        packet = av.Packet(100)
        packet.pts = pts
        expected.packet(packet)
        if pts == 10:
            expected.failed(packet)
    for pts, damaged in ((10, True), (20, False)):
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts = pts
        assert expected.before(frame) == []
        assert expected.damaged(pts) is damaged
    assert expected.rest() == []


def test_where_times_are_those_of_decoding_no_frame_is_taken_for_lost(tmp_path):
    """AVI keeps no times of showing; with B-frames its frames seem to come out of order."""
    film = Film("libx264", frames=30, options={"bf": "2", "preset": "medium"})
    path = film.write(tmp_path / "a.avi")
    with open_recording(path) as recording:
        shown = list(recording.frames())
    assert len(shown) == 30
    assert not any(frame.corrupt for frame in shown)


def test_a_film_cut_by_its_edit_list_is_not_called_cut_short(tmp_path):
    film = Film("libx264", frames=30, options={"g": "10"}).write(tmp_path / "a.mp4")
    with open_recording(trimmed(film, tmp_path / "b.mp4")) as recording:
        shown = list(recording.frames())
        assert recording.notes == []
    assert 0 < len(shown) < 30
    assert not any(frame.corrupt for frame in shown)
