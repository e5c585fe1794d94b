import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from tests.media.films import Film, look

from bluref.errors import UserError
from bluref.restore.video import VideoOptions, deblur_video

SHARED = Fraction(1, 600)


def same(image):
    return image


def brighter(image):
    return (image + 0.2).clamp(0, 1)


def deblur(source, target, apply=same, **options):
    return deblur_video(source, target, apply, identity="x", options=VideoOptions(**options))


def assert_the_same_film(source, target):
    before, after = look(source), look(target)
    assert after.samples == before.samples
    assert after.times == before.times
    assert after.formats == before.formats
    assert after.tags == before.tags
    assert after.rotations == before.rotations
    assert (after.stream["aspect"] or 1) == (before.stream["aspect"] or 1)
    assert after.packets == before.packets
    return before, after


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


def test_what_a_turned_picture_becomes_is_turned_back(tmp_path):
    source = Film("libx264", size=(24, 40), frames=1, rotation=90).write(tmp_path / "a.mp4")

    def mark(image):  # the top of the upright picture
        image = image.clone()
        image[..., :8, :] = 1
        return image

    deblur(source, tmp_path / "b.mp4", mark, crf=0)
    luma = np.frombuffer(look(tmp_path / "b.mp4").samples[0], "u1")[: 24 * 40].reshape(24, 40)
    shown = np.rot90(luma, 1)
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


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "quo'te\"s",
        "line\nbreak",
        "Übung 写真",
        "a; touch x",
        "concat:a|b",
        "%d",
        "-y",
    ],
)
def test_any_file_name_works(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source = Film("libx264", frames=2).write(tmp_path / "film.mp4")
    source = source.rename(tmp_path / f"{name}.mp4")
    deblur(source.name, f"out/{name}.mp4")
    assert len(look(tmp_path / "out" / f"{name}.mp4").samples) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, "out"])
    assert [p.name for p in (tmp_path / "out").iterdir()] == [source.name]


def test_a_source_without_pictures_leaves_nothing_behind(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no film\n" * 99)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.ts\n")
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    with av.open(str(tmp_path / "none.mkv"), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        container.start_encoding()
    before = sorted(tmp_path.iterdir())
    for name in ("empty.mp4", "text.mp4", "list.mp4", "concat.mp4", "sound.mp4", "none.mkv"):
        with pytest.raises(UserError) as caught:
            deblur(tmp_path / name, tmp_path / f"out-{name}")
        assert name in caught.value.problem
    assert sorted(tmp_path.iterdir()) == before


def test_the_film_itself_is_never_replaced(tmp_path):
    source = Film(frames=2).write(tmp_path / "a.mkv")
    (tmp_path / "link.mkv").symlink_to(source)
    content = source.read_bytes()
    for target in (source, tmp_path / "link.mkv"):
        with pytest.raises(UserError, match="is the film itself"):
            deblur(source, target)
    assert source.read_bytes() == content


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    source = Film(frames=2).write(tmp_path / "a.mkv")
    place = tmp_path / "place"
    place.mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot write"):
        deblur(source, place / "b.mkv", lambda image: pytest.fail("work was done"))


def test_a_target_below_a_file_is_refused(tmp_path):
    source = Film(frames=2).write(tmp_path / "a.mkv")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*b.mkv"):
        deblur(source, tmp_path / "file" / "b.mkv")


FULL_DISK = """
import resource, sys
from pathlib import Path
from bluref.errors import UserError
from bluref.restore.video import deblur_video
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    deblur_video(sys.argv[1], sys.argv[2], lambda image: image, identity="x")
except UserError as error:
    print(error.problem)
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", [20_000, 150_000], ids=["for no segment", "for no film"])
def test_a_disk_that_is_full_is_told_and_leaves_no_half_film(tmp_path, room):
    source = Film("ffv1", frames=90).write(tmp_path / "a.mkv")
    line = [sys.executable, "-c", FULL_DISK, str(source), str(tmp_path / "b.mkv"), str(room)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "cannot write" in done.stdout
    assert "large" in done.stdout  # what the system says of a file that may not grow
    assert not (tmp_path / "b.mkv").exists()
    assert not list(tmp_path.glob("*.partial*"))
    report = deblur(source, tmp_path / "b.mkv")  # there is room again
    assert report.frames == 90
    assert_the_same_film(source, tmp_path / "b.mkv")


def test_a_lost_frame_is_shown_again_and_told(tmp_path):
    source = Film("libvpx-vp9", frames=12, options={"g": "1"}).write(tmp_path / "a.webm")
    expected = look(source)
    damage(source, 7, part=0)
    report = deblur(source, tmp_path / "b.mkv", brighter, codec="ffv1")
    assert report.frames == 12
    assert report.corrupt == (7,)
    after = look(tmp_path / "b.mkv")
    assert after.times == expected.times
    assert after.samples[7] == expected.samples[6]  # as it was, not brighter


def test_a_damaged_frame_is_passed_through_as_the_decoder_gives_it(tmp_path):
    source = Film("mpeg4", frames=20, size=(96, 128)).write(tmp_path / "a.avi")
    damage(source, 9)
    report = deblur(source, tmp_path / "b.mkv", brighter, codec="ffv1")
    before, after = look(source), look(tmp_path / "b.mkv")
    assert report.corrupt == (9,)
    assert (report.frames, report.changed) == (20, 19)
    assert after.samples[9] == before.samples[9]
    assert after.samples[8] != before.samples[8]


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_of_a_film_that_was_cut_short_what_is_there_is_done(tmp_path, name):
    whole = Film("libx264", frames=120, options={"g": "10"}).write(tmp_path / f"whole-{name}")
    source = tmp_path / name
    content = whole.read_bytes()
    source.write_bytes(content[: len(content) * 6 // 10])
    report = deblur(source, tmp_path / "out" / name)
    assert 40 < report.frames < 100
    assert len(look(tmp_path / "out" / name).samples) == report.frames
    if name == "a.mkv":  # a transport stream does not know how long it was to be
        assert any("cut short" in note for note in report.notes)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "options"),
    [("mjpeg", "yuvj420p", {}), ("libx264", "yuv420p", {"g": "1"})],
)
def test_a_film_that_begins_with_a_lost_frame_is_turned_as_before(
    tmp_path, codec, pixel_format, options
):
    film = Film(codec, pixel_format, (48, 64), 6, rotation=90, options=options)
    source = film.write(tmp_path / "a.mov")
    whole = look(source)
    damage(source, 0, part=0, count=1 << 20)
    report = deblur(source, tmp_path / "b.mov")
    assert report.corrupt == (0,)
    after = look(tmp_path / "b.mov")
    assert after.rotations == whole.rotations == {90}
    assert after.ticks == whole.ticks


def damage(path, victim, part=0.5, count=60):
    """Overwrite so many bytes of one packet of the film at most, from the given part of it on."""
    with av.open(str(path)) as container:
        packet = [bytes(p) for p in container.demux(video=0) if p.size][victim]
    content = bytearray(path.read_bytes())
    begin = content.index(packet) + int(len(packet) * part)
    rng = np.random.default_rng(0)
    count = min(count, len(packet) - int(len(packet) * part))
    content[begin : begin + count] = rng.integers(0, 256, count, np.uint8).tobytes()
    path.write_bytes(content)


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


def test_whoever_knows_more_of_a_frame_has_the_last_word(tmp_path):
    source = Film("ffv1", size=(16, 24), frames=5).write(tmp_path / "a.mkv")
    heard = []

    def finish(number, image, result):
        heard.append(number)
        assert torch.allclose(result, image / 2)
        return image if number == 3 else result

    half, whole = tmp_path / "half.mkv", tmp_path / "whole.mkv"
    deblur_video(source, half, lambda image: image / 2, identity="x")
    deblur_video(source, whole, lambda image: image / 2, identity="y", finish=finish)
    before, plain, finished = (look(path).samples for path in (source, half, whole))
    assert heard == [0, 1, 2, 3, 4]
    assert finished == [*plain[:3], before[3], plain[4]]


def test_progress_is_told_frame_by_frame(tmp_path):
    source = Film("libx264", frames=5).write(tmp_path / "a.mp4")
    told = []
    deblur_video(source, tmp_path / "b.mp4", same, identity="x", tell=lambda *now: told.append(now))
    assert told == [(i, 5) for i in range(6)]


PEAK = """
import resource, sys
from bluref.restore.video import deblur_video
deblur_video(sys.argv[1], sys.argv[2], lambda image: image, identity="x")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
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
