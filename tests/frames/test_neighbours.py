from pathlib import Path

from bluref.frames import neighbours
from bluref.frames.clip import Frame
from bluref.frames.neighbours import with_neighbours


def frames(indices, clip="a"):
    return [Frame(clip, i, Path(f"{clip}/{i}.png")) for i in indices]


def near(wanted, indices, clip="a"):
    found = with_neighbours(frames(wanted, clip), frames(indices, clip))
    return {s.blurry.index: [r.index for r in s.references] for s in found}


def test_a_frame_is_matched_with_the_one_before_and_the_one_after():
    assert near([3, 4], range(8)) == {3: [2, 4], 4: [3, 5]}


def test_the_ends_of_a_clip_have_one_neighbour():
    assert near([0, 7], range(8)) == {0: [1], 7: [6]}


def test_a_clip_that_keeps_every_fifth_frame_has_neighbours_at_five():
    assert near([10, 20], range(0, 30, 5)) == {10: [5, 15], 20: [15, 25]}


def test_across_a_gap_motion_is_not_steady():
    assert near([3, 7], [0, 1, 2, 3, 7, 8]) == {3: [2], 7: [8]}
    assert near([3], [2, 3, 6]) == {3: [2, 6]}


def test_frames_of_other_clips_and_single_frames_are_no_neighbours():
    alone = frames([3], "b")
    assert with_neighbours(alone, [*alone, *frames(range(8), "a")]) == []
    assert near([0], [0]) == {}


def test_of_a_film_every_frame_may_be_a_neighbour_and_none_beyond_its_ends(monkeypatch):
    monkeypatch.setattr(neighbours, "_frames_in", lambda path: 5)
    kept = [Frame("film", n, Path("film.mp4"), n) for n in (0, 2, 4)]
    found = with_neighbours(kept, kept)
    assert {s.blurry.index: [(r.index, r.position) for r in s.references] for s in found} == {
        0: [(1, 1)],
        2: [(1, 1), (3, 3)],
        4: [(3, 3)],
    }
