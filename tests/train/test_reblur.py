"""Re-blur consistency."""

import pytest
import torch

from bluref.degrade.motion import Motion, Shutter, expose_along, stays_inside
from bluref.train.reblur import MOMENTS, Reblur, joined

ALL = torch.ones(1, 1, 64, 96)


def texture(seed, h=64, w=96):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, h // 4, w // 4, generator=generator)
    return torch.nn.functional.interpolate(noise, (h, w), mode="bicubic").clamp(0.05, 1)


def rightwards(speed, h=64, w=96):
    after = torch.zeros(1, 2, h, w)
    after[:, 0] = speed
    return Motion(-after, after)


def blurred(speed, seed=0, sure=1.0):
    """A sharp picture, its blurry version, and how that came to be."""
    sharp, motion = texture(seed), rightwards(speed)
    blurry = expose_along(sharp, motion, Shutter(1.0), moments=MOMENTS)
    return sharp, blurry, Reblur(motion, torch.full((1, 1, 64, 96), sure), 1.0)


def test_the_truth_costs_nothing_and_the_input_does():
    sharp, blurry, reblur = blurred(8.0)
    assert reblur.loss(sharp, blurry, ALL) < 1e-5
    assert reblur.loss(blurry, blurry, ALL) > 0.01


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_truth_that_is_shifted_along_its_motion_costs_something(shift):
    sharp, blurry, reblur = blurred(8.0)
    assert reblur.loss(sharp.roll(shift, dims=-1), blurry, ALL) > 0.01


@pytest.mark.slow
def test_descending_it_sharpens_with_no_target_at_all():
    sharp, blurry, reblur = blurred(6.0)
    guess = blurry.clone().requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        reblur.loss(guess, blurry, ALL).backward()
        optimizer.step()
    inner = (..., slice(None), slice(12, -12))
    before = (blurry - sharp)[inner].square().mean()
    assert (guess.detach() - sharp)[inner].square().mean() < 0.3 * before


def test_what_moves_in_or_is_not_sure_does_not_count():
    sharp, blurry, reblur = blurred(8.0)
    spoilt = blurry.clone()
    spoilt[..., :4] = 1 - spoilt[..., :4]  # less than half an exposure from the edge
    spoilt[..., -4:] = 1 - spoilt[..., -4:]
    assert reblur.loss(sharp, spoilt, ALL) < 1e-5
    spoilt[..., 40:44] = 0.0
    assert reblur.loss(sharp, spoilt, ALL) > 0.01
    elsewhere = ALL.clone()
    elsewhere[..., 40:44] = 0.0
    assert reblur.loss(sharp, spoilt, elsewhere) < 1e-5
    unsure = Reblur(reblur.motion, torch.full_like(reblur.sure, 0.4), 1.0)
    assert unsure.loss(sharp, spoilt, ALL) == 0


def test_black_pictures_have_a_gradient():
    _, _, reblur = blurred(8.0)
    black = torch.zeros(1, 3, 64, 96, requires_grad=True)
    reblur.loss(black, torch.ones(1, 3, 64, 96), ALL).backward()
    assert black.grad.isfinite().all()


def test_several_frames_cost_what_they_cost_one_by_one():
    parts = [blurred(speed, seed) for speed, seed in ((4.0, 0), (20.0, 1))]
    both = joined([reblur for _, _, reblur in parts])
    outputs = torch.cat([blurry for _, blurry, _ in parts])
    counted = [stays_inside(reblur.motion, 1.0).sum() for _, _, reblur in parts]
    single = [reblur.loss(blurry, blurry, ALL) for _, blurry, reblur in parts]
    expected = sum(n * loss for n, loss in zip(counted, single, strict=True)) / sum(counted)
    torch.testing.assert_close(both.loss(outputs, outputs, torch.cat((ALL, ALL))), expected)
