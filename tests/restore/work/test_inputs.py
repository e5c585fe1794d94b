"""What is taken as an input, where each result goes, and that none replaces what it should not."""

import os
from pathlib import Path

import pytest
from tests.media.films.films import Film
from tests.restore.work.batches import deblur_files, inverter, paint, tree

from bluref.errors import UserError
from bluref.restore.work.inputs import plan
from bluref.restore.work.one_photo import PhotoOptions

TRUSTING = PhotoOptions(guard=False, trust=True)


@pytest.fixture
def invert():
    return inverter()


def test_results_inside_the_input_folder_are_not_taken_as_inputs(tmp_path, invert):
    paint(tmp_path / "a.png")
    for _ in range(2):
        report = deblur_files([tmp_path], tmp_path / "deblurred", invert)
    assert (report.done, report.skipped) == (0, 1)
    assert tree(tmp_path / "deblurred") == ["a.png"]


def test_an_output_folder_above_the_inputs_is_fine(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    assert deblur_files([tmp_path / "in"], tmp_path, invert).done == 1
    assert tree(tmp_path) == ["a.png", "in/a.png"]


@pytest.mark.parametrize("existing", ["refuse", "skip", "overwrite"])
@pytest.mark.parametrize("name", ["in", "in/a.png", "link"])
def test_an_input_is_never_replaced(tmp_path, invert, name, existing):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = source.read_bytes()
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([tmp_path / name], tmp_path / "in", invert, existing=existing)
    assert source.read_bytes() == before


def test_an_input_hidden_behind_a_link_is_never_replaced(tmp_path, invert):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    os.link(source, tmp_path / "out" / "a.png")
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([source], tmp_path / "out", invert, existing="overwrite")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4", "pipe", "pipe.flv"])
def test_a_named_pipe_is_refused_and_the_rest_goes_on(tmp_path, invert, name):
    os.mkfifo(tmp_path / name)
    good = paint(tmp_path / "a.png")
    report = deblur_files([tmp_path / name, good], tmp_path / "out", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert "is not a file" in failure.reason


def test_two_inputs_never_share_an_output(tmp_path, invert):
    inputs = [paint(tmp_path / folder / "a.png") for folder in "xy"]
    with pytest.raises(UserError, match="would both become"):
        deblur_files(inputs, tmp_path / "out", invert)
    assert not (tmp_path / "out").exists()


def test_an_input_named_twice_is_done_once(tmp_path, invert):
    source = paint(tmp_path / "a.png")
    report = deblur_files([source, tmp_path / "." / "a.png"], tmp_path / "out", invert)
    assert (report.done, report.skipped, report.failed) == (1, 0, ())


def test_nothing_given_is_an_error(tmp_path, invert):
    with pytest.raises(UserError, match="no pictures given"):
        deblur_files([], tmp_path, invert)


def test_an_output_folder_that_cannot_be_is_found_out_first(tmp_path, invert):
    source = paint(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write to .*out"):
        deblur_files([source], tmp_path / "out", invert)


def test_sidecars_and_rubbish_are_passed_over_and_unread_pictures_counted(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    names = ["Thumbs.db", ".DS_Store", "a.xmp", "a.AAE", "a.json", "a.txt", "._a.png", "b.CR2"]
    for name in [*names, "c.cr2", "d.gif"]:
        (tmp_path / "in" / name).write_bytes(b"rubbish")
    (tmp_path / "in" / ".hidden").mkdir()
    paint(tmp_path / "in" / ".hidden" / "a.png")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.failed) == (1, ())
    assert report.passed_over == {".cr2": 2, ".gif": 1}


def test_films_that_are_not_read_are_counted_in_folders_and_told_when_named(tmp_path):
    paint(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "a.flv").write_bytes(b"FLV\x01" + bytes(64))
    assert plan([tmp_path / "in"], tmp_path / "out").passed_over == {".flv": 1}
    (failure,) = plan([tmp_path / "in" / "a.flv"], tmp_path / "out").failed
    assert "is Flash video" in failure.reason
    assert "ffmpeg" in failure.reason
    (tmp_path / "in" / "c.gif").write_bytes(b"GIF89a" + bytes(64))
    (failure,) = plan([tmp_path / "in" / "c.gif"], tmp_path / "out").failed
    assert "footage" not in failure.reason


def test_a_film_that_is_named_may_have_any_name(tmp_path):
    film = Film(codec="mpeg2video", frames=3).write(tmp_path / "film.mpg")
    film.rename(tmp_path / "film of mine")
    (job,) = plan([tmp_path / "film of mine"], tmp_path / "out").jobs
    assert job.kind == "video"


@pytest.mark.parametrize("name", ["a.bak", "a.values", "a.encoded", "a"])
def test_a_picture_that_is_named_may_have_any_name(tmp_path, invert, name):
    paint(tmp_path / "a.png").rename(tmp_path / name)
    assert deblur_files([tmp_path / name], tmp_path / "out", invert).done == 1
    assert tree(tmp_path / "out") == [name]


def test_a_picture_that_is_a_link_to_nothing_is_told_and_other_links_to_nothing_are_not(
    tmp_path, invert
):
    paint(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "gone.jpg").symlink_to(tmp_path / "unplugged" / "gone.jpg")
    (tmp_path / "in" / "notes.txt").symlink_to(tmp_path / "unplugged" / "notes.txt")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(tmp_path / "in" / "gone.jpg")]
    assert "leads nowhere" in report.failed[0].reason


def test_loops_of_links_end(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop.png").symlink_to(tmp_path / "in" / "loop.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    inputs = [tmp_path / "in", tmp_path / "in" / "loop.png"]
    report = deblur_files(inputs, tmp_path / "out", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert "symbolic links" in failure.reason


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, invert, monkeypatch):
    for name in ("x/a.png", "y/a.png"):
        paint(tmp_path / "in" / name)
    listed = Path.iterdir

    def refuse(folder):
        if folder.name == "x":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(tmp_path / "in" / "x")]


def test_maps_of_trust_beside_their_pictures_are_no_inputs(tmp_path, invert):
    for name in ("a.png", "a.png.trust.png", "b.png.trust.png"):
        paint(tmp_path / "in" / name)
    for _ in range(2):
        report = deblur_files([tmp_path / "in"], tmp_path / "out", invert, options=TRUSTING)
        assert report.failed == ()
    made = ["a.png", "a.png.trust.png", "b.png.trust.png", "b.png.trust.png.trust.png"]
    assert tree(tmp_path / "out") == made
    assert deblur_files([tmp_path / "out"], tmp_path / "again", invert).done == 2


def test_a_map_of_trust_replaces_no_input_and_no_result(tmp_path, invert):
    sources = [paint(tmp_path / "in" / name) for name in ("a.png", "a.png.trust.png")]
    assert deblur_files(sources, tmp_path / "out", invert).done == 2
    with pytest.raises(UserError, match="would both become"):
        deblur_files(sources, tmp_path / "more", invert, options=TRUSTING)
    (tmp_path / "link").mkdir()
    os.link(sources[1], tmp_path / "link" / "a.png.trust.png")
    sources[1] = sources[1].rename(tmp_path / "b.png")
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files(sources, tmp_path / "link", invert, options=TRUSTING, existing="overwrite")


def test_a_name_that_is_too_long_fails_alone(tmp_path, invert):
    good, long = paint(tmp_path / "a.png"), tmp_path / ("x" * 300 + ".png")
    report = deblur_files([long, good], tmp_path / "out", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert failure.reason.startswith(f"cannot open {long}: file name too long; check the path")


@pytest.mark.parametrize("existing", ["refuse", "skip", "overwrite"])
def test_a_map_whose_name_would_be_too_long_fails_alone(tmp_path, invert, existing):
    for name in ("a.png", "x" * 250 + ".png"):
        paint(tmp_path / "in" / name)
    report = deblur_files(
        [tmp_path / "in"], tmp_path / "out", invert, options=TRUSTING, existing=existing
    )
    assert report.done == 1
    (failure,) = report.failed
    assert "file name too long" in failure.reason


@pytest.fixture
def shut(tmp_path, monkeypatch):
    """A folder that may be listed and not entered; root could, so the system is played."""
    folder, stat = tmp_path / "in" / "shut", Path.stat
    paint(folder / "a.png")

    def refuse(path, **how):
        if folder in path.parents:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    return folder


@pytest.mark.parametrize("name", ["in", "in/shut/a.png", "in/shut/film.mp4"])
def test_what_is_in_a_closed_folder_fails_alone(tmp_path, invert, shut, name):
    good = paint(tmp_path / "good.png")
    report = deblur_files([tmp_path / name, good], tmp_path / "out", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert "permission denied" in failure.reason
    assert str(shut) in failure.reason


def test_an_output_in_a_closed_folder_fails_alone(tmp_path, invert, shut):
    paint(tmp_path / "x" / "shut" / "a.png")
    paint(tmp_path / "x" / "b.png")
    report = deblur_files([tmp_path / "x"], tmp_path / "in", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert "permission denied" in failure.reason


def test_an_output_folder_that_links_to_itself_is_found_out_first(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    (tmp_path / "out").symlink_to(tmp_path / "out")
    with pytest.raises(UserError, match=r"cannot write to .*out"):
        deblur_files([tmp_path / "in"], tmp_path / "out", invert)
