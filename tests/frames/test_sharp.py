import pytest

from bluref.errors import UserError
from bluref.frames.sharp import sharp_frames

NAMES = [f"{i:03d}.png" for i in range(6)]


def test_pictures_clips_and_trees_give_their_sharp_frames(touch, tmp_path):
    photos = touch(tmp_path / "photos", "b.jpg", "a.jpg")
    touch(tmp_path / "clips" / "one", *NAMES)
    for kind in ("blur", "sharp"):
        touch(tmp_path / "tree" / "test" / "scene" / kind, *NAMES[:3])
    frames = sharp_frames([photos, tmp_path / "clips", tmp_path / "tree"], part="test")
    assert [f.path.name for f in frames] == ["a.jpg", "b.jpg", *NAMES, *NAMES[:3]]
    assert frames[-1].path.parent.name == "sharp"


def test_too_many_frames_are_thinned_out_evenly(touch, tmp_path):
    folder = touch(tmp_path / "photos", *NAMES)
    assert [f.index for f in sharp_frames([folder], most=3)] == [0, 2, 4]
    assert [f.index for f in sharp_frames([folder], most=4)] == [0, 1, 3, 4]
    assert len(sharp_frames([folder], most=6)) == len(sharp_frames([folder], most=99)) == 6


def test_nothing_sharp_is_the_users_to_fix(touch, tmp_path):
    with pytest.raises(UserError, match="no clips in"):
        sharp_frames([touch(tmp_path / "empty")])
    with pytest.raises(UserError, match="no sharp frame in"):
        sharp_frames([])
    with pytest.raises(ValueError, match="at least 1, got 0"):
        sharp_frames([touch(tmp_path / "photos", *NAMES)], most=0)
