import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from tests.media.films.films import Film, look
from tests.restore.work.videos import assert_the_same_film, brighter, deblur, same

from bluref.errors import UserError
from bluref.restore.work.video import deblur_video

pytestmark = pytest.mark.slow

SHARED = Fraction(1, 600)
TS = Fraction(1, 90_000)


LIMITED, FULL = 1, 2
BT601, BT709, BT2020_PQ = (6, 6, 6), (1, 1, 1), (9, 9, 16)
LOSSLESS = {
    "libx264": {"qp": "0"},
    "libx265": {"x265-params": "lossless=1:bframes=0:log-level=none"},
}


@pytest.mark.parametrize(
    ("codec", "pixel_format", "tags"),
    [
        ("ffv1", "yuv420p", (LIMITED, *BT601)),
        ("ffv1", "yuv422p10le", (FULL, *BT2020_PQ)),
        ("libx264", "yuv420p", (FULL, *BT709)),
        ("libx264", "yuv420p", (LIMITED, *BT601)),
        ("libx264", "yuv420p10le", (LIMITED, *BT2020_PQ)),
        ("libx265", "yuv420p10le", (LIMITED, *BT2020_PQ)),
        ("libx265", "yuv444p", (FULL, *BT709)),
    ],
)
def test_a_network_that_does_nothing_changes_nothing(tmp_path, codec, pixel_format, tags):
    film = Film(codec, pixel_format, (64, 80), 3, tags=tags, options=LOSSLESS.get(codec, {}))
    source = film.write(tmp_path / "a.mkv")
    report = deblur(source, tmp_path / "b.mkv", crf=0)
    before, _ = assert_the_same_film(source, tmp_path / "b.mkv")
    assert before.tags == {tags}
    assert (report.frames, report.changed, report.notes) == (3, 3, ())


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name", "size"),
    [
        ("ffv1", "yuv420p16le", "a.mkv", (21, 33)),
        ("ffv1", "gray10le", "a.mkv", (48, 64)),
        ("ffv1", "yuva420p", "a.mkv", (21, 33)),
        ("ffv1", "gbrp10le", "a.mkv", (21, 33)),
        ("ffv1", "bgr0", "a.mkv", (48, 64)),
        ("ffv1", "yuv410p", "a.mkv", (21, 33)),
        ("libx264", "yuvj420p", "a.mp4", (48, 64)),
        ("qtrle", "rgb24", "a.mov", (21, 33)),
        ("png", "rgba", "a.mov", (21, 33)),
        ("png", "rgb48be", "a.mov", (48, 64)),
        ("huffyuv", "yuv422p", "a.avi", (48, 64)),
        ("v210", "yuv422p10le", "a.mov", (48, 64)),
    ],
)
def test_every_kind_of_sample_survives(tmp_path, codec, pixel_format, name, size):
    source = Film(codec, pixel_format, size, frames=2, options=LOSSLESS.get(codec, {})).write(
        tmp_path / name
    )
    deblur(source, tmp_path / "out" / name, crf=0)
    assert_the_same_film(source, tmp_path / "out" / name)


def test_a_change_arrives_in_every_frame(tmp_path):
    source = Film(pixel_format="yuv420p10le", tags=(LIMITED, *BT709)).write(tmp_path / "a.mkv")
    deblur(source, tmp_path / "b.mkv", brighter)
    before, after = look(source), look(tmp_path / "b.mkv")
    for old, new in zip(before.samples, after.samples, strict=True):
        luma_old, luma_new = (np.frombuffer(s, "<u2")[: 48 * 64].astype(int) for s in (old, new))
        dark = luma_old < 600  # what is not clipped at white
        # A fifth of the range of Y' in 10 bit, 876 steps.
        assert abs(np.median((luma_new - luma_old)[dark]) - 0.2 * 876) <= 1


@pytest.mark.parametrize(
    ("name", "codec", "sound", "subtitles"),
    [
        ("a.mp4", "libx264", "aac", "mov_text"),
        ("a.mov", "prores_ks", "pcm_s16le", None),
        ("a.mkv", "libx265", "libopus", "subrip"),
        ("a.webm", "libvpx-vp9", "libopus", None),
        ("a.ts", "libx264", "aac", None),
        ("a.avi", "mpeg4", "libmp3lame", None),
    ],
)
def test_sound_and_subtitles_are_the_same_bytes_at_the_same_times(
    tmp_path, name, codec, sound, subtitles
):
    pixel_format = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    options = {"x265-params": "bframes=0:log-level=none"} if codec == "libx265" else {}
    film = Film(
        codec, pixel_format, (64, 80), 12, sound=sound, subtitles=subtitles, options=options
    )
    source = film.write(tmp_path / name)
    deblur(source, tmp_path / "out" / name, brighter)
    before, after = look(source), look(tmp_path / "out" / name)
    assert after.packets == before.packets
    assert len(after.packets) == (2 if subtitles else 1)
    assert after.times == before.times
    assert after.time_base == before.time_base
    assert after.stream["codec"] == before.stream["codec"]
    assert after.formats == before.formats


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_uneven_times_are_kept_to_the_tick(tmp_path, name):
    times = [0, 20, 41, 101, 103, 160, 600, 620, 640, 661, 700, 750]
    source = Film("libx264", frames=12, times=times, time_base=SHARED).write(tmp_path / name)
    deblur(source, tmp_path / "out" / name)
    before, after = look(source), look(tmp_path / "out" / name)
    assert after.ticks == before.ticks
    assert after.time_base == before.time_base
    assert len(set(np.diff(before.ticks))) > 4


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.ts", {"container_options": {"mpegts_copyts": "1"}}),  # from 0 on
        ("a.ts", {}),  # from 1.4 s on
        ("a.avi", {}),  # of which readers guess the times
    ],
)
def test_containers_that_know_little_of_times_keep_them_too(tmp_path, name, how):
    source = Film("libx264", frames=40, options={"bf": "0"}, sound="libmp3lame")
    source = source.write(tmp_path / name, **how)
    report = deblur(source, tmp_path / "out" / name)
    before, after = look(source), look(tmp_path / "out" / name)
    assert after.ticks == before.ticks
    assert after.packets == before.packets
    assert report.notes == ()


@pytest.mark.parametrize(("sound", "bf"), [("libmp3lame", "0"), ("aac", "2"), ("ac3", "2")])
def test_a_film_put_together_of_transport_streams_keeps_its_sound(tmp_path, sound, bf):
    one, two = (
        Film("libx264", frames=n, options={"bf": bf}, sound=sound).write(tmp_path / name)
        for name, n in (("1.ts", 12), ("2.ts", 30))
    )
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    report = deblur(both, tmp_path / "out.ts")
    before, after = look(both), look(tmp_path / "out.ts")
    assert (report.frames, len(after.times)) == (42, 42)
    assert any("clock begins anew" in note for note in report.notes)
    assert min(np.diff([float(time) for time in after.times])) > 0.03
    played, heard = before.packets["audio"], after.packets["audio"]
    assert [data for *_, data in heard] == [data for *_, data in played]
    assert min(np.diff([pts for pts, *_ in heard])) > 0
    # Sound and pictures of the second lie as they lay to each other.
    first = len(look(one).packets["audio"])
    lag = [float(film.times[12] - film.packets["audio"][first][0] * TS) for film in (before, after)]
    assert lag[1] == pytest.approx(lag[0], abs=2e-3)


def test_subtitles_that_are_shown_at_once_stay_so(tmp_path):
    class AtOnce(Film):
        def _words(self, stream, index):
            packet = super()._words(stream, index)
            packet.pts = packet.dts = 80
            return packet

    source = AtOnce("libx264", frames=12, subtitles="subrip").write(tmp_path / "a.mkv")
    deblur(source, tmp_path / "b.mkv")
    before, after = look(source), look(tmp_path / "b.mkv")
    assert [pts for pts, *_ in before.packets["subtitle"]] == [80] * 4
    assert after.packets == before.packets


def test_a_time_base_that_no_writer_chooses_is_kept(tmp_path):
    film = Film("libx264", frames=5, times=[0, 20, 40, 61, 80], time_base=SHARED)
    film.options = {"bf": "0"}
    source = film.write(tmp_path / "a.mov", container_options={"video_track_timescale": "600"})
    deblur(source, tmp_path / "b.mov")
    durations = [look(path).stream["duration"] for path in (source, tmp_path / "b.mov")]
    assert durations[0] == durations[1] > 80  # the last frame stays as long as it did
    assert look(source).time_base == look(tmp_path / "b.mov").time_base == SHARED
    assert look(tmp_path / "b.mov").ticks == look(source).ticks


@pytest.mark.parametrize(
    "name",
    ["a.mp4", *(pytest.param(n, marks=pytest.mark.slow) for n in ("a.mkv", "a.ts", "a.webm"))],
)
def test_joints_of_segments_with_reordered_frames_lose_nothing(tmp_path, name):
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    frames = 130  # two whole segments and a part
    source = Film(codec, size=(32, 48), frames=frames, sound="libopus" if "webm" in name else "aac")
    source = source.write(tmp_path / name)
    report = deblur(source, tmp_path / "out" / name)
    before, after = look(source), look(tmp_path / "out" / name)
    assert report.frames == len(after.samples) == frames
    assert after.times == before.times
    assert after.packets == before.packets
    errors = [
        np.abs(levels(a) - levels(b)).mean()
        for a, b in zip(before.samples, after.samples, strict=True)
    ]
    assert max(errors) < 3  # every frame is in its own place: neighbours differ by more
    with av.open(str(tmp_path / "out" / name)) as container:
        stored = [p.dts for p in container.demux(video=0) if p.size and p.dts is not None]
    assert all(np.diff(stored) > 0)


def levels(sample):
    return np.frombuffer(sample, "u1")[: 32 * 48].astype(int)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_the_network_sees_upright_pictures_and_players_turn_them_as_before(tmp_path, degrees):
    source = Film("ffv1", size=(24, 40), frames=2).write(tmp_path / "plain.mkv")
    turned = Film("libx264", size=(24, 40), frames=2, rotation=degrees).write(tmp_path / "a.mp4")
    seen = []

    def watch(image):
        seen.append(image)
        return image

    deblur(source, tmp_path / "x.mkv", watch)
    deblur(turned, tmp_path / "b.mp4", watch)
    stored, upright = seen[0], seen[2]
    expected = torch.rot90(stored, degrees // 90, (2, 3))
    assert upright.shape == expected.shape
    assert (upright - expected).abs().mean() < 0.02  # two encoders apart
    before, after = look(turned), look(tmp_path / "b.mp4")
    assert after.rotations == before.rotations
    assert {turn % 360 for turn in after.rotations} == {degrees % 360}
    assert after.formats == before.formats


@pytest.mark.parametrize(
    ("matrix", "as_shown"),
    [
        ((0, -1, 1, 0), lambda stored: np.rot90(stored, 1)),
        ((1, 0, 0, -1), lambda stored: stored[::-1]),
        ((0, 1, 1, 0), lambda stored: stored.T),
    ],
)
def test_what_a_turned_or_mirrored_picture_becomes_is_turned_back(tmp_path, matrix, as_shown):
    source = Film("libx264", size=(24, 40), frames=1, matrix=matrix).write(tmp_path / "a.mp4")

    def mark(image):  # the top of the upright picture
        image = image.clone()
        image[..., :8, :] = 1
        return image

    deblur(source, tmp_path / "b.mp4", mark, crf=0)
    luma = np.frombuffer(look(tmp_path / "b.mp4").samples[0], "u1")[: 24 * 40].reshape(24, 40)
    shown = as_shown(luma)
    assert shown[:8].min() > 200 > shown[8:].mean()


def test_aspect_chapters_and_tags_are_kept(tmp_path):
    about = {"title": "Über", "comment": "a; b=c", "creation_time": "2020-02-02T02:02:02.000000Z"}
    for name in ("a.mp4", "a.mkv"):
        film = Film("libx264", aspect=Fraction(4, 3), chapters=True, metadata=about, frames=10)
        source = film.write(tmp_path / name)
        deblur(source, tmp_path / "out" / name)
        before, after = look(source).stream, look(tmp_path / "out" / name).stream
        assert after["aspect"] == before["aspect"] == Fraction(4, 3)
        assert after["chapters"] == before["chapters"]
        assert len(after["chapters"]) == 2
        for key, value in about.items():
            key = key.upper() if key == "comment" and name.endswith("mkv") else key
            assert after["metadata"][key] == value


def test_a_film_of_one_frame(tmp_path):
    source = Film("libx264", frames=1).write(tmp_path / "a.mp4")
    assert deblur(source, tmp_path / "b.mp4").frames == 1
    assert look(tmp_path / "b.mp4").times == look(source).times


def test_the_suffix_may_be_wrong_or_ask_for_another_container(tmp_path):
    source = Film("libx264", frames=3).write(tmp_path / "a.mp4", format="matroska")
    deblur(source, tmp_path / "b.mp4")
    deblur(source, tmp_path / "c.mov")
    kinds = []
    for name in ("b.mp4", "c.mov"):
        with av.open(str(tmp_path / name)) as container:
            kinds.append(container.format.name)
    assert kinds[0] == "matroska,webm"
    assert kinds[1].startswith("mov")
    assert look(tmp_path / "c.mov").times == look(source).times


def test_codec_and_quality_may_be_wished_for(tmp_path):
    source = Film("libx264", size=(64, 80), frames=3).write(tmp_path / "a.mkv")
    report = deblur(source, tmp_path / "b.mkv", codec="hevc", crf=30)
    assert report.codec == "libx265"
    assert look(tmp_path / "b.mkv").stream["codec"] == "hevc"
    deblur(source, tmp_path / "c.mkv", codec="ffv1")
    assert_the_same_film(source, tmp_path / "c.mkv")
    for wish, where, problem in [
        ("nonsense", "d.mkv", "no encoder 'nonsense'"),
        ("aac", "d.mkv", "no encoder 'aac'"),
        ("ffv1", "d.webm", "webm files cannot hold ffv1"),
    ]:
        with pytest.raises(UserError, match=problem):
            deblur(source, tmp_path / where, codec=wish)
    assert not list(tmp_path.glob("d.*"))


def test_only_blurry_frames_are_touched_when_asked(tmp_path):
    film = Blinking(frames=70, size=(48, 64))
    source = film.write(tmp_path / "a.mkv")
    report = deblur(source, tmp_path / "b.mkv", brighter, only_blurry=True)
    before, after = look(source).samples, look(tmp_path / "b.mkv").samples
    kept = [i for i in range(70) if before[i] == after[i]]
    assert kept == [i for i in range(70) if i % 5 == 0]
    assert (report.passed_through, report.changed) == (len(kept), 70 - len(kept))


class Blinking(Film):
    """Every fifth frame is sharp, the others are flat."""

    def picture(self, index):
        frame = super().picture(7)
        for plane in frame.planes if index % 5 else ():
            view = np.ndarray((plane.height, plane.line_size), "u1", buffer=plane)
            view[:] = view // 4 + 90
        return frame


class ThirdAsItCame:
    identity = "third"

    def __init__(self):
        self.heard = []

    def knows(self, number):
        return number != 4

    def __call__(self, number, image, result):
        self.heard.append(number)
        assert torch.allclose(result, image / 2)
        return image if number == 3 else result


def test_whoever_knows_more_of_a_frame_has_the_last_word(tmp_path):
    source = Film("ffv1", size=(16, 24), frames=5).write(tmp_path / "a.mkv")
    finish = ThirdAsItCame()
    half, whole = tmp_path / "half.mkv", tmp_path / "whole.mkv"
    deblur_video(source, half, lambda image: image / 2, identity="x")
    deblur_video(source, whole, lambda image: image / 2, identity="y", finish=finish)
    before, plain, finished = (look(path).samples for path in (source, half, whole))
    assert finish.heard == [0, 1, 2, 3]
    assert finished == [*plain[:3], before[3], plain[4]]


def test_progress_is_told_frame_by_frame(tmp_path):
    source = Film("libx264", frames=5).write(tmp_path / "a.mp4")
    told = []
    deblur_video(source, tmp_path / "b.mp4", same, identity="x", tell=lambda *now: told.append(now))
    assert told == [(i, 5) for i in range(6)]


PEAK = """
import resource, sys
from bluref.restore.work.video import deblur_video
deblur_video(sys.argv[1], sys.argv[2], lambda image: image, identity="x")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for frames in (60, 460):
        film = Film("libx264", size=(240, 320), frames=frames, sound="aac")
        source = film.write(tmp_path / f"{frames}.mp4")
        line = [sys.executable, "-c", PEAK, str(source), str(tmp_path / f"out{frames}.mp4")]
        done = subprocess.run(line, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    # In MiB; the 400 pictures more are 88 MiB as 8-bit RGB, and 350 MiB as floats.
    assert peaks[1] - peaks[0] < 15
