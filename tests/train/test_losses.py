import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.train.losses import FLOOR, masked_loss

KINDS = ("l1", "l2", "psnr")
SIDE = 20

every_kind = pytest.mark.parametrize("kind", KINDS)


def covering(share, batch=1):
    """A mask over this share of the pixels, from the top left on."""
    pixels = SIDE * SIDE
    mask = (torch.arange(pixels) < round(share * pixels)).float()
    return mask.view(1, 1, SIDE, SIDE).expand(batch, 1, SIDE, SIDE).contiguous()


def images(seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, batch, 3, SIDE, SIDE, generator=generator)


@every_kind
@settings(max_examples=40, deadline=None, database=None)
@given(error=st.floats(0.01, 0.5), share=st.floats(0.01, 1.0))
def test_the_same_error_weighs_the_same_on_few_pixels_and_on_all(kind, error, share):
    target = torch.full((1, 3, SIDE, SIDE), 0.4)
    few, all_ = (
        masked_loss(target + error, target, covering(s), kind=kind, min_coverage=0.0)
        for s in (share, 1.0)
    )
    torch.testing.assert_close(few, all_, rtol=1e-4, atol=1e-4)


@every_kind
def test_what_lies_outside_the_mask_does_not_count(kind):
    output, target = images()
    weight = covering(0.3)
    other = torch.where(weight > 0, target, 1 - target)
    one, two = (
        masked_loss(output, t, weight, kind=kind, min_coverage=0.05) for t in (target, other)
    )
    assert torch.equal(one, two)


@every_kind
def test_halving_all_trust_changes_nothing(kind):
    output, target = images()
    one, two = (
        masked_loss(output, target, scale * covering(0.5), kind=kind, min_coverage=0.05)
        for scale in (1.0, 0.5)
    )
    torch.testing.assert_close(one, two)


def test_trust_weighs_pixels_against_each_other():
    target = torch.zeros(1, 3, 1, 2)
    output = torch.tensor([0.2, 0.8]).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    weight = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2)
    loss = masked_loss(output, target, weight, kind="l1", min_coverage=0.0)
    assert loss.item() == pytest.approx(0.75 * 0.2 + 0.25 * 0.8)


def test_with_full_trust_l1_is_the_mean_absolute_error():
    output, target = images(batch=3)
    loss = masked_loss(output, target, covering(1.0, 3), kind="l1", min_coverage=0.05)
    torch.testing.assert_close(loss, torch.nn.functional.l1_loss(output, target))


def test_with_full_trust_l2_is_the_mean_squared_error():
    output, target = images(batch=3)
    loss = masked_loss(output, target, covering(1.0, 3), kind="l2", min_coverage=0.05)
    torch.testing.assert_close(loss, torch.nn.functional.mse_loss(output, target))


def test_the_psnr_loss_is_the_negative_psnr_in_decibels():
    output, target = images()
    mse = (output - target).square().mean().item()
    loss = masked_loss(output, target, covering(1.0), kind="psnr", min_coverage=0.05)
    assert loss.item() == pytest.approx(10 * math.log10(mse), abs=1e-4)


def test_a_perfect_output_ends_the_psnr_loss_at_80_decibels():
    output, _ = images()
    output.requires_grad_()
    loss = masked_loss(output, output.detach(), covering(1.0), kind="psnr", min_coverage=0.05)
    loss.backward()
    assert loss.item() == pytest.approx(10 * math.log10(FLOOR))
    assert output.grad.isfinite().all()


@every_kind
@pytest.mark.parametrize("min_coverage", [0.0, 0.05])
def test_an_empty_mask_gives_zero_and_pulls_nowhere(kind, min_coverage):
    output, target = images(batch=2)
    output.requires_grad_()
    loss = masked_loss(output, target, covering(0.0, 2), kind=kind, min_coverage=min_coverage)
    loss.backward()
    assert loss.item() == 0
    assert output.grad.abs().max() == 0


@every_kind
@pytest.mark.parametrize("min_coverage", [0.0, 0.25])
def test_an_image_below_the_gate_leaves_the_others_as_they_are(kind, min_coverage):
    output, target = images(batch=2)
    weight = torch.cat([covering(0.6), covering(0.24 if min_coverage else 0.0)])
    both = masked_loss(output, target, weight, kind=kind, min_coverage=min_coverage)
    alone = masked_loss(output[:1], target[:1], weight[:1], kind=kind, min_coverage=min_coverage)
    torch.testing.assert_close(both, alone)


@every_kind
def test_coverage_at_the_gate_counts(kind):
    output, target = images()
    loss = masked_loss(output, target, covering(0.25), kind=kind, min_coverage=0.25)
    assert loss != 0


@every_kind
def test_the_loss_is_the_mean_over_images(kind):
    output, target = images(batch=2)
    weight = torch.cat([covering(1.0), covering(0.1)])
    both, *each = (
        masked_loss(output[i], target[i], weight[i], kind=kind, min_coverage=0.05)
        for i in (slice(None), slice(0, 1), slice(1, 2))
    )
    torch.testing.assert_close(both, sum(each) / 2)


def test_an_unknown_kind_is_misuse():
    with pytest.raises(ValueError, match="kind must be l1, l2 or psnr, got 'l3'"):
        masked_loss(*images(), covering(1.0), kind="l3", min_coverage=0.05)
