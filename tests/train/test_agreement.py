"""Figures without truth say what they are said to say."""

import math

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.measure.psnr import psnr
from bluref.train.agreement import agreement, detail, reblurred
from bluref.train.reblur import Reblur


@pytest.fixture
def sharp():
    """Edges of all kinds beside a calm half."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 3, 12, 6, generator=generator).repeat_interleave(8, 2)
    blocks = blocks.repeat_interleave(8, 3)
    return torch.cat((blocks, torch.full((1, 3, 96, 48), 0.4)), dim=3) * 0.8 + 0.1


def smooth(image, side=5):
    pad = F.pad(image, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(pad, side, stride=1)


def noisy(image, strength=0.02):
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    return image + strength * noise


def test_agreement_is_the_psnr_where_everything_is_trusted_alike(sharp):
    other = noisy(sharp)
    for trust in (1.0, 0.3):
        weight = torch.full_like(sharp[:, :1], trust)
        torch.testing.assert_close(agreement(other, sharp, weight), psnr(other, sharp))


def test_what_is_not_trusted_does_not_count_and_what_is_counts_by_its_trust(sharp):
    weight = torch.zeros_like(sharp[:, :1])
    weight[..., :48] = 1
    other = sharp.clone()
    other[..., 48:] += 0.3
    assert agreement(other, sharp, weight).item() == 99
    other[..., :24] += 0.1  # half of what counts: 10 log10(2 / 0.01)
    told = agreement(other, sharp, weight).item()
    assert told == pytest.approx(20 + 10 * math.log10(2), rel=1e-4)
    weight[..., :24] = 0.25  # a fifth of the weight
    assert agreement(other, sharp, weight).item() == pytest.approx(
        20 + 10 * math.log10(5), rel=1e-4
    )


def test_without_any_trust_there_is_no_agreement(sharp):
    assert agreement(sharp, sharp, torch.zeros_like(sharp[:, :1])).isnan().all()


def moving(sharp, *, sure=1.0):
    flow = torch.zeros(1, 2, *sharp.shape[-2:])
    flow[:, 0] = 6.0
    return Reblur(Motion(-flow, flow), torch.full_like(sharp[:, :1], sure), 1.0)


def test_the_sharp_picture_blurs_to_the_blurry_one_and_others_do_not(sharp):
    reblur = moving(sharp)
    blurry = expose_along(sharp, reblur.motion, Shutter(1.0), moments=15)
    best = reblurred(sharp, blurry, reblur).item()
    assert best > 60
    wrong = (blurry, smooth(sharp), sharp.roll(2, dims=-1), noisy(sharp), sharp * 0.9)
    assert all(reblurred(image, blurry, reblur).item() < best - 10 for image in wrong)


def test_motion_that_is_not_known_says_nothing(sharp):
    assert reblurred(sharp, sharp, moving(sharp, sure=0.2)).isnan().all()


def test_blur_takes_detail_away_and_noise_gives_none(sharp):
    assert detail(smooth(sharp)).item() < detail(sharp).item() - 3
    assert detail(smooth(sharp, 9)).item() < detail(smooth(sharp)).item() - 1
    blurry = smooth(sharp)
    grained = noisy(blurry)
    plain = [(x.diff(dim=-1).square().mean() / 1e-4).log10().item() * 10 for x in (blurry, grained)]
    assert plain[1] - plain[0] > 2  # what gradients alone would take for sharpness
    assert detail(grained).item() - detail(blurry).item() < 0.5


def test_a_flat_or_tiny_picture_has_no_detail_and_is_a_number():
    assert detail(torch.full((2, 3, 40, 40), 0.5)).tolist() == [-99, -99]
    assert detail(torch.rand(1, 3, 5, 7)).isfinite().all()
