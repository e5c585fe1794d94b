"""Batches of sharp frames blurred by the footage's own motion."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.camera import only_motion
from bluref.degrade.motion import Motion, expose_along
from bluref.errors import UserError
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.split import split_clips
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.targets import whole_frame
from bluref.train.batches import Drawing
from bluref.train.motion_batches import MotionBatches

pytestmark = pytest.mark.slow

CLEAN = replace(only_motion(0.0), moving=0.0)


@pytest.fixture
def batches(footage, bank):
    found = split_clips(find_clips(footage, part="train"), "alternating", lambda frame: 0.0)
    frames = [*found.sharp, *found.blurry]
    motion = FootageMotion(with_neighbours(frames, frames), bank)
    motion.find()
    lenders = [motion.sample(frame) for frame in found.blurry]
    return MotionBatches(
        frames=found.sharp,
        lenders=lenders,
        motion=motion,
        exposure=1.5,
        store=bank.store,
        drawing=Drawing(seed=3, batch=4, crop=48),
        camera=CLEAN,
    )


def test_a_batch_is_a_function_of_its_step(batches):
    first, again, other = batches(5), batches(5), batches(6)
    assert torch.equal(first.blurry, again.blurry)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.blurry, other.blurry)
    assert first.blurry.shape == first.target.shape == (4, 3, 48, 48)
    assert first.weight.min() == 1


def test_targets_are_sharp_frames_and_inputs_are_blurred_along_the_way_they_travel(batches):
    def slope(picture, axis):
        return picture.diff(dim=axis).square().mean()

    pairs = [batches(step) for step in range(4)]
    blurry, sharp = (torch.cat([getattr(p, n) for p in pairs]) for n in ("blurry", "target"))
    # The camera travels sideways: columns lose contrast, rows hardly do.
    assert slope(blurry, -1) < 0.7 * slope(sharp, -1)
    assert slope(blurry, -2) > slope(blurry, -1)
    drawn = [batches.store.image(frame) for frame in batches.frames]
    crop = batches(5).target[:1]
    assert any(_contains(image, crop) for image in drawn)


def _contains(image, crop, side=48):
    flipped = [crop, crop.flip(-1), crop.flip(-2), crop.flip((-1, -2))]
    windows = image[0].unfold(1, side, 1).unfold(2, side, 1)  # 3 rows columns side side
    return any((windows - f[0][:, None, None]).abs().amax((0, 3, 4)).min() < 1e-3 for f in flipped)


def test_borrowed_motion_is_that_of_the_lender(batches):
    """Everything travels sideways; what borrows from a lender that climbs is blurred upwards."""

    class Climbing(FootageMotion):
        def around(self, sample, crop):
            motion, sure = super().around(sample, crop)
            if sample in batches.lenders:
                motion = Motion(motion.before.flip(1), motion.after.flip(1))
            return motion, sure

    def contrast(made, axis):
        return torch.cat([made(step).blurry for step in range(4)]).diff(dim=axis).square().mean()

    climbing = replace(batches, motion=Climbing(batches.motion.samples, batches.motion.bank))
    borrowing = replace(climbing, borrowed=1.0)
    assert torch.equal(borrowing(2).target, climbing(2).target)
    assert contrast(climbing, -1) < 0.8 * contrast(climbing, -2)
    assert contrast(borrowing, -2) < 0.8 * contrast(borrowing, -1)


class Lost(FootageMotion):
    def around(self, sample, crop):
        motion, sure = super().around(sample, crop)
        return motion, 0.1 * sure


def test_motion_that_nobody_is_sure_of_is_none(batches):
    lost = replace(batches, motion=Lost(batches.motion.samples, batches.motion.bank))
    assert (lost(0).blurry - lost(0).target).abs().mean() < 1e-3


def test_a_frame_without_neighbours_borrows_or_stands_still(batches):
    strangers = replace(batches.motion, samples=batches.lenders)  # sharp frames are not among them
    borrowing = replace(batches, motion=strangers)
    assert (borrowing(0).blurry - borrowing(0).target).abs().mean() > 0.02
    nobody = replace(batches, motion=replace(batches.motion, samples=[]), lenders=[])
    assert (nobody(0).blurry - nobody(0).target).abs().mean() < 1e-3


def test_every_picture_has_a_shutter_of_its_own(batches, monkeypatch):
    used = []

    def watched(sharp, motion, shutter, **how):
        used.append(shutter)
        return expose_along(sharp, motion, shutter, **how)

    monkeypatch.setattr("bluref.train.motion_batches.expose_along", watched)
    for step in range(4):
        batches(step)
    bounds = {"softness": (0, 0.4), "gamma": (1.8, 2.6), "exposure": (0.75 * 1.5, 1.25 * 1.5)}
    for name, (low, high) in bounds.items():
        drawn = [getattr(shutter, name) for shutter in used]
        assert len(set(drawn)) == 16
        assert low <= min(drawn)
        assert max(drawn) <= high
        assert max(drawn) - min(drawn) > 0.5 * (high - low)


def test_what_the_camera_adds_comes_after_the_blur(batches):
    noisy = replace(batches, camera=MotionBatches.__dataclass_fields__["camera"].default_factory())
    assert torch.equal(noisy(1).target, batches(1).target)
    added = noisy(1).blurry - batches(1).blurry
    assert 1e-3 < added.abs().mean() < 0.1


class Still(FootageMotion):
    """The left half of every other sharp picture stands still; all else moves as it does."""

    def around(self, sample, crop):
        motion, sure = super().around(sample, crop)
        moves = self.moves(sample, crop)
        return Motion(moves * motion.before, moves * motion.after), sure

    def moves(self, sample, crop):
        height, width = self.size(sample)
        moves = torch.ones(1, 1, height, width)
        if sample.blurry.index % 4 == 1:
            moves[..., : width // 2] = 0
        below, right = crop.top + crop.height, crop.left + crop.width
        return crop.flip(moves[..., crop.top : below, crop.left : right])


def test_what_was_picked_is_the_truth_only_where_it_stood_still(batches, monkeypatch):
    still = Still(batches.motion.samples, batches.motion.bank)
    for frame in batches.frames:
        around, _ = still.around(still.sample(frame), whole_frame(batches.store.size(frame)))
        stood = (around.blur(batches.exposure) <= 2).float().mean()
        assert 0.4 < stood < 0.6 if frame.index % 4 == 1 else stood < 0.1
    batches = replace(batches, motion=still, picked=frozenset(batches.frames))

    def weights():
        return torch.cat([batches(step).weight for step in range(8)])

    looked = weights()
    assert set(looked.unique().tolist()) == {0.0, 1.0}
    monkeypatch.setattr("bluref.train.motion_batches.LOOKS", (1,))
    assert weights().mean() < 0.35 < looked.mean()  # they are looked for
    assert replace(batches, still=1000)(0).weight.min() == 1


def test_where_all_of_it_moved_pictures_are_looked_at_from_farther_away(batches, monkeypatch):
    """What moves by three pixels moves by half of that in a picture of half the size."""
    frames, drawing = frozenset(batches.frames), Drawing(seed=3, batch=4, crop=20)
    fast = replace(batches, picked=frames, exposure=1.1, drawing=drawing)
    around, _ = fast.motion.around(*_whole(batches, batches.frames[0]))
    assert 2 < around.blur(fast.exposure).median() < 4
    near = torch.cat([fast(step).weight for step in range(4)])
    monkeypatch.setattr("bluref.train.motion_batches.LOOKS", (2,))
    far = torch.cat([fast(step).weight for step in range(4)])
    assert far.mean() > 0.9
    assert near.mean() > 0.9  # and so they are looked for
    monkeypatch.setattr("bluref.train.motion_batches.LOOKS", (1,))
    assert torch.cat([fast(step).weight for step in range(4)]).mean() < 0.3
    # The truth is then the frame itself, made smaller.
    monkeypatch.setattr("bluref.train.motion_batches.LOOKS", (2,))
    drawn = fast(0).target[:1]
    small = [F.avg_pool2d(fast.store.image(frame), 2) for frame in batches.frames]
    assert any(_contains(image, drawn, 20) for image in small)


def _whole(batches, frame):
    return batches.motion.sample(frame), whole_frame(batches.store.size(frame))


def test_where_nobody_knows_how_it_moved_nothing_is_true(batches):
    picked = replace(batches, picked=frozenset(batches.frames), still=1000)
    lost = replace(picked, motion=Lost(picked.motion.samples, picked.motion.bank))
    assert picked(0).weight.min() == 1
    assert lost(0).weight.max() == 0


def test_what_stood_still_is_moved_as_others_did(batches):
    """Its own motion would blur it by nothing."""
    still = Still(batches.motion.samples, batches.motion.bank)
    picked = replace(batches, motion=still, picked=frozenset(batches.frames))

    def blurred(made):
        """Mean change where the frame is the truth."""
        pairs = [made(step) for step in range(6)]
        changed = torch.cat([(p.blurry - p.target).abs().mean(1, keepdim=True) for p in pairs])
        where = torch.cat([p.weight for p in pairs])
        return float((changed * where).sum() / where.sum())

    assert blurred(replace(picked, lenders=[])) < 1e-3
    assert blurred(picked) > 0.02


def test_what_was_not_picked_is_drawn_as_ever(batches):
    other = replace(batches, picked=frozenset(batches.frames[:1]))
    assert any(not torch.equal(other(step).target, batches(step).target) for step in range(4))
    nothing = replace(batches, picked=frozenset({batches.lenders[0].blurry}), still=0)
    assert torch.equal(nothing(0).blurry, batches(0).blurry)


def test_a_crop_beyond_the_frame_is_refused(batches):
    with pytest.raises(UserError, match="smaller than the crop of 500"):
        replace(batches, drawing=Drawing(seed=0, batch=1, crop=500))(0)
