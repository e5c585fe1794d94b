from pathlib import Path

import pytest

from bluref.errors import UserError
from bluref.frames.clip import Clip, Frame
from bluref.frames.displaced import ENOUGH, displaced_samples


def paired_clip(name, indices):
    blurry = {i: Frame(name, i, Path(f"{name}/blur/{i}.png")) for i in indices}
    sharp = {i: Frame(name, i, Path(f"{name}/sharp/{i}.png")) for i in indices}
    return Clip(name, blurry, sharp, sharp)


def told(samples):
    return {s.blurry.index: [r.index for r in s.references] for s in samples}


def test_references_lie_exactly_delta_away_on_either_side_where_they_exist():
    clip = paired_clip("a", [0, 1, 2, 3, 4, 6])  # 5 is lost
    assert told(displaced_samples([clip], 2, every=1)) == {
        0: [2], 1: [3], 2: [0, 4], 3: [1], 4: [2, 6], 6: [4],
    }  # fmt: skip
    assert told(displaced_samples([clip], 5, every=1)) == {1: [6], 6: [1]}


def test_references_are_sharp_and_the_truth_is_the_frame_itself():
    (sample,) = displaced_samples([paired_clip("a", [0, 1])], 1, every=2)
    assert sample.blurry.path == Path("a/blur/0.png")
    assert sample.truth.path == Path("a/sharp/0.png")
    assert [r.path for r in sample.references] == [Path("a/sharp/1.png")]


def test_the_frames_looked_at_are_about_enough_and_the_same_for_every_delta():
    clips = [paired_clip("a", range(100)), paired_clip("b", range(10, 57))]
    near, far = (displaced_samples(clips, delta) for delta in (1, 10))
    assert ENOUGH - 2 <= len(near) <= ENOUGH + 2
    assert [s.blurry for s in near] == [s.blurry for s in far]
    assert len({s.blurry.clip for s in near}) == 2


def test_what_cannot_be_sampled_is_the_users_to_fix():
    clip = paired_clip("a", range(5))
    unpaired = Clip("a", clip.blurry, clip.sharp, {})
    with pytest.raises(UserError, match="holds no pairs"):
        displaced_samples([unpaired], 1)
    with pytest.raises(UserError, match="at distance 5"):
        displaced_samples([clip], 5)
    for delta, every in ((0, 1), (1, 0)):
        with pytest.raises(UserError, match="at least 1"):
            displaced_samples([clip], delta, every=every)
