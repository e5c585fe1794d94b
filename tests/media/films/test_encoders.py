from dataclasses import replace
from fractions import Fraction

import av
import pytest
from tests.media.films.films import Film, samples

from bluref.errors import UserError
from bluref.media.films.encoder_options import QUALITY, fitting_quality
from bluref.media.films.encoders import encoder_of, plan_encoding
from bluref.media.films.hdr import hdr_options, lost_hdr, side_data
from bluref.media.films.recording import open_recording
from bluref.media.films.segment import Timed, write_segment
from bluref.restore.work.video import VideoOptions, deblur_video

pytestmark = pytest.mark.slow

DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,500)"
LIGHT = "1000,400"


def planned(path, container, **wishes):
    with open_recording(path) as recording:
        frames = recording.frames()
        first = next(frames)
        frames.close()
        return plan_encoding(recording, first, container, **wishes)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "name", "container", "encoder"),
    [
        ("libx264", "yuv420p", "a.mp4", "mp4", "libx264"),
        ("libx265", "yuv420p10le", "a.mp4", "mp4", "libx265"),
        ("libsvtav1", "yuv420p10le", "a.webm", "webm", "libsvtav1"),
        ("libvpx", "yuv420p", "a.webm", "webm", "libvpx"),
        ("mpeg2video", "yuv420p", "a.ts", "mpegts", "mpeg2video"),
        ("prores_ks", "yuv422p10le", "a.mov", "mov", "prores_ks"),
        ("dnxhd", "yuv422p", "a.mov", "mov", "dnxhd"),
        ("mjpeg", "yuvj420p", "a.avi", "avi", "mjpeg"),
        ("wmv2", "yuv420p", "a.wmv", "asf", "wmv2"),
    ],
)
def test_the_codec_and_the_depth_are_the_sources(
    tmp_path, codec, pixel_format, name, container, encoder
):
    options = {"profile": "dnxhr_hq"} if codec == "dnxhd" else {}
    options = {"x265-params": "bframes=0:log-level=none"} if codec == "libx265" else options
    film = Film(codec, pixel_format, (128, 256), frames=2, options=options)
    plan, notes = planned(film.write(tmp_path / name), container)
    assert (plan.encoder, plan.pixel_format, notes) == (encoder, pixel_format, [])


def test_what_cannot_be_kept_is_told(tmp_path):
    film = Film(
        "libx265", size=(64, 80), frames=2, options={"x265-params": "bframes=0:log-level=none"}
    )
    with open_recording(film.write(tmp_path / "a.mp4")) as recording:
        first = next(recording.frames())
        small = replace(first, frame=first.frame.reformat(width=32, height=32))
        plan, notes = plan_encoding(recording, small, "mp4")
    assert plan.encoder == "libx264"
    assert notes == ["the codec is h264 instead of hevc"]


def test_small_frames_are_not_given_to_an_encoder_that_breaks_on_them(tmp_path):
    for size in ((32, 128), (64, 64)):
        path = Film("libx264", size=size, frames=1).write(tmp_path / "a.mkv")
        with pytest.raises(UserError, match="no encoder here can write"):
            planned(path, "matroska", codec="hevc")


def test_quality_follows_the_bits_of_the_source_within_bounds(tmp_path):
    found = []
    for crf in (1, 24, 50):
        film = Film("libx264", size=(96, 128), frames=25, options={"crf": str(crf)})
        with open_recording(film.write(tmp_path / f"{crf}.mp4")) as recording:
            found.append(fitting_quality(recording, "libx264"))
    assert found[0] == QUALITY["libx264"][0]
    assert found == sorted(found)
    assert found[-1] > found[0]
    assert max(found) <= QUALITY["libx264"][1]


@pytest.mark.parametrize(
    ("codec", "worst"),
    [("h264", 51), ("hevc", 51), ("vp8", 63), ("vp9", 63), ("av1", 63), ("mpeg4", 31)],
)
def test_a_quality_out_of_the_range_of_the_encoder_is_refused(tmp_path, codec, worst):
    path = Film("libx264", size=(96, 128), frames=1).write(tmp_path / "a.mkv")
    for crf in (0, worst):
        plan, _ = planned(path, "matroska", codec=codec, crf=crf)
        encoder_of(plan).open()
    for crf in (-5, -1, worst + 1, 999):
        with pytest.raises(UserError, match=f"--crf {crf} is out of the range"):
            planned(path, "matroska", codec=codec, crf=crf)


def test_with_a_quality_no_other_codec_is_taken_than_the_one_it_is_meant_for(tmp_path):
    film = Film(
        "libx265", size=(64, 80), frames=1, options={"x265-params": "bframes=0:log-level=none"}
    )
    with open_recording(film.write(tmp_path / "a.mp4")) as recording:
        first = next(recording.frames())
        small = replace(first, frame=first.frame.reformat(width=32, height=32))
        assert plan_encoding(recording, small, "mp4")[0].encoder == "libx264"
        with pytest.raises(UserError, match="as hevc in mp4") as caught:
            plan_encoding(recording, small, "mp4", crf=20)
    assert "name a --codec beside --crf" in caught.value.fix


@pytest.mark.parametrize(
    ("codec", "size", "options"),
    [
        ("libx264", (240, 320), {}),
        ("libx265", (64, 96), {"x265-params": "bframes=0:log-level=none"}),
        ("libvpx-vp9", (48, 64), {}),
        ("libsvtav1", (64, 96), {}),
        ("mpeg4", (48, 64), {}),
    ],
)
def test_one_plan_makes_the_same_bytes_every_time(tmp_path, codec, size, options):
    film = Film(codec, size=size, frames=45, options=options)
    path = film.write(tmp_path / ("a.avi" if codec == "mpeg4" else "a.mp4"))
    plan, _ = planned(path, "matroska")
    made = set()
    for number in range(5):
        with open_recording(path) as recording:
            frames = [Timed(s.frame, s.pts, s.duration, "") for s in recording.frames()]
        write_segment(tmp_path / str(number), plan, frames)
        made.add((tmp_path / str(number)).read_bytes())
    assert len(made) == 1


def test_a_crf_of_nothing_is_lossless_where_it_can_be(tmp_path):
    path = Film("libx264", size=(64, 80), frames=2).write(tmp_path / "a.mkv")
    with open_recording(path) as recording:
        expected = [samples(shown.frame) for shown in recording.frames()]
    for codec in ("h264", "hevc", "vp9", "av1"):
        target = tmp_path / f"{codec}.mkv"
        options = VideoOptions(codec=codec, crf=0)
        deblur_video(path, target, lambda image: image, identity="x", options=options)
        with open_recording(target) as recording:
            assert [samples(shown.frame) for shown in recording.frames()] == expected, codec


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        (
            "libx265",
            {"x265-params": f"bframes=0:log-level=none:master-display={DISPLAY}:max-cll={LIGHT}"},
        ),
        ("libx264", {"x264-params": f"mastering-display={DISPLAY}:cll={LIGHT}"}),
    ],
)
def test_the_display_of_the_grading_and_the_light_level_are_kept(tmp_path, codec, options):
    film = Film(codec, "yuv420p10le", (64, 80), 3, tags=(1, 9, 9, 16), options=options)
    source = film.write(tmp_path / "a.mp4")
    report = deblur_video(source, tmp_path / "b.mp4", lambda image: image, identity="x")
    assert report.notes == ()
    kinds = [av.sidedata.sidedata.Type.MASTERING_DISPLAY_METADATA]
    kinds += [av.sidedata.sidedata.Type.CONTENT_LIGHT_LEVEL]
    told = []
    for path in (source, tmp_path / "b.mp4"):
        with open_recording(path) as recording:
            first = next(recording.frames())
        told.append([side_data(first.frame, kind) for kind in kinds])
    assert told[0] == told[1]
    assert all(told[0])


def test_what_an_encoder_cannot_say_of_the_display_is_told(tmp_path):
    params = f"bframes=0:log-level=none:master-display={DISPLAY}"
    film = Film("libx265", "yuv420p10le", (64, 80), 1, options={"x265-params": params})
    with open_recording(film.write(tmp_path / "a.mp4")) as recording:
        frame = next(recording.frames()).frame
    assert hdr_options("libvpx-vp9", frame) == {}
    assert "cannot repeat" in lost_hdr("libvpx-vp9", frame)[0]
    assert lost_hdr("libx265", frame) == []
    told = hdr_options("libsvtav1", frame)["svtav1-params"]
    assert told.startswith("mastering-display=G(0.26500,0.69000)B(0.15000,0.06000)")


def test_rates_that_a_codec_does_not_know_are_rounded_to_one_that_it_does(tmp_path):
    path = Film("libx264", frames=9, rate=23).write(tmp_path / "a.mkv")
    plan, _ = planned(path, "mpegts", codec="mpeg2video")
    assert Fraction(*plan.rate) in (Fraction(24), Fraction(24000, 1001))
    encoder_of(plan).open()
