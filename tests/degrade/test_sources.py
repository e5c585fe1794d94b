import pytest
import torch

from bluref.degrade.sources import find_source, read_photograph
from bluref.errors import UserError
from bluref.media.picture import write_picture


def pictures(folder, names, size=(8, 12)):
    folder.mkdir(exist_ok=True)
    for name in names:
        write_picture(torch.rand(1, 3, *size), folder / name)
    return folder


def test_numbered_pictures_of_one_size_are_frames(tmp_path):
    folder = pictures(tmp_path / "clip", [f"f{k}.png" for k in (8, 9, 10, 11)])
    found = find_source(folder, "auto")
    assert found.kind == "frames"
    assert [p.name for p in found.paths] == ["f8.png", "f9.png", "f10.png", "f11.png"]


@pytest.mark.parametrize(
    "names",
    [
        ["a.png", "b.png", "c.png"],
        ["f1.png", "f2.png", "f4.png"],
        ["f1.png", "f2.png"],
        ["f1.png", "g1.png", "f2.png"],
        ["beach 2.png", "cat 1.png", "dog 3.png"],
    ],
)
def test_pictures_with_gaps_or_without_numbers_are_photographs(tmp_path, names):
    assert find_source(pictures(tmp_path / "album", names), "auto").kind == "stills"


def test_pictures_of_two_sizes_are_photographs_unless_it_is_insisted_on(tmp_path):
    folder = pictures(tmp_path / "album", ["1.png", "2.png"])
    pictures(folder, ["3.png"], size=(12, 8))
    assert find_source(folder, "auto").kind == "stills"
    assert find_source(folder, "video").kind == "frames"


def test_an_unreadable_frame_does_not_hide_that_the_others_are_frames(tmp_path):
    folder = pictures(tmp_path / "clip", ["1.png", "2.png", "3.png"])
    (folder / "4.png").write_text("not a picture")
    assert find_source(folder, "auto").kind == "frames"


def test_videos_are_found_by_name_alone_or_in_a_folder(tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"x")
    (tmp_path / "a.MOV").write_bytes(b"x")
    assert find_source(tmp_path / "b.mp4", "auto").kind == "videos"
    assert [p.name for p in find_source(tmp_path, "auto").paths] == ["a.MOV", "b.mp4"]


def test_a_folder_of_both_asks_which(tmp_path):
    pictures(tmp_path, ["1.png"])
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="both"):
        find_source(tmp_path, "auto")
    assert find_source(tmp_path, "video").kind == "videos"
    assert find_source(tmp_path, "stills").kind == "stills"


@pytest.mark.parametrize("kind", ["auto", "video", "stills"])
def test_nothing_usable_is_an_error_that_names_the_place(tmp_path, kind):
    (tmp_path / "notes.txt").write_text("")
    for place in (tmp_path, tmp_path / "notes.txt", tmp_path / "missing"):
        with pytest.raises(UserError, match=place.name):
            find_source(place, kind)


def test_a_photograph_that_cannot_be_read_is_noted(tmp_path):
    failed = []
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8")
    assert read_photograph(tmp_path / "torn.jpg", failed) is None
    assert failed[0].path == "torn.jpg"
    assert "torn.jpg" in failed[0].reason
