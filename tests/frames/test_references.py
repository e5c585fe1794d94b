from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import ReferenceRule, choose_references, nearest
from bluref.frames.split import Footage


def frames(indices, clip="a"):
    return tuple(Frame(clip, i, Path(f"{clip}/{i}.png")) for i in indices)


def chosen(t, indices, *, delta=1, refs=6):
    (blurry,) = frames([t])
    return [f.index for f in nearest(blurry, frames(indices), delta=delta, refs=refs)]


ODD = range(1, 40, 2)


def test_in_the_middle_three_frames_stand_on_each_side():
    assert chosen(20, ODD) == [19, 21, 17, 23, 15, 25]


def test_delta_moves_both_groups_away():
    assert chosen(20, ODD, delta=10) == [9, 31, 7, 33, 5, 35]
    assert chosen(20, ODD, delta=9) == [11, 29, 9, 31, 7, 33]


def test_at_the_first_frame_all_come_from_later():
    assert chosen(0, ODD) == [1, 3, 5, 7, 9, 11]
    assert chosen(0, ODD, delta=10) == [11, 13, 15, 17, 19, 21]


def test_at_the_last_frame_all_come_from_earlier():
    assert chosen(40, ODD) == [39, 37, 35, 33, 31, 29]


def test_near_an_end_the_other_side_fills_up():
    assert chosen(4, ODD) == [3, 5, 1, 7, 9, 11]
    assert chosen(36, ODD) == [35, 37, 33, 39, 31, 29]


def test_a_short_clip_gives_what_it_has():
    assert chosen(2, [1, 3]) == [1, 3]
    assert chosen(2, [1, 3], delta=2) == []


def test_of_an_odd_number_the_later_side_gives_one_more():
    assert chosen(20, ODD, refs=3) == [19, 21, 23]


def test_lost_frames_move_nothing():
    assert chosen(20, [i for i in ODD if i != 21]) == [19, 17, 23, 15, 25, 27]


def by_hand(t, indices, delta, refs):
    """Fig. 3 as one would do it with a pencil: two groups, then fill up with the nearest left."""
    earlier = sorted((i for i in indices if t - i >= delta), reverse=True)
    later = sorted(i for i in indices if i - t >= delta)
    taken = earlier[: refs // 2] + later[: refs - refs // 2]
    while len(taken) < refs and (left := set(earlier + later) - set(taken)):
        taken.append(min(left, key=lambda i: abs(i - t)))
    return sorted(taken, key=lambda i: (abs(i - t), i))


@settings(max_examples=300, deadline=None, database=None)
@given(
    t=st.integers(0, 30),
    indices=st.sets(st.integers(0, 30)),
    delta=st.integers(1, 12),
    refs=st.integers(1, 10),
)
def test_references_are_those_of_figure_3_and_never_nearer_than_delta(t, indices, delta, refs):
    found = chosen(t, indices, delta=delta, refs=refs)
    assert found == by_hand(t, indices, delta, refs)
    assert all(abs(i - t) >= delta for i in found)
    assert len(set(found)) == len(found) <= refs


def footage(blurry, sharp, truth=()):
    return Footage(tuple(blurry), tuple(sharp), {f.key: f for f in truth})


def test_references_come_from_the_frames_own_clip():
    both = footage(
        frames([0], "a") + frames([0], "b"), frames([1, 3], "a") + frames([1, 3, 5], "b")
    )
    for sample in choose_references(both, ReferenceRule()):
        assert {f.clip for f in sample.references} == {sample.blurry.clip}


def test_a_sample_knows_its_own_truth():
    truth = frames([0, 2])
    samples = choose_references(
        footage(frames([0, 2, 4]), frames([1, 3]), truth), ReferenceRule(delta=1)
    )
    assert [s.truth for s in samples] == [truth[0], truth[1], None]


def test_blurry_frames_without_a_reference_are_left_out():
    samples = choose_references(footage(frames([0, 8]), frames([1, 3])), ReferenceRule(delta=5))
    assert [s.blurry.index for s in samples] == [8]


def test_clips_shorter_than_delta_are_told():
    with pytest.raises(UserError, match="at distance 20 or more") as told:
        choose_references(footage(frames([0, 2]), frames([1, 3])), ReferenceRule(delta=20))
    assert "--delta" in told.value.fix


BLURRY = frames(range(5), "blurry/walk")
SHARP = frames(range(40), "sharp/stand")


def random_choice(blurry=BLURRY, sharp=SHARP, **rule):
    samples = choose_references(footage(blurry, sharp), ReferenceRule(choice="random", **rule))
    return {s.blurry: s.references for s in samples}


def test_a_random_choice_is_a_function_of_seed_and_identity():
    first = random_choice()
    assert random_choice() == first
    assert random_choice(seed=1) != first
    # Who else is there does not matter, and every frame draws for itself.
    assert random_choice(BLURRY[3:]) == {b: first[b] for b in BLURRY[3:]}
    assert len(set(first.values())) == len(BLURRY)


@settings(max_examples=60, deadline=None, database=None)
@given(
    seed=st.integers(0),
    blurry=st.sets(st.integers(0, 20), min_size=1),
    sharp=st.sets(st.integers(0, 20), min_size=1),
    delta=st.integers(1, 5),
    refs=st.integers(1, 8),
)
def test_a_random_choice_has_no_duplicates_and_keeps_delta(seed, blurry, sharp, delta, refs):
    rule = {"seed": seed, "delta": delta, "refs": refs}
    others = SHARP[:3]
    for frame, found in random_choice(frames(blurry), frames(sharp) + others, **rule).items():
        possible = [i for i in sharp if abs(i - frame.index) >= delta]
        assert len(set(found)) == len(found) == min(refs, len(possible) + len(others))
        assert all(f.clip != frame.clip or abs(f.index - frame.index) >= delta for f in found)


def test_auto_takes_neighbours_where_there_are_any_and_candidates_elsewhere():
    mixed = footage(frames([0]) + BLURRY[:1], frames([1, 3]) + SHARP)
    near, far = choose_references(mixed, ReferenceRule(refs=2))
    assert [f.index for f in near.references] == [1, 3]
    assert set(far.references) <= set(frames([1, 3]) + SHARP)
    assert len(far.references) == 8
    (chance,) = choose_references(footage(BLURRY[:1], SHARP), ReferenceRule("random", refs=2))
    assert len(chance.references) == 2


def test_a_blurry_clip_draws_from_the_sharp_clip_of_its_name():
    same = frames(range(10), "sharp/walk")
    for references in random_choice(sharp=SHARP + same).values():
        assert set(references) <= set(same)


def test_near_needs_sharp_frames_in_the_clip():
    with pytest.raises(UserError, match="no blurry frame has a sharp frame of its clip"):
        choose_references(footage(BLURRY, SHARP), ReferenceRule(choice="near"))


@pytest.mark.parametrize("rule", [{"delta": 0}, {"refs": 0}, {"choice": "best"}])
def test_a_rule_that_cannot_be_followed_is_told(rule):
    with pytest.raises(UserError):
        ReferenceRule(**rule)


@pytest.mark.parametrize("sharp", [range(1, 100, 2), range(1, 6, 2)])
def test_by_coverage_there_are_candidates_in_the_order_of_nearness(sharp):
    found = footage(frames([50]), frames(sharp))
    (near,) = choose_references(found, ReferenceRule(delta=3, refs=16))
    (many,) = choose_references(found, ReferenceRule("coverage", delta=3, refs=4))
    assert many == near


def test_frames_of_another_size_are_no_references():
    (alone,) = frames([0], "photos")
    footage = Footage((alone,), (*frames(range(9), "film"), *frames(range(3), "other")), {})
    sizes = {"photos": (96, 128), "film": (160, 120), "other": (96, 128)}
    (sample,) = choose_references(
        footage, ReferenceRule(choice="random", refs=6), size_of=lambda f: sizes[f.clip]
    )
    assert {frame.clip for frame in sample.references} == {"other"}
    for choice in ("random", "auto"):
        with pytest.raises(UserError, match=r"photos/0\S* is 128x96, film/0\S* is 120x160"):
            choose_references(
                replace(footage, sharp=frames(range(9), "film")),
                ReferenceRule(choice=choice),
                size_of=lambda f: sizes[f.clip],
            )


def test_a_sharp_clip_of_that_name_and_another_size_hides_no_others():
    blurry, sizes = frames([0], "blurry/a"), {"blurry/a": 720, "sharp/a": 1080, "sharp/b": 720}
    sharp = (*frames(range(3), "sharp/a"), *frames(range(3), "sharp/b"))
    (sample,) = choose_references(
        Footage(blurry, sharp, {}), ReferenceRule(), size_of=lambda f: (sizes[f.clip], 100)
    )
    assert {frame.clip for frame in sample.references} == {"sharp/b"}


def test_a_random_choice_without_a_frame_is_not_told_to_choose_at_random():
    alone = Footage(frames([5]), frames([6]), {})
    with pytest.raises(UserError, match="at distance 3") as caught:
        choose_references(alone, ReferenceRule("random", delta=3))
    assert "--choice random" not in caught.value.fix
    with pytest.raises(UserError) as caught:
        choose_references(alone, ReferenceRule(delta=3))
    assert "--choice random" in caught.value.fix
