"""References brought to the brightness and warmth of the blurry frame."""

import pytest
import torch

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.match.protocol import Match
from bluref.pseudo.colour import evened, gains

SIZE = (128, 192)


def scene(seed=0, low=0.15, high=0.6):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, SIZE[0] // 8, SIZE[1] // 8, generator=generator)
    grown = torch.nn.functional.interpolate(noise, SIZE, mode="bicubic").clamp(0, 1)
    return low + (high - low) * grown


def found(flow=(0.0, 0.0), confidence=1.0):
    field = torch.tensor(flow).view(1, 2, 1, 1).expand(1, 2, *SIZE).contiguous()
    trust = torch.full((1, 1, *SIZE), confidence)
    return Match(field, trust, torch.ones(1, 1, *SIZE, dtype=torch.bool))


def exposed(image, factors):
    """Light times factors, as a camera with the power law of sRGB encodes it."""
    light = image.pow(2.2) * torch.tensor(factors).view(1, 3, 1, 1)
    return light.pow(1 / 2.2)


@pytest.mark.parametrize("factors", [(2.0, 2.0, 2.0), (0.5, 0.5, 0.5), (1.4, 1.0, 0.7)])
def test_a_change_of_exposure_or_white_balance_is_undone(factors):
    sharp = scene()
    (gain,) = gains(exposed(sharp, factors), [found()], sharp)
    torch.testing.assert_close(gain, torch.tensor(factors).pow(-1 / 2.2), rtol=0.01, atol=0)


def test_each_reference_has_its_own():
    sharp = scene()
    references = [sharp, exposed(sharp, (1.5, 1.5, 1.5))]
    gain = gains(torch.cat([found().warp(r) for r in references]), [found(), found()], sharp)
    assert (gain[0] == 1).all()
    assert (gain[1] < 0.9).all()


@pytest.mark.parametrize("speed", [4.0, 16.0, 32.0])
def test_blur_alone_changes_nothing(speed):
    after = torch.zeros(1, 2, *SIZE)
    after[:, 0] = speed
    sharp = scene(low=0.0, high=1.0)
    blurry = expose_along(sharp, Motion(-after, after), Shutter(1.0))
    assert (gains(sharp, [found()], blurry) == 1).all()


def test_a_blurry_frame_of_another_exposure_still_tells():
    after = torch.zeros(1, 2, *SIZE)
    after[:, 0] = 12.0
    sharp = scene()
    blurry = exposed(expose_along(sharp, Motion(-after, after), Shutter(1.0)), (1.5, 1.5, 1.5))
    gain = gains(sharp, [found()], blurry)
    torch.testing.assert_close(gain, torch.full((1, 3), 1.5 ** (1 / 2.2)), rtol=0.02, atol=0)


def test_what_is_matched_wrongly_in_a_third_of_the_frame_does_not_count():
    sharp = scene()
    reference = exposed(sharp, (1.5, 1.5, 1.5))
    reference[..., :64] = scene(seed=1)[..., :64]
    gain = gains(found().warp(reference), [found()], sharp)
    torch.testing.assert_close(gain, torch.full((1, 3), 1.5 ** (-1 / 2.2)), rtol=0.05, atol=0)


def test_it_is_the_matched_place_that_is_compared():
    wide = torch.cat([scene(low=0.1, high=0.3), scene(seed=1, low=0.6, high=0.9)], dim=-1)
    target, reference = wide[..., : SIZE[1]], wide[..., 96 : 96 + SIZE[1]]
    match = found(flow=(-96.0, 0.0))
    inside = torch.zeros_like(match.inside)
    inside[..., 96:] = True
    (gain,) = gains(match.warp(reference), [Match(match.flow, match.confidence, inside)], target)
    assert (gain == 1).all()


@pytest.mark.parametrize(
    ("reference", "match"),
    [
        (exposed(scene(), (1.5, 1.5, 1.5)), found(confidence=0.1)),
        (scene(low=0.99, high=1.0), found()),
    ],
    ids=["unsure", "white"],
)
def test_where_nothing_is_known_nothing_changes(reference, match):
    assert (gains(match.warp(reference), [match], scene()) == 1).all()


def test_what_is_black_tells_nothing_though_it_be_hardly_darker():
    dark = scene(low=0.05, high=0.06)
    assert (gains(exposed(dark, (0.25, 0.25, 0.25)), [found()], dark) == 1).all()
    light = scene(low=0.5, high=0.6)
    assert (gains(exposed(light, (0.25, 0.25, 0.25)), [found()], light) > 1.3).all()


def test_where_the_blurry_frame_is_white_it_tells_nothing():
    sharp = scene(low=0.3)
    blurry = sharp.clone()
    blurry[..., :144] = 0.99
    torch.testing.assert_close(gains(sharp, [found()], blurry), torch.ones(1, 3))


def test_a_change_beyond_belief_is_left():
    assert (gains(exposed(scene(), (0.05, 0.05, 0.05)), [found()], scene(high=0.9)) == 1).all()


def test_clipped_light_is_not_darkened_into_grey():
    warped = scene()
    warped[..., :10, :] = 1.0
    image, right = evened(warped, torch.tensor([[0.8, 0.8, 0.8]]))
    assert (right[..., :10, :] == 0).all()
    assert (right[..., 10:, :] == 1).all()
    torch.testing.assert_close(image[..., 10:, :], warped[..., 10:, :] * 0.8)


def test_clipped_light_that_is_brightened_stays_white():
    image, right = evened(torch.ones(1, 3, 8, 8), torch.tensor([[1.2, 1.2, 1.2]]))
    assert (image == 1).all()
    assert (right == 1).all()
