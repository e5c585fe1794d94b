"""Frames held back: apart from what is learnt from, and from its neighbours."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.frames.clip import Frame
from bluref.frames.hold_out import ENOUGH, SHORTEST, hold_out, usual_share
from bluref.frames.split import Footage


def clip(name, count, *, step=1):
    """A clip whose frames are blurry and sharp in turn."""
    frames = [Frame(name, step * n, Path(f"{name}/{n}.png")) for n in range(count)]
    return frames[::2], frames[1::2]


def footage(*clips, truth=()):
    blurry = [frame for clip in clips for frame in clip[0]]
    sharp = [frame for clip in clips for frame in clip[1]]
    return Footage(tuple(blurry), tuple(sharp), {f.key: f for f in truth})


def of(part):
    return {*part.blurry, *part.sharp}


@pytest.mark.slow
@settings(max_examples=30, deadline=None, database=None)
@given(
    lengths=st.lists(st.integers(1, 350), min_size=1, max_size=12),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 5),
)
def test_the_parts_share_no_frame_and_lose_none(lengths, share, seed):
    whole = footage(*(clip(f"c{n}", length) for n, length in enumerate(lengths)))
    parts = hold_out(whole, share, seed=seed)
    training, held, gap = of(parts.training), of(parts.held), set(parts.gap)
    assert training | held | gap == of(whole)
    assert len(training) + len(held) + len(gap) == len(of(whole))
    assert parts.training.blurry
    assert hold_out(whole, share, seed=seed) == parts


@pytest.mark.slow
@settings(max_examples=30, deadline=None, database=None)
@given(
    lengths=st.lists(st.integers(SHORTEST, 350), min_size=1, max_size=4),
    share=st.floats(0.02, 0.3),
    seed=st.integers(0, 5),
)
def test_no_frame_held_back_is_a_neighbour_of_one_that_is_learnt_from(lengths, share, seed):
    whole = footage(*(clip(f"c{n}", length) for n, length in enumerate(lengths)))
    parts = hold_out(whole, share, seed=seed)
    assert parts.held.blurry
    assert parts.held.sharp
    learnt = {(f.clip, f.index) for f in of(parts.training)}
    for frame in of(parts.held):
        near = {(frame.clip, frame.index + d) for d in (-3, -2, -1, 1, 2, 3)}
        assert not near & learnt


@pytest.mark.slow
@pytest.mark.parametrize("length", [SHORTEST, 100, 3000])
def test_a_single_clip_gives_slices_of_consecutive_frames(length):
    parts = hold_out(footage(clip("walk", length)), 0.1, seed=0)
    indices = sorted(frame.index for frame in of(parts.held))
    runs = 1 + sum(b - a > 1 for a, b in pairwise(indices))
    assert runs == -(-length // 300)
    assert 0.08 * length <= len(indices) <= max(6, 0.12 * length)
    assert len(of(parts.training)) >= 0.5 * length


@pytest.mark.parametrize("seed", range(8))
def test_where_blur_comes_and_goes_a_slice_holds_both_roles(seed):
    frames = [Frame("walk", index, Path("walk.mp4"), index) for index in range(150)]
    blurry = tuple(frame for frame in frames if frame.index % 50 < 8)
    sharp = tuple(frame for frame in frames if frame not in blurry)
    parts = hold_out(Footage(blurry, sharp, {}), 0.1, seed=seed)
    assert len(parts.held.blurry) >= 3
    assert len(parts.held.sharp) >= 3


def test_of_many_clips_whole_ones_are_held_back_and_nothing_is_lost():
    whole = footage(*(clip(f"c{n}", 40) for n in range(30)))
    parts = hold_out(whole, 0.1, seed=0)
    names = {frame.clip for frame in of(parts.held)}
    assert len(names) == 3
    assert names.isdisjoint(frame.clip for frame in of(parts.training))
    assert not parts.gap


def test_which_frames_depends_on_the_seed_and_not_on_the_order():
    whole = footage(*(clip(f"c{n}", 40) for n in range(30)))
    turned = Footage(whole.blurry[::-1], whole.sharp[::-1], {})
    assert of(hold_out(turned, 0.1, seed=1).held) == of(hold_out(whole, 0.1, seed=1).held)
    assert of(hold_out(whole, 0.1, seed=2).held) != of(hold_out(whole, 0.1, seed=1).held)


def test_a_blurry_and_a_sharp_recording_of_a_scene_are_held_back_together():
    pairs = [
        (clip(f"blurry/{n}", 20)[0], [Frame(f"sharp/{n}", k, Path(f"s/{n}/{k}")) for k in range(9)])
        for n in range(30)
    ]
    held = hold_out(footage(*pairs), 0.1, seed=0).held
    assert {f.clip.split("/")[1] for f in held.blurry} == {f.clip.split("/")[1] for f in held.sharp}


@pytest.mark.parametrize("clips", [[clip("short", SHORTEST - 1)], [clip("a", 3), clip("b", 2)]])
def test_short_clips_are_not_cut(clips):
    whole = footage(*clips)
    parts = hold_out(whole, 0.1, seed=0)
    assert parts.training == whole
    assert not of(parts.held)


def test_one_long_clip_among_short_ones_is_not_held_back_whole():
    whole = footage(clip("long", 500), *(clip(f"c{n}", 4) for n in range(3)))
    held = hold_out(whole, 0.1, seed=0).held
    assert len(held.blurry) < 50


def test_truth_goes_with_its_frame():
    blurry, sharp = clip("a", 100)
    parts = hold_out(footage((blurry, sharp), truth=blurry), 0.1, seed=0)
    assert set(parts.held.truth) == {f.key for f in parts.held.blurry}
    assert set(parts.training.truth) == {f.key for f in parts.training.blurry}


def test_the_usual_share_is_a_tenth_less_of_much_and_none_where_truth_judges():
    blurry, sharp = clip("a", 100)
    assert usual_share(footage((blurry, sharp))) == 0.1
    assert usual_share(footage((blurry, sharp), truth=blurry)) == 0
    hours = footage(clip("a", 5_000))
    assert usual_share(hours) * len(hours.blurry) == pytest.approx(ENOUGH)
