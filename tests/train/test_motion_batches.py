"""Batches of sharp frames blurred by the footage's own motion."""

from dataclasses import replace

import pytest
import torch

from bluref.degrade.camera import only_motion
from bluref.errors import UserError
from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.split import split_clips
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.pseudo.bank import Bank
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named
from bluref.train.batches import Drawing
from bluref.train.motion_batches import MotionBatches

CLEAN = replace(only_motion(0.0), moving=0.0)


@pytest.fixture
def batches(footage, tmp_path):
    store = FrameStore(tmp_path / "store")
    found = split_clips(find_clips(footage, part="train"), "alternating", lambda frame: 0.0)
    frames = [*found.sharp, *found.blurry]
    bank = Bank(
        tmp_path / "motion",
        matcher=DISMatcher(),
        strategy=strategy_named("average"),
        threshold=0.0,
        store=store,
    )
    motion = FootageMotion(with_neighbours(frames, frames), bank)
    motion.find()
    moving = [motion.sample(frame) for frame in found.blurry]
    return MotionBatches(
        frames=found.sharp,
        moving=moving,
        motion=motion,
        exposure=1.5,
        store=store,
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


def test_borrowed_motion_is_that_of_a_blurry_frame(batches):
    still = replace(batches, frames=batches.frames[:1], moving=[], exposure=0.0)
    assert (still(0).blurry - still(0).target).abs().mean() < 1e-3
    borrowing = replace(batches, borrowed=1.0)
    own = replace(batches, borrowed=0.0)
    assert torch.equal(borrowing(2).target, own(2).target)
    assert not torch.equal(borrowing(2).blurry, own(2).blurry)


def test_a_frame_without_neighbours_borrows_or_stands_still(batches):
    strangers = replace(batches.motion, samples=batches.moving)  # sharp frames are not among them
    borrowing = replace(batches, motion=strangers)
    assert (borrowing(0).blurry - borrowing(0).target).abs().mean() > 0.02
    nobody = replace(batches, motion=replace(batches.motion, samples=[]), moving=[])
    assert (nobody(0).blurry - nobody(0).target).abs().mean() < 1e-3


def test_what_the_camera_adds_comes_after_the_blur(batches):
    noisy = replace(batches, camera=MotionBatches.__dataclass_fields__["camera"].default_factory())
    assert torch.equal(noisy(1).target, batches(1).target)
    added = noisy(1).blurry - batches(1).blurry
    assert 1e-3 < added.abs().mean() < 0.1


def test_a_crop_beyond_the_frame_is_refused(batches):
    with pytest.raises(UserError, match="smaller than the crop of 500"):
        replace(batches, drawing=Drawing(seed=0, batch=1, crop=500))(0)
