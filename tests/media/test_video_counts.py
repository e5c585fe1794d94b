"""Films that state more frames than they show."""

import av
from tests.media.films.films import Film, trimmed

from bluref.media.video import count_frames, probe_video, stream_video


def test_of_a_film_cut_by_its_edit_list_the_frames_that_are_shown_are_counted(tmp_path):
    film = Film("libx264", frames=30, options={"g": "10"}).write(tmp_path / "a.mp4")
    path = trimmed(film, tmp_path / "b.mp4")
    shown = len(list(stream_video(path)))
    assert 0 < shown < 30
    assert probe_video(path).frames == count_frames(path) == shown
    assert probe_video(film).frames == count_frames(film) == 30


def test_of_an_avi_dropped_frames_are_not_counted(tmp_path):
    times = [index + index // 2 for index in range(20)]  # every third place is left empty
    path = Film("mpeg4", frames=20, times=times).write(tmp_path / "a.avi")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 20
    assert len(list(stream_video(path))) == 20
    assert probe_video(path).frames == 20


def test_of_vp8_frames_that_are_never_shown_are_not_counted(tmp_path):
    film = Film("libvpx", frames=20, options={"g": "100"}).write(tmp_path / "a.webm")
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in packets[5], packets[9]:
        data[data.index(packet)] &= ~0x10  # RFC 6386, 9.1: show_frame
    path = tmp_path / "b.webm"
    path.write_bytes(data)
    assert len(list(stream_video(path))) == probe_video(path).frames == 18
    assert probe_video(film).frames == 20
