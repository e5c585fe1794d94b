import shutil
from pathlib import Path

import pytest

from bluref.errors import UserError
from bluref.frames.layouts import detect_layout, find_clips, frame_numbers, own_name

NAMES = [f"{i:06d}.png" for i in range(6)]


@pytest.fixture
def gopro(tmp_path, touch):
    """Two scenes of six frames and one of four."""
    for scene, names in (("a", NAMES), ("b", NAMES), ("short", NAMES[:4])):
        for kind in ("blur", "sharp"):
            touch(tmp_path / "train" / scene / kind, *names)
    touch(tmp_path / "test" / "c" / "blur", *NAMES)
    touch(tmp_path / "test" / "c" / "sharp", *NAMES)
    return tmp_path


def test_a_gopro_tree_pairs_each_blurry_frame_with_the_sharp_one_of_its_name(gopro):
    clips = find_clips(gopro)
    assert [clip.name for clip in clips] == ["a", "b", "short"]
    for clip in clips:
        assert clip.blurry.keys() == clip.sharp.keys() == clip.truth.keys()
        for index, frame in clip.blurry.items():
            truth = clip.truth[index]
            assert frame.path.name == truth.path.name == f"{index:06d}.png"
            assert (frame.path.parent.name, truth.path.parent.name) == ("blur", "sharp")
            assert truth is clip.sharp[index]


def test_clips_may_differ_in_length(gopro):
    assert [len(clip.blurry) for clip in find_clips(gopro)] == [6, 6, 4]


def test_the_part_is_a_subfolder_where_there_is_one(gopro):
    assert [clip.name for clip in find_clips(gopro, part="test")] == ["c"]
    # A folder that has no parts is read as it is.
    assert [clip.name for clip in find_clips(gopro / "train", part="test")] == ["a", "b", "short"]


def test_the_other_part_is_never_taken_instead(gopro):
    shutil.rmtree(gopro / "train")
    with pytest.raises(UserError, match="no train/"):
        find_clips(gopro)


def test_a_lost_blurry_frame_does_not_shift_those_after_it(gopro):
    (gopro / "train" / "a" / "blur" / NAMES[2]).unlink()
    clip = find_clips(gopro)[0]
    assert sorted(clip.blurry) == [0, 1, 3, 4, 5]
    assert sorted(clip.sharp) == [0, 1, 2, 3, 4, 5]
    for index, frame in clip.blurry.items():
        assert frame.path.name == clip.truth[index].path.name == NAMES[index]


def test_a_lost_sharp_frame_is_told_by_name(gopro):
    (gopro / "train" / "b" / "sharp" / NAMES[3]).unlink()
    with pytest.raises(UserError, match=r"b.blur.000003\.png has no sharp frame.*1 of 6"):
        find_clips(gopro)


def test_a_scene_without_its_sharp_folder_is_told_by_name(gopro):
    shutil.rmtree(gopro / "train" / "b" / "sharp")
    with pytest.raises(UserError, match=r"b.blur.000000\.png.*6 of 6"):
        find_clips(gopro)


def test_a_scene_without_pictures_is_told(gopro):
    for path in (gopro / "train" / "b" / "blur").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"no pictures in .*b.blur"):
        find_clips(gopro)


def test_blurry_and_sharp_frames_may_be_files_of_different_kinds(tmp_path, touch):
    touch(tmp_path / "a" / "blur", "1.jpg", "2.jpg")
    touch(tmp_path / "a" / "sharp", "1.png", "2.png")
    (clip,) = find_clips(tmp_path)
    assert [frame.path.name for frame in clip.truth.values()] == ["1.png", "2.png"]


def test_an_rb2v_tree_has_its_scenes_below_blur_and_sharp(tmp_path, touch):
    for kind in ("blur", "sharp"):
        touch(tmp_path / "train" / kind / "street", *NAMES)
    (clip,) = find_clips(tmp_path)
    assert clip.name == "street"
    assert clip.blurry[3].path == tmp_path / "train" / "blur" / "street" / NAMES[3]
    assert clip.truth[3].path == tmp_path / "train" / "sharp" / "street" / NAMES[3]


def test_a_phonecraft_tree_keeps_blurry_and_sharp_clips_apart(tmp_path, touch, write_video):
    touch(tmp_path / "blurry" / "walk", *NAMES)
    touch(tmp_path / "sharp" / "walk", *NAMES[:2])
    write_video(tmp_path / "sharp" / "stand.mp4", [0.1, 0.5, 0.9])
    clips = {clip.name: clip for clip in find_clips(tmp_path)}
    assert clips.keys() == {"blurry/walk", "sharp/walk", "sharp/stand"}
    assert len(clips["blurry/walk"].blurry) == 6
    assert len(clips["sharp/walk"].sharp) == 2
    assert len(clips["sharp/stand"].sharp) == 3
    assert not clips["blurry/walk"].sharp
    assert not clips["sharp/walk"].blurry
    assert not any(clip.truth for clip in clips.values())


@pytest.mark.parametrize("empty", ["blurry", "sharp"])
def test_a_phonecraft_tree_with_an_empty_side_is_told(tmp_path, touch, empty):
    for kind in ("blurry", "sharp"):
        touch(tmp_path / kind / "clip", *([] if kind == empty else NAMES))
    with pytest.raises(UserError, match=rf"no clips in .*{empty}"):
        find_clips(tmp_path)


def test_plain_clips_are_folders_videos_and_loose_pictures(tmp_path, touch, write_video):
    data = tmp_path / "data"
    touch(data / "photos", *NAMES[:2])
    write_video(data / "ride.mp4", [0.2, 0.4, 0.6])
    touch(data, "10.png", "9.png", "notes.txt")
    touch(data / "no pictures", "readme.txt")
    clips = {clip.name: clip for clip in find_clips(data)}
    assert clips.keys() == {"photos", "ride", "data"}
    assert list(clips["data"].blurry) == [9, 10]
    ride = clips["ride"].blurry
    assert [(f.index, f.position, f.path.name) for f in ride.values()] == [
        (i, i, "ride.mp4") for i in range(3)
    ]
    for clip in clips.values():  # nobody has said yet which frames are which
        assert clip.blurry == clip.sharp
        assert not clip.truth


def test_a_clip_of_one_frame_is_a_clip(tmp_path, touch):
    touch(tmp_path / "one", "a.png")
    (clip,) = find_clips(tmp_path)
    assert len(clip.blurry) == 1


def test_frames_of_a_video_that_are_unevenly_spaced_are_all_counted(tmp_path, write_video):
    write_video(tmp_path / "uneven.mkv", [0.2, 0.4, 0.6], times=[0, 1, 30])
    (clip,) = find_clips(tmp_path)
    assert sorted(clip.blurry) == [0, 1, 2]


def test_hidden_files_and_folders_are_no_clips(tmp_path, touch):
    touch(tmp_path / "clip", *NAMES)
    touch(tmp_path / ".cache", *NAMES)
    touch(tmp_path, "._ride.mp4", ".thumb.png")
    assert [clip.name for clip in find_clips(tmp_path)] == ["clip"]


def test_two_clips_of_one_name_are_told_not_merged(tmp_path, touch, write_video):
    touch(tmp_path / "ride", *NAMES)
    write_video(tmp_path / "ride.mp4", [0.5])
    with pytest.raises(UserError, match=r"ride\.mp4 is the second clip called 'ride'"):
        find_clips(tmp_path)


def test_two_pictures_of_one_name_are_told_not_dropped(tmp_path, touch):
    touch(tmp_path / "clip", "1.png", "2.png", "2.jpg")
    with pytest.raises(UserError, match=r"2\.(png|jpg) and .*2\.(png|jpg) bear the same name"):
        find_clips(tmp_path)


def test_an_empty_folder_is_told(tmp_path):
    with pytest.raises(UserError, match="no clips in"):
        find_clips(tmp_path)


def test_a_missing_folder_and_a_file_are_told(tmp_path, touch):
    touch(tmp_path, "a.txt")
    for name in ("missing", "a.txt"):
        with pytest.raises(UserError, match=f"{name} is not a folder"):
            find_clips(tmp_path / name)


def test_an_unknown_layout_is_told(tmp_path):
    with pytest.raises(UserError, match="unknown layout 'reds'"):
        find_clips(tmp_path, layout="reds")


@pytest.mark.parametrize("layout", ["phonecraft", "rb2v", "gopro"])
def test_a_layout_that_the_folder_does_not_have_is_told(tmp_path, touch, layout):
    touch(tmp_path / "clip", *NAMES)
    with pytest.raises(UserError, match=str(tmp_path)):
        find_clips(tmp_path, layout=layout)


def test_a_video_that_cannot_be_read_is_told_by_name(tmp_path, touch):
    touch(tmp_path, "ride.mp4")
    with pytest.raises(UserError, match=r"ride\.mp4 is empty"):
        find_clips(tmp_path)


@pytest.mark.parametrize(
    ("folders", "layout"),
    [
        (["blurry", "sharp"], "phonecraft"),
        (["blur", "sharp"], "rb2v"),
        (["a/blur", "a/sharp"], "gopro"),
        (["a", "sharp"], "clips"),
        ([], "clips"),
    ],
)
def test_the_layout_is_told_from_the_folder_names(tmp_path, folders, layout):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    assert detect_layout(tmp_path) == layout


def test_a_folder_has_its_own_name_however_it_is_given(tmp_path, monkeypatch):
    inner = tmp_path / "trip" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert [own_name(Path(p)) for p in (".", "..", "../inner", str(inner))] == [
        *("inner", "trip"), *("inner", "inner"),
    ]  # fmt: skip


def test_the_last_number_in_a_name_is_the_frame_number():
    stems = ["clip2_frame007", "clip2_frame010b", "clip2_frame8"]
    assert list(frame_numbers(stems).values()) == [7, 10, 8]


@pytest.mark.parametrize("odd", ["cover", "frame2-1"])
def test_places_in_order_serve_where_numbers_do_not(odd):
    stems = ["frame1", "frame2", "frame10", odd]
    assert frame_numbers(stems) == {stem: place for place, stem in enumerate(stems)}


@pytest.mark.parametrize(
    ("stems", "numbers"),
    [
        (["PXL_20230101_123456789", "PXL_20230101_123456822"], [0, 1]),
        (["20240131", "20240201"], [0, 1]),
        (["00000041", "00000043"], [41, 43]),
        (["a 9999998", "a 9999999"], [9999998, 9999999]),
        (["a 9999999", "a 10000000"], [0, 1]),
    ],
)
def test_a_date_or_a_clock_is_no_frame_number(stems, numbers):
    assert list(frame_numbers(stems).values()) == numbers
