"""Blur along the motion of footage."""

import pytest
import torch

from bluref.degrade.motion import (
    Motion,
    Shutter,
    ShutterConfig,
    expose_along,
    random_shutter,
    stays_inside,
)

INNER = (..., slice(8, -8), slice(16, -16))


def stripes(shift=0.0, *, h=32, w=96):
    """A smooth picture whose content lies `shift` pixels further to the right."""
    x = torch.arange(w)[None, :] - shift
    y = torch.arange(h)[:, None] * torch.ones(1, w)
    channels = [torch.sin(x / 3 + y / 9), torch.cos(x / 4 - y / 6), torch.sin(x / 5)]
    return (0.5 + 0.4 * torch.stack([c.expand(h, w) for c in channels]))[None]


def rightwards(speed, *, h=32, w=96):
    after = torch.zeros(1, 2, h, w)
    after[:, 0] = speed
    return Motion(-after, after)


def seen_over(times, weights, gamma=2.2):
    """The exposure of `stripes` as many moments make it, in linear light."""
    total = sum(w * stripes(t).pow(gamma) for t, w in zip(times, weights, strict=True))
    return (total / sum(weights)).pow(1 / gamma)


@pytest.mark.parametrize(("speed", "exposure"), [(4.0, 1.0), (9.0, 0.5), (12.0, 1.25)])
def test_steady_motion_gives_the_mean_of_all_moments_in_linear_light(speed, exposure):
    made = expose_along(stripes(), rightwards(speed), Shutter(exposure))
    times = [speed * exposure * (k / 400 - 0.5) for k in range(401)]
    expected = seen_over(times, [1.0] * 401)
    torch.testing.assert_close(made[INNER], expected[INNER], atol=0.01, rtol=0)
    assert (made - stripes())[INNER].abs().max() > 0.05


def test_the_length_of_the_blur_is_what_the_exposure_covers_of_the_way():
    assert torch.equal(rightwards(8.0).blur(1.25), torch.full((1, 1, 32, 96), 10.0))
    assert not rightwards(8.0).blur(0.0).any()


def test_what_comes_and_goes_back_is_smeared_by_half_of_the_way():
    """A hand that shakes turns round: the two ends of the path are one place."""
    there = rightwards(10.0).after
    motion = Motion(there, there)
    assert torch.equal(motion.blur(1.0), torch.full((1, 1, 32, 96), 5.0))
    step = (torch.arange(96) >= 48).float().expand(1, 3, 32, 96)
    ramp = expose_along(step, motion, Shutter(1.0, gamma=1.0))[0, 0, 16]
    assert 4 <= ((ramp > 0.01) & (ramp < 0.99)).sum() <= 6


def test_the_two_sides_follow_their_own_fields():
    still = torch.zeros(1, 2, 32, 96)
    later = Motion(still, rightwards(10.0).after)
    made = expose_along(stripes(), later, Shutter(1.0))
    times = [5.0 * k / 200 for k in range(201)]
    expected = seen_over([0.0] * 201 + times, [1.0] * 402)  # it stood still for the first half
    torch.testing.assert_close(made[INNER], expected[INNER], atol=0.012, rtol=0)


def test_a_soft_shutter_gives_the_ends_less_weight():
    shutter = Shutter(1.0, softness=1.0)
    assert [shutter.openness(t) for t in (-0.5, -0.25, 0.0, 0.25, 0.5)] == [0, 0.5, 1, 0.5, 0]
    assert Shutter(1.0, softness=0.5).openness(0.25) == 1
    made = expose_along(stripes(), rightwards(12.0), shutter)
    times = [12 * (k / 400 - 0.5) for k in range(401)]
    expected = seen_over(times, [1 - abs(k / 200 - 1) for k in range(401)])
    torch.testing.assert_close(made[INNER], expected[INNER], atol=0.015, rtol=0)


def test_motion_that_varies_is_followed_to_where_it_arrives():
    # Everything moves away from the left edge: x arrives at 1.2 x half an exposure later.
    x = torch.arange(96.0).expand(1, 1, 32, 96)
    after = torch.cat((0.4 * x, torch.zeros_like(x)), dim=1)
    one_sided = Motion(torch.zeros_like(after), after)
    picture = stripes()
    made = expose_along(picture, one_sided, Shutter(1.0, gamma=1.0))
    grid = torch.arange(96.0) / torch.linspace(1, 1.2, 401)[:, None]
    row = picture[0, 0, 10]
    below = grid.floor().long().clamp(0, 94)
    late = (row[below] + (row[below + 1] - row[below]) * (grid - below)).mean(0)
    expected = (row + late) / 2
    torch.testing.assert_close(made[0, 0, 10, 8:64], expected[8:64], atol=0.03, rtol=0)
    assert (late - row)[8:64].abs().max() > 0.2


@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_what_does_not_move_or_is_not_exposed_stays_as_it_is(exposure):
    motion = rightwards(0.0 if exposure else 9.0, h=31, w=45)
    # Near black the curve is so steep that rounding of positions shows.
    picture = 0.1 + 0.9 * torch.rand(1, 3, 31, 45, generator=torch.Generator().manual_seed(0))
    made = expose_along(picture, motion, Shutter(exposure))
    torch.testing.assert_close(made, picture, atol=1e-4, rtol=0)


def test_a_wrong_picture_is_mended_by_descending_the_gradient():
    truth = stripes()
    blurry = expose_along(truth, rightwards(6.0), Shutter(1.0))
    guess = blurry.clone().requires_grad_()
    error = (expose_along(guess, rightwards(6.0), Shutter(1.0)) - blurry).square().sum()
    error.backward()
    better = guess.detach() - 0.5 * guess.grad
    assert (better - truth)[INNER].square().mean() < (blurry - truth)[INNER].square().mean()


def test_what_comes_in_from_beyond_the_frame_is_told():
    still = torch.zeros(1, 2, 32, 96)
    motion = Motion(still, rightwards(12.0).after)  # it moves right in the second half
    known = stays_inside(motion, 1.0)
    picture = stripes()
    generator = torch.Generator().manual_seed(0)
    beyond = torch.rand(2, 3, 32, 24, generator=generator)
    scene = torch.cat((beyond[:1], picture, beyond[1:]), dim=-1)
    wide = rightwards(12.0, w=144).after
    seen = expose_along(scene, Motion(0 * wide, wide), Shutter(1.0), moments=21)[..., 24:-24]
    made = expose_along(picture, motion, Shutter(1.0), moments=21)
    same = (made - seen).abs().amax(dim=1, keepdim=True) < 1e-3
    assert same[known].all()
    assert not same[..., :5].all()
    assert not known[..., :5].any()
    assert known[..., 7:].all()


def test_a_picture_does_not_depend_on_those_beside_it():
    motions = [rightwards(4.0), rightwards(30.0)]
    sides = ([motion.before for motion in motions], [motion.after for motion in motions])
    pictures = torch.cat((stripes(), stripes(3)))
    both = Motion(*map(torch.cat, sides))
    together = expose_along(pictures, both, Shutter(1.0), moments=11)
    alone = expose_along(stripes(), motions[0], Shutter(1.0), moments=11)
    torch.testing.assert_close(together[:1], alone)


def test_what_is_not_wanted_at_the_margin_is_left_out_and_changes_nothing():
    generator = torch.Generator().manual_seed(3)
    sharp = torch.rand(1, 3, 45, 52, generator=generator)
    before, after = (6 * torch.randn(1, 2, 45, 52, generator=generator) for _ in range(2))
    motion, shutter = Motion(before, after), Shutter(1.3, softness=0.2)
    whole = expose_along(sharp, motion, shutter)
    inner = expose_along(sharp, motion, shutter, margin=9)
    torch.testing.assert_close(inner, whole[..., 9:-9, 9:-9])


def test_shutters_are_drawn_within_bounds_by_the_generator_alone():
    config = ShutterConfig(exposure=(0.5, 2.0), softness=(0.1, 0.3), gamma=(1.5, 1.6))
    drawn = [random_shutter(torch.Generator().manual_seed(k), 1.2, config) for k in range(64)]
    assert all(0.6 <= s.exposure <= 2.4 and 0.1 <= s.softness <= 0.3 for s in drawn)
    assert all(1.5 <= s.gamma <= 1.6 for s in drawn)
    assert max(s.exposure for s in drawn) > 2.2
    assert min(s.exposure for s in drawn) < 0.8
    again = random_shutter(torch.Generator().manual_seed(7), 1.2, config)
    assert again == drawn[7]


@pytest.mark.parametrize(
    "settings",
    [{"exposure": -0.1}, {"exposure": 1.0, "softness": 1.1}, {"exposure": 1.0, "gamma": 0.0}],
)
def test_impossible_shutters_are_refused(settings):
    with pytest.raises(ValueError, match="need exposure >= 0"):
        Shutter(**settings)


@pytest.mark.parametrize(
    "settings", [{"exposure": (2.0, 1.0)}, {"softness": (0.0, 1.5)}, {"gamma": (0.0, 1.0)}]
)
def test_impossible_ranges_are_refused(settings):
    with pytest.raises(ValueError, match="need 0 <"):
        ShutterConfig(**settings)
