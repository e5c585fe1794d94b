"""Targets that must explain the blurry frame."""

from dataclasses import replace

import pytest
import torch

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.pseudo.gate import BLURRED, LOST, Gate, gated, kept_where_sharp
from bluref.pseudo.target import PseudoSharp

SIZE = (64, 96)


def texture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, SIZE[0] // 4, SIZE[1] // 4, generator=generator)
    return torch.nn.functional.interpolate(noise, SIZE, mode="bicubic").clamp(0.05, 1)


def rightwards(speed):
    after = torch.zeros(1, 2, *SIZE)
    after[:, 0] = speed
    return Motion(-after, after)


def target_of(image, weight=1.0):
    spoken = torch.ones(1, 1, *SIZE)
    return PseudoSharp(image, weight * spoken, 2 * spoken)


MOTION = rightwards(8.0)
SURE = torch.ones(1, 1, *SIZE)
INNER = (..., slice(None), slice(12, -12))


@pytest.fixture
def blurry():
    return expose_along(texture(), MOTION, Shutter(1.0))


def test_the_truth_keeps_its_trust(blurry):
    judged = gated(target_of(texture(), 0.6), blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight.min() > 0.57  # as made of other moments
    assert torch.equal(judged.image, texture())
    assert torch.equal(judged.support, target_of(texture()).support)


@pytest.mark.parametrize("shift", [-4, 4])
def test_a_target_in_the_wrong_place_loses_it(blurry, shift):
    judged = gated(target_of(texture().roll(shift, dims=-1)), blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[INNER].mean() < 0.7


def test_only_where_it_is_wrong(blurry):
    image = texture()
    image[..., 24:40, 40:56] = texture(seed=3)[..., 24:40, 40:56]
    judged = gated(target_of(image), blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[..., 28:36, 44:52].mean() < 0.3
    assert judged.weight[..., :16, :].min() > 0.9


def test_the_blurry_frame_itself_is_no_good_target(blurry):
    judged = gated(target_of(blurry), blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[INNER].mean() < 0.8


def test_half_the_trust_is_left_at_the_difference_that_is_named():
    flat = torch.full((1, 3, *SIZE), 0.5)
    judged = gated(target_of(flat + 0.06), flat, rightwards(0.0), SURE, 1.0, half=0.06)
    torch.testing.assert_close(judged.weight, torch.full((1, 1, *SIZE), 0.5), atol=1e-3, rtol=0)


def test_nothing_is_said_where_things_move_in(blurry):
    wrong = target_of(1 - texture())
    judged = gated(wrong, blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[..., :4].min() == 1
    assert judged.weight[..., -4:].min() == 1


def test_nothing_is_said_where_the_motion_is_not_known(blurry):
    """A frame without neighbours has no motion, and none of it is sure."""
    judged = gated(target_of(texture()), blurry, rightwards(0.0), 0 * SURE, 1.0, half=0.04)
    assert judged.weight.min() == 1


def test_a_target_is_judged_alike_whatever_is_beside_it(blurry):
    fast = Motion(*(torch.cat((a, 5 * a)) for a in (MOTION.before, MOTION.after)))
    wrong = target_of(texture().roll(3, dims=-1))
    two = PseudoSharp(*(torch.cat((v, v)) for v in (wrong.image, wrong.weight, wrong.support)))
    alone = gated(wrong, blurry, MOTION, SURE, 1.0, half=0.04)
    both = gated(two, blurry.repeat(2, 1, 1, 1), fast, SURE.repeat(2, 1, 1, 1), 1.0, half=0.04)
    torch.testing.assert_close(both.weight[:1], alone.weight)


def test_silent_pixels_stay_silent_and_are_taken_from_the_blurry_frame(blurry):
    mask = torch.ones(1, 1, *SIZE)
    mask[..., 40:56] = 0
    silent = PseudoSharp(texture() * mask, mask, mask)
    judged = gated(silent, blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[..., 40:56].max() == 0
    assert judged.weight[..., 14:30].min() > 0.9
    black = replace(silent, image=silent.image, support=torch.ones_like(mask))
    beside = (..., slice(36, 40))
    spoilt = gated(black, blurry, MOTION, SURE, 1.0, half=0.04)
    assert judged.weight[beside].mean() > spoilt.weight[beside].mean() + 0.1


def test_a_gate_without_tolerance_is_refused(blurry):
    with pytest.raises(ValueError, match="half must be above 0"):
        gated(target_of(texture()), blurry, MOTION, SURE, 1.0, half=0.0)


@pytest.mark.parametrize(
    ("blur", "sure", "share"),
    [
        (0.0, 1.0, 0.0),
        (BLURRED[0], 1.0, 0.0),
        (2.5, 1.0, 0.5),
        (BLURRED[1], 1.0, 1.0),
        (20.0, 1.0, 1.0),
        (0.0, LOST / 2, 1.0),
    ],
)
def test_the_less_a_frame_is_blurred_the_more_it_is_its_own_target(blurry, blur, sure, share):
    mask = torch.ones(1, 1, *SIZE)
    mask[..., 40:56] = 0
    target = PseudoSharp(texture() * mask, 0.7 * mask, mask)
    kept = kept_where_sharp(target, blurry, blur * SURE, sure * SURE)
    expected = (blurry + share * (texture() - blurry)) * mask
    torch.testing.assert_close(kept.image, expected)
    assert torch.equal(kept.weight, target.weight)
    assert torch.equal(kept.support, target.support)


@pytest.mark.parametrize("keep", [True, False])
def test_a_frame_that_stood_still_is_its_own_target_if_asked_for(keep):
    frame, resampled = texture(), texture() + 0.01
    gate = Gate(0.04, keep_sharp=keep)
    judged = gate(target_of(resampled), frame, rightwards(0.0), SURE, 1.0)
    torch.testing.assert_close(judged.image, frame if keep else resampled)
