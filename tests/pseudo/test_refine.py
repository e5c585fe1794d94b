"""Matches moved to where they explain the blurry frame best."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.degrade.warp import warp
from bluref.match.protocol import Match
from bluref.pseudo import refine as module
from bluref.pseudo.refine import refined

SIZE = (160, 224)
INNER = (..., slice(24, -24), slice(32, -32))
EXPOSURE = 1.2


def texture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, SIZE[0] // 8, SIZE[1] // 8, generator=generator)
    fine = torch.rand(1, 3, SIZE[0] // 2, SIZE[1] // 2, generator=generator)
    parts = [F.interpolate(part, SIZE, mode="bicubic") for part in (coarse, fine)]
    return (0.7 * parts[0] + 0.3 * parts[1]).clamp(0.05, 0.95)


def constant(x, y):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous()


def match(flow, confidence=1.0):
    sure = torch.full((1, 1, *SIZE), confidence)
    return Match(flow, sure, sure > 0)


@pytest.fixture(scope="module")
def scene():
    """A frame that moves by 10 px to the right in an interval, and the same things elsewhere."""
    sharp, motion = texture(), Motion(constant(-10.0, 0.0), constant(10.0, 0.0))
    blurry = expose_along(sharp, motion, Shutter(EXPOSURE))
    true = constant(6.0, -3.0)
    reference = warp(sharp, -true)
    return blurry, reference, motion, true


def errors(found, true):
    return torch.linalg.vector_norm((found.flow - true)[INNER], dim=1).mean().item()


@pytest.mark.parametrize("off", [(1.5, 0.0), (0.0, -1.0), (-2.0, 1.0)])
def test_a_flow_that_is_off_is_mended_through_blur(scene, off):
    blurry, reference, motion, true = scene
    sure = torch.ones(1, 1, *SIZE)
    wrong = match(true + constant(*off))
    (found,) = refined([wrong], blurry, [reference], motion, sure, EXPOSURE)
    assert errors(found, true) < 0.4 * errors(wrong, true)


def test_a_flow_that_is_right_stays(scene):
    blurry, reference, motion, true = scene
    sure = torch.ones(1, 1, *SIZE)
    (found,) = refined([match(true)], blurry, [reference], motion, sure, EXPOSURE)
    assert errors(found, true) < 0.1
    assert torch.equal(found.confidence > 0, found.inside)


def test_another_exposure_is_undone_before_it_is_looked_at(scene, monkeypatch):
    blurry, reference, motion, true = scene
    seen = []
    polish = module.polished_flow

    def watched(target, picture, flow, **how):
        seen.append((float(target.mean()), float(picture.mean())))
        return polish(target, picture, flow, **how)

    monkeypatch.setattr(module, "polished_flow", watched)
    sure = torch.ones(1, 1, *SIZE)
    refined([match(true)], blurry, [0.7 * reference], motion, sure, EXPOSURE)
    ((ours, theirs),) = seen
    assert theirs == pytest.approx(ours, rel=0.03)


@pytest.mark.parametrize(("confidence", "sure"), [(0.05, 1.0), (1.0, 0.05)])
def test_what_is_lost_or_moves_nobody_knows_how_stays(scene, confidence, sure):
    blurry, reference, motion, true = scene
    wrong = match(true + 1.0, confidence)
    known = torch.full((1, 1, *SIZE), sure)
    (found,) = refined([wrong], blurry, [reference], motion, known, EXPOSURE)
    assert torch.equal(found.flow, wrong.flow)


def test_another_exposure_is_no_shift(scene):
    blurry, reference, motion, true = scene
    sure = torch.ones(1, 1, *SIZE)
    wrong = match(true + constant(1.5, 0.0))
    (found,) = refined([wrong], blurry, [0.8 * reference], motion, sure, EXPOSURE)
    assert errors(found, true) < 0.6 * errors(wrong, true)


def test_each_reference_is_refined_as_if_it_were_alone(scene):
    blurry, reference, motion, true = scene
    sure = torch.ones(1, 1, *SIZE)
    wrong = [match(true + 1.0), match(true - constant(1.0, 0.0), 0.8)]
    other = warp(texture(), -true) * 0.9
    both = refined(wrong, blurry, [reference, other], motion, sure, EXPOSURE)
    for one, image, found in zip(wrong, (reference, other), both, strict=True):
        (alone,) = refined([one], blurry, [image], motion, sure, EXPOSURE)
        torch.testing.assert_close(found.flow, alone.flow, atol=1e-4, rtol=0)


def test_what_leaves_the_frame_is_told(scene):
    blurry, reference, motion, _ = scene
    sure = torch.ones(1, 1, *SIZE)
    far = replace(match(constant(SIZE[1] + 5.0, 0.0)), inside=torch.ones(1, 1, *SIZE) > 0)
    (found,) = refined([far], blurry, [reference], motion, sure, EXPOSURE)
    assert not found.inside.any()
    assert found.confidence.max() == 0


def test_tiny_frames_are_left_alone():
    small = torch.rand(1, 3, 40, 50)
    still = torch.zeros(1, 2, 40, 50)
    sure = torch.ones(1, 1, 40, 50)
    found = Match(still, sure, sure > 0)
    assert refined([found], small, [small], Motion(still, still), sure, 1.0) == [found]
