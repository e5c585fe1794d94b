from fractions import Fraction

import av
import pytest
from av.codec.context import Flags
from tests.media.films.films import Film, look

from bluref.errors import UserError
from bluref.media.films import remux
from bluref.restore.work.video import VideoOptions, deblur_video


def again(source, **options):
    target = source.with_name(f"again-{source.name}")
    options = VideoOptions(**options)
    report = deblur_video(source, target, lambda image: image, identity="x", options=options)
    return target, report


def kinds(path):
    with av.open(str(path)) as container:
        return [stream.type for stream in container.streams]


def of_main(path, ask):
    with av.open(str(path)) as container:
        return ask(container.streams.video[0])


def test_chapters_and_time_code_are_there_once(tmp_path):
    film = Film("libx264", chapters=True, subtitles="mov_text", sound="aac")
    film.metadata = {"timecode": "01:00:00:00"}
    source = film.write(tmp_path / "a.mov")
    target, report = again(source)
    assert kinds(target) == kinds(source)
    assert kinds(source).count("data") == 2
    assert look(target).stream["chapters"] == look(source).stream["chapters"]
    assert of_main(target, lambda s: s.metadata["timecode"]) == "01:00:00:00"
    assert report.notes == ()


def test_apples_own_tags_are_kept(tmp_path):
    place = {"com.apple.quicktime.location.ISO6709": "+48.1375+011.5755/"}
    film = Film("libx264", frames=2, metadata=place)
    source = film.write(tmp_path / "a.mov", container_options={"movflags": "use_metadata_tags"})
    target, _ = again(source)
    assert place.items() <= look(target).stream["metadata"].items()


def test_data_are_copied(tmp_path):
    source = tmp_path / "a.ts"
    with av.open(str(source), "w") as container:
        film = container.add_stream("libx264", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p"
        data = container.add_data_stream("klv")
        for i in range(10):
            frame = Film().picture(i)
            frame.pts = i
            container.mux(film.encode(frame))
            packet = av.Packet(b"\x06\x0e\x2b\x34" + bytes([i] * 20))
            packet.stream, packet.time_base = data, Fraction(1, 90_000)
            packet.pts = packet.dts = i * 3600
            container.mux(packet)
        container.mux(film.encode())
    target, report = again(source)
    assert look(target).packets["data"] == look(source).packets["data"]
    assert len(look(source).packets["data"]) == 10
    assert report.notes == ()


def test_covers_and_fonts_are_kept(tmp_path):
    source = tmp_path / "a.mkv"
    picture = Film("mjpeg", "yuvj420p", (16, 16), 1).write(tmp_path / "c.mjpeg", format="mjpeg")
    with av.open(str(source), "w") as container:
        film = container.add_stream("ffv1", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p"
        container.add_attachment("a.ttf", "application/x-truetype-font", b"abc" * 99)
        container.add_attachment("cover.jpg", "image/jpeg", picture.read_bytes())
        frame = Film().picture(0)
        frame.pts = 0
        container.mux([*film.encode(frame), *film.encode()])
    target, report = again(source)
    held = []
    for path in (source, target):
        with av.open(str(path)) as container:
            cover = container.streams[2]
            told = [s.metadata.get("filename") for s in container.streams]
            font = container.streams[1].data
            packets = [bytes(p) for p in container.demux(cover) if p.size]
        held.append((told, font, packets, kinds(path)))
    assert held[0] == held[1]
    assert held[0][2] == [picture.read_bytes()]
    assert report.notes == ()


def test_other_videos_in_a_file_are_copied_as_they_are(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        streams = []
        for codec, size in (("libx264", (48, 64)), ("ffv1", (24, 32))):
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuv420p"
            streams.append((stream, size))
        for i in range(6):
            for stream, size in streams:
                frame = Film(size=size).picture(i)
                frame.pts = i
                container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode())
    target, _ = again(source)
    found = []
    for path in (source, target):
        with av.open(str(path)) as container:
            second = container.streams.video[1]
            found.append([(p.pts, bytes(p)) for p in container.demux(second) if p.size])
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_names_languages_and_dispositions_are_kept(tmp_path):
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        film = container.add_stream("ffv1", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p"
        words = container.add_mux_stream("subrip")
        words.metadata.update({"language": "ger", "title": "Für alle"})
        words.disposition = av.stream.Disposition.forced | av.stream.Disposition.hearing_impaired
        for i in range(3):
            frame = Film().picture(i)
            frame.pts = i
            container.mux(film.encode(frame))
            container.mux(Film(subtitles="subrip")._words(words, i))
        container.mux(film.encode())
    target, _ = again(source)
    told = []
    for path in (source, target):
        with av.open(str(path)) as container:
            stream = container.streams.subtitles[0]
            told.append((stream.metadata["title"], stream.language, stream.disposition))
    assert told[0] == told[1]
    assert told[0][:2] == ("Für alle", "ger")


@pytest.mark.parametrize("tag", ["hvc1", "hev1"])
def test_apple_finds_hevc_by_the_tag_that_it_had(tmp_path, tag):
    source = tmp_path / "a.mp4"
    film = Film("libx265", size=(64, 80), options={"x265-params": "bframes=0:log-level=none"})
    with av.open(str(source), "w") as container:
        stream = film._film_stream(container)
        stream.codec_context.codec_tag = tag
        frame = film.picture(0)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux([*stream.encode(frame), *stream.encode()])
    target, _ = again(source)
    assert of_main(target, lambda s: s.codec_context.codec_tag) == tag


def test_interlaced_frames_stay_so_and_it_is_told(tmp_path):
    film = Film("mpeg2video", frames=4, flags=Flags.interlaced_dct | Flags.interlaced_me)
    source = film.write(tmp_path / "a.ts")
    target, report = again(source)
    for path in (source, target):
        with av.open(str(path)) as container:
            assert all(frame.interlaced_frame for frame in container.decode(video=0))
    assert any("interlaced" in note for note in report.notes)


def test_a_shape_of_samples_that_is_not_kept_is_told(tmp_path):
    source = Film("mpeg4", frames=2, aspect=Fraction(4, 3)).write(tmp_path / "a.mp4")
    kept, report = again(source)
    assert look(kept).stream["aspect"] == Fraction(4, 3)
    assert report.notes == ()
    target = tmp_path / "b.mkv"
    report = deblur_video(
        source,
        target,
        lambda image: image,
        identity="x",
        options=VideoOptions(codec="ffv1"),
    )
    assert look(target).stream["aspect"] in (None, Fraction(1))
    assert any("shape 4/3" in note for note in report.notes)


def test_text_that_is_no_text_is_kept(tmp_path):
    source = Film("libx264", frames=2, metadata={"title": "b\udcffd"}).write(
        tmp_path / "a.mp4", metadata_errors="surrogateescape"
    )
    assert b"b\xffd" in source.read_bytes()
    target, _ = again(source)
    assert b"b\xffd" in target.read_bytes()


def test_an_index_is_at_the_beginning_so_that_players_need_not_wait(tmp_path):
    target, _ = again(Film("libx264", frames=3, sound="aac").write(tmp_path / "a.mp4"))
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_packets_that_no_container_takes_are_told_and_end_no_batch(tmp_path, monkeypatch):
    """Times that run backwards: FFmpeg calls that an invalid argument, which is of no place."""
    source = Film("libx264", frames=2).write(tmp_path / "a.mp4")

    def refuses(*told, **options):
        raise av.error.ArgumentError(22, "Invalid argument")

    monkeypatch.setattr(remux, "_write", refuses)
    with pytest.raises(UserError, match=r"cannot write .* Invalid argument"):
        again(source)


def test_a_film_of_hours_between_frames_is_written(tmp_path):
    film = Film("libx264", frames=3, times=[0, 3600, 7200], time_base=Fraction(1, 1), rate=1)
    target, _ = again(film.write(tmp_path / "a.mp4"))
    assert len(look(target).times) == 3
