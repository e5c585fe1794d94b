"""Motion of footage from matches between neighbours."""

import shutil
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch

from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.neighbours import with_neighbours
from bluref.frames.store import FrameStore
from bluref.match.protocol import Match
from bluref.media.picture import write_picture
from bluref.pseudo.bank import Bank
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.refine import Refine
from bluref.pseudo.strategy import strategy_named

SIZE = (32, 40)
BOX = Crop(0, 0, *SIZE)


@dataclass
class ByBrightness:
    """Pictures are flat, and as bright as their number: things move (2, 1) pixels per number."""

    identity: str = "by brightness"
    apart: int = 0  # further apart than pictures say

    def encode(self, image):
        return image

    def match(self, target, reference):
        apart = float((reference - target).mean() * 255).__round__() + self.apart
        flow = torch.tensor([2.0, 1.0]).view(1, 2, 1, 1) * apart * torch.ones(1, 2, *SIZE)
        confidence = torch.full((1, 1, *SIZE), 0.8 if apart > 0 else 0.4)
        return Match(flow, confidence, torch.ones(1, 1, *SIZE, dtype=torch.bool))


@pytest.fixture
def motion_of(tmp_path):
    def make(indices):
        frames = [Frame("clip", i, tmp_path / "frames" / f"{i:06d}.png") for i in indices]
        for frame in frames:
            write_picture(torch.full((1, 3, *SIZE), frame.index / 255), frame.path)
        bank = Bank(
            tmp_path / "motion",
            matcher=ByBrightness(),
            strategy=strategy_named("average"),
            threshold=0.0,
            store=FrameStore(tmp_path / "store"),
        )
        motion = FootageMotion(with_neighbours(frames, frames), bank)
        motion.find()
        return {frame.index: motion.sample(frame) for frame in frames}, motion

    return make


def velocity(field):
    assert (field - field[..., :1, :1]).abs().max() == 0
    return field[0, :, 0, 0].tolist()


@pytest.mark.parametrize("indices", [(0, 1, 2), (0, 2, 4), (0, 1, 4)])
def test_motion_is_told_per_frame_interval_however_far_the_neighbours_are(motion_of, indices):
    samples, motion = motion_of(indices)
    around, sure = motion.around(samples[indices[1]], BOX)
    step = min(b - a for a, b in pairwise(indices))  # of a clip that keeps every so many frames
    assert velocity(around.before) == [-2.0 * step, -1.0 * step]
    assert velocity(around.after) == [2.0 * step, 1.0 * step]
    inner = sure[..., 8:-8, 12:-12]  # nearer the edges a path leaves the frame
    torch.testing.assert_close(inner, torch.full_like(inner, 0.4), atol=0.005, rtol=0)


@pytest.mark.parametrize("end", [0, 2])
def test_at_the_end_of_a_clip_things_move_on_as_they_did(motion_of, end):
    samples, motion = motion_of((0, 1, 2))
    around, _ = motion.around(samples[end], BOX)
    assert velocity(around.before) == [-2.0, -1.0]
    assert velocity(around.after) == [2.0, 1.0]


@pytest.mark.parametrize(("mirror", "upend"), [(True, False), (False, True), (True, True)])
def test_a_flipped_box_moves_as_the_flipped_picture_does(motion_of, mirror, upend):
    samples, motion = motion_of((0, 1, 2))
    crop = Crop(4, 8, 16, 20, mirror, upend)
    picture = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    plain = motion.around(samples[1], Crop(4, 8, 16, 20))[0]
    flipped = motion.around(samples[1], crop)[0]
    cut = picture[..., 4:20, 8:28]
    for side in ("before", "after"):
        expected = crop.flip(warp(cut, getattr(plain, side)))
        torch.testing.assert_close(warp(crop.flip(cut), getattr(flipped, side)), expected)


@dataclass
class Growing:
    """Things move the faster the further right and down they are; so does the confidence."""

    identity: str = "growing"

    def encode(self, image):
        return image

    def match(self, target, reference):
        sign = 1.0 if reference.mean() > target.mean() else -1.0
        y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in SIZE), indexing="ij")
        flow = sign * torch.stack((4 * x, 3 * y))[None]
        return Match(flow, (x * y)[None, None], torch.ones(1, 1, *SIZE, dtype=torch.bool))


@pytest.mark.parametrize(("mirror", "upend"), [(True, False), (False, True), (True, True)])
def test_what_moves_unevenly_is_flipped_in_place(motion_of, mirror, upend):
    samples, motion = motion_of((0, 1, 2))
    motion.bank.matcher = Growing()
    motion.find()
    plain, sure = motion.around(samples[1], Crop(4, 8, 16, 20))
    crop = Crop(4, 8, 16, 20, mirror, upend)
    flipped, sure_flipped = motion.around(samples[1], crop)
    assert torch.equal(sure_flipped, crop.flip(sure))
    signs = torch.tensor([-1.0 if mirror else 1.0, -1.0 if upend else 1.0]).view(1, 2, 1, 1)
    assert torch.equal(flipped.after, crop.flip(plain.after) * signs)
    assert not torch.equal(flipped.after, plain.after * signs)


def test_a_frame_without_neighbours_has_no_motion(motion_of):
    samples, _ = motion_of((0, 1, 9))
    assert samples[9] is None
    assert samples[0] is not None


def test_refined_matches_are_known_by_how_their_frame_moves_and_for_how_long(motion_of):
    samples, motion = motion_of([1, 2, 3, 4])
    frame = samples[2].blurry
    before = Refine(motion, 1.2).identity(frame)
    assert Refine(motion, 1.2).identity(frame) == before
    assert Refine(motion, 1.3).identity(frame) != before
    motion.bank.matcher = ByBrightness("another", apart=1)
    motion.find()
    assert Refine(motion, 1.2).identity(frame) != before
    shutil.rmtree(motion.bank.round_folder(0))
    assert Refine(motion, 1.2).identity(frame) == "no motion"
