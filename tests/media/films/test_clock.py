"""Films whose recording began anew: transport streams put one behind the other."""

from fractions import Fraction
from itertools import product

import av
import numpy as np
import pytest
from tests.media.films.films import Film, look

from bluref.media.films.clock import Clock
from bluref.media.films.recording import open_recording
from bluref.media.films.remux import _store_later


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


def gaps(times):
    return min(np.diff(times)), max(np.diff(times))


# Coders of pictures that store frames as they are shown, and in another order; sound whose packets
# are complete at once, or when the next one comes.
JOINED = [
    *product(
        [("libx264", "0"), ("libx264", "2"), ("mpeg2video", "2")], ["ts"], [None, "aac", "ac3"]
    ),
    *product([("libx264", "2")], ["ts"], ["libmp3lame"]),
    *product([("mpeg2video", "2")], ["mpg"], [None, "ac3", "libmp3lame"]),
]


@pytest.mark.parametrize(("coder", "suffix", "sound"), JOINED)
def test_what_follows_is_shown_next_at_its_own_pace(tmp_path, coder, suffix, sound):
    codec, options = coder[0], {"bf": coder[1]}
    one, two = (
        Film(codec, frames=n, sound=sound, options=options).write(tmp_path / f"{n}.{suffix}")
        for n in (12, 20)
    )
    alone, others = shown(one)[0], shown(two)[0]
    times, notes = shown(behind(one, two, tmp_path / f"both.{suffix}"))
    assert len(times) == 32
    assert times[:11] == pytest.approx(alone[:11])
    assert times[11] == pytest.approx(alone[11], abs=0.05)  # readers guess the last of an .mpg
    assert np.diff(times[12:]) == pytest.approx(np.diff(others), abs=1e-4)
    # Sound may be longer than the pictures, and one more packet of it to come.
    assert 0 < times[12] - times[11] <= 0.04 + 0.15
    assert len([note for note in notes if "begins anew" in note]) == 1
    assert not [note for note in notes if "do not increase" in note]


@pytest.mark.slow
@pytest.mark.parametrize("sound", ["aac", "ac3"])
@pytest.mark.parametrize("lost", range(1, 40, 3))  # transport packets of 188 bytes
def test_a_camera_that_lost_its_power_begins_anew_but_once(tmp_path, sound, lost):
    one = Film("libx264", frames=30, sound=sound, options={"bf": "2"}).write(tmp_path / "one.ts")
    two = Film("libx264", frames=12, sound=sound, options={"bf": "2"}).write(tmp_path / "two.ts")
    one.write_bytes(one.read_bytes()[: -188 * lost])
    clock, last = Clock("mpegts"), {}
    with av.open(str(behind(one, two, tmp_path / "both.ts"))) as container:
        for one in container.demux():
            clock.set(one)
            if one.dts is not None:
                time = float(one.dts * one.time_base)
                before = last.setdefault(one.stream.index, time - 0.04)
                assert -0.03 < time - before < 0.35
                last[one.stream.index] = time
    assert len(clock.jumps) == 1


def test_a_step_back_is_known_where_the_reader_takes_it_for_the_end_of_its_clock(tmp_path):
    """Of a first time above a minute FFmpeg makes a day later of every one that is far below it."""
    one = Film("libx264", frames=12).write(
        tmp_path / "one.ts", container_options={"output_ts_offset": "100"}
    )
    two = Film("libx264", frames=12).write(tmp_path / "two.ts")
    both = behind(one, two, tmp_path / "both.ts")
    assert float(look(both).times[-1] - look(both).times[0]) > 90_000
    times, notes = shown(both)
    assert len(times) == 24
    assert times[0] >= 100
    assert gaps(times) == pytest.approx((0.04, 0.04), abs=0.02)
    assert not [note for note in notes if "cut short" in note]


def test_it_may_begin_anew_again_and_again(tmp_path):
    one = film(tmp_path / "one.ts")
    two = behind(one, one, tmp_path / "two.ts")
    times, notes = shown(behind(two, one, tmp_path / "three.ts"))
    assert len(times) == 36
    told = f"its clock begins anew after {times[12]:.1f}, {times[24]:.1f} s: what follows is"
    assert [note for note in notes if note.startswith(told)]
    _, notes = shown(behind(behind(two, two, tmp_path / "four.ts"), two, tmp_path / "six.ts"))
    (told,) = (note for note in notes if "begins anew" in note)
    assert "s, ... (5 times): what follows" in told
    least, most = gaps(times)
    assert 0.03 < least <= most < 0.15


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
        packet("audio", 90, 90, 30),  # the furthest: to 120, and 30 more may be to come
        packet("subtitle", 95, 95, 500),  # may stay for long
        packet("video", 0, 8, 4),
        packet("audio", 2, 2, 30),
        packet("subtitle", 50, 50, 10),
        packet("video", 4, 12, 4),
    ]
    times, jumps = told("mpegts", packets)
    assert times[5:] == [(142, 150), (144, 144), (192, 192), (146, 154)]
    assert jumps == [1.5]


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


def test_after_each_new_beginning_a_picture_may_have_been_held_back(packet):
    packets = []
    for _ in range(3):  # sound begins anew before the last picture of what came before is told
        packets += [packet("audio", 0, 0, 12), *([packet("video", 104, 104, 4)] if packets else [])]
        packets += [packet("video", n, n, 4) for n in (0, 96, 100)]
        packets += [packet("audio", n, n, 12) for n in (12, 90)]
    times, jumps = told("mpegts", packets)
    pictures = [
        stored for (stored, _), one in zip(times, packets, strict=True) if one.duration == 4
    ]
    assert jumps == [1.08, 2.16]
    assert pictures == [0, 96, 100, 104, 108, 204, 208, 212, 216, 312, 316]


def test_packets_of_one_time_are_set_apart_for_the_writer(packet):
    def stored(last, *told):
        one = packet(*told)
        _store_later(one, {one.stream.index: last})
        return one.dts, one.pts

    assert stored(8, "audio", 8, 8) == (9, 9)
    assert stored(8, "audio", 3, 3) == (9, 9)
    assert stored(8, "video", 3, 20) == (9, 20)
    assert stored(8, "audio", 9, 9) == (9, 9)
    assert stored(8, "subtitle", 8, 8) == (8, 8)  # two lines at once
    fine = packet("audio", 5, 5)
    fine.time_base = Fraction(1, 90_000)
    _store_later(fine, {fine.stream.index: 5})
    assert (fine.dts, fine.pts) == (95, 95)  # a millisecond, since a tick may be none to the writer


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
