from dataclasses import replace
from pathlib import Path

import pytest

from bluref.errors import UserError
from bluref.frames.curated import read_curated
from bluref.frames.frame_table import COLUMNS, TABLE, FrameRow, read_table, write_table
from bluref.frames.layouts import find_clips
from bluref.frames.split import split_clips, to_be_measured


def line(folder, index, role="blurry", **changes):
    row = FrameRow("trip", index, index / 30, -1.5, 0.25, 3.5, 0.5, 1, None, role, "why, so", folder
                   / "trip.mp4", index)  # fmt: skip
    return replace(row, **changes)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "trip.mp4").touch()
    roles = ["sharp", "blurry", "skip", "blurry", "sharp"]
    write_table([line(tmp_path, i, role) for i, role in enumerate(roles)], tmp_path)
    return tmp_path


def edited(data, old, new):
    text = (data / TABLE).read_text()
    assert old in text
    (data / TABLE).write_text(text.replace(old, new, 1))
    return data


def test_what_is_written_is_read(tmp_path):
    rows = [
        line(tmp_path, 0),
        line(tmp_path, 7, "sharp", clip='a "b", c', motion=None, duplicate=3, shot=2),
        line(tmp_path, 9, "skip", file=Path("/elsewhere/x.png"), position=None),
    ]
    write_table(rows, tmp_path)
    assert read_table(tmp_path) == [replace(row, time=round(row.time, 3)) for row in rows]


def test_files_inside_the_folder_are_told_relative_to_it(data):
    text = (data / TABLE).read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert str(data) not in text


def test_the_table_gives_the_roles_and_no_split_asks_again(data):
    (clip,) = find_clips(data)
    assert (clip.name, sorted(clip.blurry), sorted(clip.sharp)) == ("trip", [1, 3], [0, 4])
    assert to_be_measured(clip, "auto") == []
    for how in ("auto", "alternating", "halves", "sharpness"):
        found = split_clips([clip], how, lambda frame: pytest.fail("measured again"))
        assert [f.position for f in found.blurry] == [1, 3]
        assert [f.position for f in found.sharp] == [0, 4]


def test_each_shot_is_a_clip_of_its_own(tmp_path):
    (tmp_path / "trip.mp4").touch()
    write_table([line(tmp_path, i, "sharp", shot=1 + i // 2) for i in range(4)], tmp_path)
    clips = read_curated(tmp_path)
    assert [clip.name for clip in clips] == ["trip/shot-01", "trip/shot-02"]
    assert [sorted(clip.sharp) for clip in clips] == [[0, 1], [2, 3]]
    assert {f.clip for f in clips[1].sharp.values()} == {"trip/shot-02"}


def test_a_role_changed_by_hand_counts(data):
    (clip,) = find_clips(edited(data, ",skip,", ",Sharp ,"))
    assert sorted(clip.sharp) == [0, 2, 4]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (",skip,", ",skpi,", "line 4: role is 'skpi'"),
        ("trip,1,", "trip,one,", "line 3: index is 'one'"),
        ("trip,1,", "trip,-1,", "line 3: index is '-1'"),
        ("trip,1,", "trip,,", "line 3: there is no index"),
        ("trip,3,", "trip,1,", "line 5: frame 1 of clip 'trip' is in line 3 already"),
        ("-1.500", "nan", "line 2: sharpness is 'nan'"),
        ("-1.500", "1;5", "line 2: sharpness is '1;5'"),
        ('"why, so"', "why, so", "line 2: it has more cells"),
        ('trip,4,0.133', 'trip,4', "line 6: it has fewer cells"),
        ("clip,index", "clip,number", "line 1: there is no column 'index'"),
        ('trip,2,', '"trip,2,', "line 4: it has fewer cells"),
        ("trip.mp4,1", "trpi.mp4,1", "line 3: "),
        ("trip.mp4,1", "trip.mp4,", "line 3: it has no position"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(data, old, new, told):
    with pytest.raises(UserError) as caught:
        find_clips(edited(data, old, new))
    assert told in caught.value.problem
    assert str(data / TABLE) in caught.value.problem
    assert "\n" not in caught.value.problem


def test_what_spreadsheets_make_of_it_is_read(data):
    rows = read_table(data)
    text = (data / TABLE).read_text()
    lines = [text.splitlines()[0].replace(",", ";")]
    lines += [row.replace('"why, so"', "why").replace(",", ";") for row in text.splitlines()[1:]]
    (data / TABLE).write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert [replace(row, why="") for row in read_table(data)] == [replace(r, why="") for r in rows]


def test_columns_may_be_missing_or_added(data):
    (data / TABLE).write_text("role,mine,file,clip,index,position\nsharp,x,trip.mp4,trip,5,5\n")
    (clip,) = find_clips(data)
    assert list(clip.sharp) == [5]


def test_a_folder_whose_clips_have_gone_is_told(data):
    (data / "trip.mp4").unlink()
    with pytest.raises(UserError, match=r"line 2: .*trip\.mp4 is not there"):
        find_clips(data)


def test_a_folder_that_holds_its_files_may_be_moved(data):
    moved = data.rename(data.with_name("moved"))
    (clip,) = find_clips(moved)
    assert {f.path for f in clip.blurry.values()} == {moved / "trip.mp4"}


def test_a_table_without_any_role_is_refused(data):
    text = (data / TABLE).read_text().replace(",sharp,", ",skip,").replace(",blurry,", ",skip,")
    (data / TABLE).write_text(text)
    with pytest.raises(UserError, match="sharp or blurry"):
        find_clips(data)


def test_bytes_that_are_no_text_are_refused(data):
    (data / TABLE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        find_clips(data)
