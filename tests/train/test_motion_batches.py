"""Batches of sharp frames blurred by the footage's own motion."""

from dataclasses import replace

import pytest
import torch

from bluref.degrade.camera import only_motion
from bluref.degrade.motion import Motion
from bluref.errors import UserError
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.split import split_clips
from bluref.pseudo.motion import FootageMotion
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


def _contains(image, crop):
    flipped = [crop, crop.flip(-1), crop.flip(-2), crop.flip((-1, -2))]
    windows = image[0].unfold(1, 48, 1).unfold(2, 48, 1)  # 3 rows columns 48 48
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


def test_motion_that_nobody_is_sure_of_is_none(batches):
    class Lost(FootageMotion):
        def around(self, sample, crop):
            motion, sure = super().around(sample, crop)
            return motion, 0.1 * sure

    lost = replace(batches, motion=Lost(batches.motion.samples, batches.motion.bank))
    assert (lost(0).blurry - lost(0).target).abs().mean() < 1e-3


def test_a_frame_without_neighbours_borrows_or_stands_still(batches):
    strangers = replace(batches.motion, samples=batches.lenders)  # sharp frames are not among them
    borrowing = replace(batches, motion=strangers)
    assert (borrowing(0).blurry - borrowing(0).target).abs().mean() > 0.02
    nobody = replace(batches, motion=replace(batches.motion, samples=[]), lenders=[])
    assert (nobody(0).blurry - nobody(0).target).abs().mean() < 1e-3


def test_what_the_camera_adds_comes_after_the_blur(batches):
    noisy = replace(batches, camera=MotionBatches.__dataclass_fields__["camera"].default_factory())
    assert torch.equal(noisy(1).target, batches(1).target)
    added = noisy(1).blurry - batches(1).blurry
    assert 1e-3 < added.abs().mean() < 0.1


def test_a_crop_beyond_the_frame_is_refused(batches):
    with pytest.raises(UserError, match="smaller than the crop of 500"):
        replace(batches, drawing=Drawing(seed=0, batch=1, crop=500))(0)
