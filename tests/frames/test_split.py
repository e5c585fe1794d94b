import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.layouts import find_clips
from bluref.frames.split import SPLITS, split_clips

MOST = 24


def never(frame):
    raise AssertionError(f"{frame} should not have been measured")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that differ, so that none counts as being in both sets."""
    folder = tmp_path_factory.mktemp("split")
    for kind in ("blur", "sharp"):
        for i in range(MOST):
            (folder / f"{kind}{i}.png").write_text(f"{kind}{i}")
    return folder


def clip_of(folder, blurry, sharp=None, *, paired=True, name="a"):
    """A clip with these frame numbers; a plain clip has one file per frame, not two."""
    mine = {i: Frame(name, i, folder / f"blur{i}.png") for i in blurry}
    if not paired:
        return Clip(name, mine, mine, {})
    other = {i: Frame(name, i, folder / f"sharp{i}.png") for i in (sharp or blurry)}
    return Clip(name, mine, other, {i: other[i] for i in mine if i in other})


def numbers(frames):
    return [frame.index for frame in frames]


def test_alternating_makes_even_frames_blurry_and_odd_ones_sharp(folder):
    found = split_clips([clip_of(folder, range(7))], "alternating", never)
    assert numbers(found.blurry) == [0, 2, 4, 6]
    assert numbers(found.sharp) == [1, 3, 5]


def test_a_lost_frame_does_not_change_the_role_of_those_after_it(folder):
    found = split_clips([clip_of(folder, [0, 1, 2, 4, 5], range(6))], "alternating", never)
    assert numbers(found.blurry) == [0, 2, 4]
    assert numbers(found.sharp) == [1, 3, 5]


@pytest.mark.parametrize("start", [0, 1, 2])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_clip_that_keeps_every_few_frames_alternates_too(folder, start, step):
    kept = list(range(start, MOST, step))
    found = split_clips([clip_of(folder, kept)], "alternating", never)
    assert sorted(numbers(found.blurry + found.sharp)) == kept
    assert abs(len(found.blurry) - len(found.sharp)) <= 1


def test_halves_never_interleave(folder):
    found = split_clips([clip_of(folder, range(7))], "halves", never)
    assert numbers(found.blurry) == [0, 1, 2]
    assert numbers(found.sharp) == [3, 4, 5, 6]


def test_sharpness_looks_at_plain_frames(folder):
    clip = clip_of(folder, range(8), paired=False)
    found = split_clips([clip], "sharpness", lambda frame: frame.index % 2)
    assert numbers(found.blurry) == [0, 2, 4, 6]
    assert numbers(found.sharp) == [1, 3, 5, 7]


def test_auto_alternates_pairs_and_measures_plain_clips(folder):
    pairs, plain = clip_of(folder, range(8)), clip_of(folder, range(8), paired=False)
    assert split_clips([pairs], "auto", never) == split_clips([pairs], "alternating", never)
    by_sharpness = split_clips([plain], "auto", lambda frame: -frame.index)
    assert numbers(by_sharpness.blurry) == [5, 6, 7]


@pytest.mark.parametrize("how", SPLITS)
def test_clips_recorded_as_blurry_or_sharp_keep_that_role(folder, how):
    blurry = Clip("blurry/a", clip_of(folder, range(5)).blurry, {}, {})
    sharp = Clip("sharp/b", {}, clip_of(folder, range(6)).sharp, {})
    found = split_clips([blurry, sharp], how, never)
    assert (numbers(found.blurry), numbers(found.sharp)) == (list(range(5)), list(range(6)))
    assert not found.truth


def test_picked_are_the_sharp_frames_of_footage_that_has_blurry_ones_too(folder):
    pairs, plain = clip_of(folder, range(8)), clip_of(folder, range(8), paired=False)
    assert not split_clips([pairs], "auto", never).picked
    chosen = split_clips([plain], "auto", lambda frame: frame.index % 2)
    assert chosen.picked == set(chosen.sharp) != set()
    # Whoever says by turns, or names recordings, says what was taken otherwise.
    assert not split_clips([plain], "alternating", never).picked
    recorded = [Clip("blurry/a", plain.blurry, {}, {}), Clip("sharp/a", {}, pairs.sharp, {})]
    assert not split_clips(recorded, "auto", never).picked


def test_of_several_clips_those_are_picked_whose_frames_were_given_roles(folder):
    paired = clip_of(folder, range(4))
    frames = clip_of(folder, range(6, 12), paired=False, name="b").blurry
    blurry, sharp = ({i: frames[i] for i in part} for part in ((6, 8), (7, 9)))
    curated = Clip("b", blurry, sharp, {}, roles_known=True)
    found = split_clips([paired, curated], "auto", never)
    assert found.picked == set(sharp.values())
    assert found.picked < set(found.sharp)


@settings(max_examples=80, deadline=None, database=None)
@given(
    clips=st.lists(st.sets(st.integers(0, MOST // 2 - 1), min_size=4), min_size=1, max_size=2),
    how=st.sampled_from(SPLITS),
    paired=st.booleans(),
    values=st.lists(st.integers(0, 3), min_size=MOST, max_size=MOST),
)
def test_no_frame_has_both_roles(folder, clips, how, paired, values):
    # Each clip has files of its own, and two frames that no split can leave without a role.
    made = [
        clip_of(folder, [i + n * MOST // 2 for i in c], paired=paired, name=f"clip{n}")
        for n, c in enumerate(clips)
    ]
    values[min(made[0].blurry)], values[max(made[0].blurry)] = -1, 4
    found = split_clips(made, how, lambda frame: values[frame.index])
    blurry = {(f.clip, f.index) for f in found.blurry}
    sharp = {(f.clip, f.index) for f in found.sharp}
    assert not blurry & sharp
    assert len(blurry) == len(found.blurry)
    assert len(sharp) == len(found.sharp)
    assert found.truth.keys() == ({f.key for f in found.blurry} if paired else set())
    for frame in found.blurry:
        assert not paired or found.truth[frame.key].index == frame.index


def test_an_unknown_split_is_told(folder):
    with pytest.raises(UserError, match="unknown split 'thirds'"):
        split_clips([clip_of(folder, range(4))], "thirds", never)


def test_a_single_frame_cannot_be_split(folder):
    with pytest.raises(UserError, match="no frame is left for the sharp set"):
        split_clips([clip_of(folder, [0])], "alternating", never)


def test_a_clip_of_equally_sharp_frames_cannot_be_split_by_sharpness(folder):
    clip = clip_of(folder, range(6), paired=False)
    with pytest.raises(UserError, match="no frame is left"):
        split_clips([clip], "sharpness", lambda frame: 1.0)


def test_a_picture_in_both_sets_is_refused_naming_both_files(tmp_path, write_clip):
    write_clip(tmp_path / "blurry" / "a", range(4))
    write_clip(tmp_path / "sharp" / "b", range(4), seed=1)
    shutil.copy(tmp_path / "blurry/a/000002.png", tmp_path / "sharp/b/000009.png")
    with pytest.raises(UserError, match=r"a.000002\.png and .*b.000009\.png are the same file"):
        split_clips(find_clips(tmp_path), "auto", never)


def test_a_video_in_both_sets_is_refused_naming_both_files(tmp_path, write_video):
    for kind in ("blurry", "sharp"):
        (tmp_path / kind).mkdir()
    write_video(tmp_path / "blurry" / "a.mp4", [0.1, 0.5, 0.9])
    write_video(tmp_path / "sharp" / "other.mp4", [0.2, 0.4, 0.8])
    assert len(split_clips(find_clips(tmp_path), "auto", never).sharp) == 3
    shutil.copy(tmp_path / "blurry/a.mp4", tmp_path / "sharp/b.mp4")
    with pytest.raises(UserError, match=r"a\.mp4 and .*b\.mp4 are the same file"):
        split_clips(find_clips(tmp_path), "auto", never)


def test_one_video_may_give_both_sets_frames(tmp_path, write_video):
    write_video(tmp_path / "a.mp4", [0.1, 0.3, 0.5, 0.9])
    found = split_clips(find_clips(tmp_path), "alternating", never)
    assert (numbers(found.blurry), numbers(found.sharp)) == ([0, 2], [1, 3])


def test_files_of_one_size_are_each_read_once(tmp_path, monkeypatch):
    for kind in ("blurry", "sharp"):
        (tmp_path / kind / "a").mkdir(parents=True)
        for i in range(6):
            (tmp_path / kind / "a" / f"{i}.png").write_text(f"{kind:>6}{i}")
    opened = []
    real = type(tmp_path).open
    monkeypatch.setattr(
        type(tmp_path), "open", lambda path, *a, **k: opened.append(path) or real(path, *a, **k)
    )
    split_clips(find_clips(tmp_path), "auto", never)
    assert len(opened) == len(set(opened)) == 12
