"""Films whose recording began anew: transport streams put one behind the other."""

from fractions import Fraction

import av
import numpy as np
import pytest
from tests.media.films.films import Film, look

from bluref.media.films.clock import Clock
from bluref.media.films.recording import open_recording


def film(path, frames=12, **more):
    return Film("libx264", frames=frames, sound="libmp3lame", **more).write(path)


def behind(first, second, target):
    """Two files put one behind the other."""
    target.write_bytes(first.read_bytes() + second.read_bytes())
    return target


def shown(path):
    with open_recording(path) as recording:
        frames = list(recording.frames())
        return [float(f.pts * recording.stream.time_base) for f in frames], recording.notes


@pytest.mark.parametrize("bf", ["0", "2"])  # frames stored in another order than shown, or not
def test_what_follows_is_shown_next_at_its_own_pace(tmp_path, bf):
    one = film(tmp_path / "one.ts", options={"bf": bf})
    two = film(tmp_path / "two.ts", frames=20, options={"bf": bf})
    alone, others = shown(one)[0], shown(two)[0]
    times, notes = shown(behind(one, two, tmp_path / "both.ts"))
    assert len(times) == 32
    assert times[:12] == pytest.approx(alone)
    assert np.diff(times[12:]) == pytest.approx(np.diff(others), abs=1e-4)
    # Sound may be longer than the pictures by a frame of it and what its encoder adds.
    assert 0.04 - 1e-4 <= times[12] - times[11] <= 0.04 + 0.1
    begun = [note for note in notes if "begins anew" in note]
    assert begun == [f"its clock begins anew after {times[12]:.1f} s: what follows is shown next"]


def test_it_may_begin_anew_again_and_again(tmp_path):
    one = film(tmp_path / "one.ts")
    two = behind(one, one, tmp_path / "two.ts")
    times, _ = shown(behind(two, one, tmp_path / "three.ts"))
    assert len(times) == 36
    assert min(np.diff(times)) > 0.03
    assert max(np.diff(times)) < 0.15


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_a_film_of_one_piece_keeps_its_times(tmp_path, name):
    path = film(tmp_path / name, frames=30)
    times, notes = shown(path)
    assert times == pytest.approx([float(time) for time in look(path).times])
    assert not [note for note in notes if "begins anew" in note]


@pytest.fixture
def packet(tmp_path):
    """Makes packets of a film with pictures, sound and words; ticks are hundredths."""
    path = film(tmp_path / "a.mkv", subtitles="subrip")
    with av.open(str(path)) as container:
        streams = {stream.type: stream for stream in container.streams}

        def make(kind, dts, pts, duration=0):
            one = av.Packet(b"x")
            one.stream, one.time_base = streams[kind], Fraction(1, 100)
            one.dts, one.pts, one.duration = dts, pts, duration
            return one

        yield make


def told(kind, packets):
    """(dts, pts) of each packet after it was given to a clock; and where it jumped."""
    clock, times = Clock(kind), []
    for one in packets:
        clock.set(one)
        times.append((one.dts, one.pts))
    return times, clock.jumps


def test_all_streams_are_moved_alike(packet):
    packets = [
        packet("video", 0, 8, 4),
        packet("audio", 0, 0, 30),
        packet("video", 96, 100, 4),
        packet("audio", 90, 90, 30),  # the furthest: to 120
        packet("subtitle", 95, 95, 500),  # may stay for long
        packet("video", 0, 8, 4),
        packet("audio", 2, 2, 30),
        packet("subtitle", 50, 50, 10),
        packet("video", 4, 12, 4),
    ]
    times, jumps = told("mpegts", packets)
    assert times[5:] == [(112, 120), (114, 114), (162, 162), (116, 124)]
    assert jumps == [1.2]


def test_a_picture_that_was_held_back_stays_where_it_was(packet):
    packets = [
        packet("video", 96, 96, 4),
        packet("audio", 90, 90, 12),
        packet("audio", 0, 0, 12),  # of the new recording, after the picture that is to come
        packet("video", 100, 100, 4),
        packet("video", 0, 0, 4),
        packet("audio", 12, 12, 12),
    ]
    times, jumps = told("mpegts", packets)
    assert [stored for stored, _ in times] == [96, 90, 104, 100, 104, 116]
    assert jumps == [1.04]


def test_small_steps_back_words_and_packets_without_time_begin_nothing_anew(packet):
    packets = [
        packet("video", 100, 100, 4),
        packet("video", 92, 92, 4),
        packet("subtitle", 100, 100),
        packet("subtitle", 0, 0),
        packet("video", None, None),
        packet("video", 900, 900, 4),  # nobody knows how long the camera rested
    ]
    before = [(one.dts, one.pts) for one in packets]
    assert told("mpegts", packets) == (before, [])


def test_only_containers_whose_clock_may_begin_anew_are_minded(packet):
    packets = [packet("video", 100, 100, 4), packet("video", 0, 0, 4)]
    assert told("matroska", packets) == ([(100, 100), (0, 0)], [])
