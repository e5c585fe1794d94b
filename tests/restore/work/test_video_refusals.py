"""Films, names and places that are not as they should be: told, and no frame or file is lost."""

import subprocess
import sys

import av
import numpy as np
import pytest
from tests.media.films.films import Film, look
from tests.restore.work.videos import assert_the_same_film, brighter, deblur

from bluref.errors import UserError


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


def test_a_film_of_more_bytes_than_allowed_is_not_opened(tmp_path):
    source = Film("libx264", frames=2).write(tmp_path / "film.mp4")
    size = source.stat().st_size
    with pytest.raises(UserError, match=f"larger than {size - 1:,} bytes") as caught:
        deblur(source, tmp_path / "out.mp4", max_bytes=size - 1)
    assert "--max-bytes" in caught.value.fix
    deblur(source, tmp_path / "out.mp4", max_bytes=size)


def test_the_film_itself_is_never_replaced(tmp_path):
    source = Film(frames=2).write(tmp_path / "a.mkv")
    (tmp_path / "link.mkv").symlink_to(source)
    content = source.read_bytes()
    for target in (source, tmp_path / "link.mkv"):
        with pytest.raises(UserError, match="is the film itself"):
            deblur(source, target)
    assert source.read_bytes() == content


def test_a_target_below_a_file_is_refused_before_any_work(tmp_path):
    source = Film(frames=2).write(tmp_path / "a.mkv")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*b.mkv"):
        deblur(source, tmp_path / "file" / "b.mkv", lambda _: pytest.fail("work was done"))


FULL_DISK = """
import resource, sys
from pathlib import Path
from bluref.errors import UserError
from bluref.restore.work.video import deblur_video
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


@pytest.mark.slow
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
