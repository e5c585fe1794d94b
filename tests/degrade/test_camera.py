import pytest
import torch

from bluref.degrade.blur import blur
from bluref.degrade.camera import CameraConfig, only_motion, random_degradation
from bluref.degrade.kernels import MotionConfig, random_kernels
from bluref.degrade.stages import Blur, Grain, Jpeg, Resize, convolve_inside
from bluref.degrade.tone import ToneConfig, random_tone

MOVES = CameraConfig(motion=MotionConfig(length=(2.0, 24.0)), moving=1.0, lens=0.7, varying=0.6)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(side: int = 96, width: float = 7.0) -> torch.Tensor:
    at = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    light = torch.exp(-(at[:, None] ** 2 + at**2) / (2 * width**2))
    return light.pow(1 / 2.2)[None, None].expand(1, 3, side, side).contiguous()


def centroid(image: torch.Tensor) -> torch.Tensor:
    """From the picture's centre, in linear light."""
    light = image.pow(2.2).mean(dim=(0, 1))
    rows, columns = (torch.arange(n, dtype=light.dtype) - (n - 1) / 2 for n in light.shape)
    return torch.stack(((light * columns).sum(), (light * rows[:, None]).sum())) / light.sum()


def uncovered(image: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(image[:, :1])


def blurs(count: int, config: CameraConfig = MOVES) -> list[Blur]:
    drawn = [random_degradation(seeded(seed), config) for seed in range(count)]
    return [stage for one in drawn for stage in one.stages if isinstance(stage, Blur)]


@pytest.mark.slow
def test_the_centroid_of_every_kernel_is_its_centre():
    drawn = blurs(200)
    assert len(drawn) == 200
    for stage in drawn:
        radius = stage.border
        at = torch.arange(-radius, radius + 1, dtype=torch.float32)
        for kernel in stage.kernels:
            assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
            assert (kernel.sum(0) @ at).abs() < 1e-3
            assert (kernel.sum(1) @ at).abs() < 1e-3


@pytest.mark.slow
def test_both_ways_of_varying_blur_come_up():
    drawn = blurs(200)
    assert any(len(b.kernels) == 2 and b.region is None for b in drawn)
    assert any(len(b.kernels) == 2 and b.region is not None for b in drawn)
    assert any(len(b.kernels) == 1 for b in drawn)


def test_each_of_two_blurs_acts_where_its_region_lies():
    kernels = torch.zeros(2, 9, 9)
    kernels[0, 4, 4] = 1
    kernels[1, 4] = 1 / 9
    region = torch.tensor([0.0, 0, 1, 1]).expand(1, 1, 4, 4)  # the second on the right
    stripes = (torch.arange(136) // 4 % 2).float().expand(1, 3, 72, 136) * 0.5 + 0.25
    made = Blur(kernels, region)(stripes, uncovered(stripes))
    cut = stripes[..., 4:-4, 4:-4]
    torch.testing.assert_close(made[..., :24], cut[..., :24], atol=0.01, rtol=0)
    assert made[..., -24:].std() < 0.5 * cut[..., -24:].std()


@pytest.mark.parametrize("seed", range(8))
def test_no_degradation_shifts_a_picture(seed):
    config = CameraConfig(
        tone=ToneConfig(odds=0.0), motion=MotionConfig(length=(0.0, 16.0)), varying=0.0, resized=1.0
    )
    image = blob(160)
    degraded = random_degradation(seeded(seed), config)(image, uncovered(image))
    # Noise and blocks move the centroid of light by some hundredths.
    window = degraded * (blob(degraded.shape[-1], 16.0) > 0.1)
    assert centroid(window).abs().max() < 0.12


@pytest.mark.parametrize("factor", [0.45, 0.61, 0.83])
@pytest.mark.parametrize("smooth", [True, False])
def test_resizing_keeps_the_centres_of_the_pixels(factor, smooth):
    image = blob(91)
    image = torch.nn.functional.pad(image, (3, 8, 0, 0))  # off the centre
    before = centroid(image)
    after = centroid(Resize(factor, smooth)(image, uncovered(image)))
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)


def test_a_valid_convolution_is_the_inner_part_of_the_whole_one():
    image = torch.rand(1, 3, 61, 75, generator=seeded(0))
    kernels = random_kernels(seeded(1), 1, MotionConfig(length=(9.0, 9.0), size=11))
    inner = Blur(kernels)(image, uncovered(image))
    torch.testing.assert_close(inner, blur(image, kernels)[..., 5:-5, 5:-5], atol=1e-3, rtol=0)


def test_two_kernels_give_two_pictures():
    image = torch.rand(1, 3, 40, 40, generator=seeded(0))
    kernels = random_kernels(seeded(1), 2, MotionConfig(length=(5.0, 9.0), size=11))
    both = convolve_inside(image, kernels)
    assert both.shape == (2, 3, 30, 30)
    torch.testing.assert_close(both[1:], convolve_inside(image, kernels[1:]))
    with pytest.raises(ValueError, match="odd side"):
        convolve_inside(image, torch.ones(1, 4, 4))


def test_a_still_object_stays_sharp_before_a_blurred_background():
    image = torch.rand(1, 3, 80, 80, generator=seeded(0))
    cover = uncovered(image)
    cover[..., 30:50, 30:50] = 1
    still = torch.zeros(1, 13, 13)
    still[:, 6, 6] = 1
    moving = random_kernels(seeded(1), 1, MotionConfig(length=(12.0, 12.0), size=13))
    degraded = Blur(torch.cat((moving, still)))(image, cover)
    sharp = image[..., 6:-6, 6:-6]
    torch.testing.assert_close(
        degraded[..., 24:44, 24:44], sharp[..., 24:44, 24:44], atol=2e-3, rtol=0
    )
    assert degraded[..., :18].std() < 0.7 * sharp[..., :18].std()


def test_blur_adds_light_not_encoded_values():
    image = torch.zeros(1, 3, 9, 30)
    image[..., 15:] = 1
    degraded = Blur(torch.full((1, 3, 3), 1 / 9))(image, uncovered(image))
    assert degraded[0, 0, 3, 13].item() == pytest.approx((1 / 3) ** (1 / 2.2), abs=1e-3)


def test_a_fixed_length_is_motion_of_that_length_and_nothing_else():
    exposure = random_degradation(seeded(0), only_motion(20.0))
    assert [type(stage) for stage in exposure.stages] == [Blur]
    assert exposure.tone is None
    reach = [b.kernels.sum(1).nonzero()[:, 1].max() for b in blurs(30, only_motion(20.0))]
    assert exposure.border == 13
    assert 20 < max(reach) <= 26


def test_length_zero_leaves_the_picture_as_it_is():
    image = torch.rand(1, 3, 40, 40)
    exposure = random_degradation(seeded(0), only_motion(0.0))
    assert exposure.border == 0
    assert torch.equal(exposure(image, uncovered(image)), image)


def test_the_generator_decides_everything():
    image = torch.rand(1, 3, 90, 90)
    for seed in range(8):
        first, second = (random_degradation(seeded(seed), CameraConfig()) for _ in range(2))
        assert torch.equal(first(image, uncovered(image)), second(image, uncovered(image)))


def test_stages_come_in_every_order():
    config = CameraConfig(moving=1.0, resized=1.0, noisy=1.0, compressed=1.0, shuffled=1.0)
    drawn = [random_degradation(seeded(s), config).stages for s in range(80)]
    assert {type(stages[0]).__name__ for stages in drawn} >= {"Blur", "Resize", "Jpeg"}
    plain = CameraConfig(moving=1.0, resized=1.0, noisy=1.0, compressed=1.0, shuffled=0.0)
    stages = random_degradation(seeded(0), plain).stages
    assert isinstance(stages[0], Blur)
    assert isinstance(stages[-1], Jpeg)


def test_jpeg_costs_detail_and_less_of_it_at_higher_quality():
    image = torch.rand(1, 3, 64, 64, generator=seeded(0))
    errors = [(Jpeg(q, False)(image, image[:, :1]) - image).abs().mean() for q in (30, 60, 95)]
    assert errors[0] > errors[1] > errors[2] > 0


def test_grey_noise_is_the_same_in_all_colours():
    image = torch.full((1, 3, 64, 64), 0.5)
    grey = Grain(0.02, 1, grey=True)(image, image[:, :1]) - image
    torch.testing.assert_close(grey[:, 0], grey[:, 2])
    assert grey.std().item() == pytest.approx(0.02, rel=0.1)
    assert not torch.equal(*(Grain(0.02, 1, grey=False)(image, image[:, :1])[:, c] for c in (0, 1)))


def test_tone_is_a_monotonous_curve_and_small():
    ramp = torch.linspace(0, 1, 256).expand(1, 3, 1, 256)
    for seed in range(30):
        tone = random_tone(seeded(seed), ToneConfig(odds=1.0))
        curve = tone(ramp)
        assert (curve.diff(dim=-1) >= 0).all()
        assert (curve - ramp).abs().max() < 0.3
    assert random_tone(seeded(0), ToneConfig(odds=0.0)) is None


@pytest.mark.parametrize(
    "bad",
    [
        {"moving": 1.1},
        {"lens_width": (0.0, 1.0)},
        {"lens_aspect": (0.5, 1.5)},
        {"resize": (0.9, 0.5)},
        {"grain": (-0.1, 0.1)},
        {"quality": (0, 50)},
    ],
)
def test_a_config_out_of_bounds_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        CameraConfig(**bad)
    with pytest.raises(ValueError, match="contrast"):
        ToneConfig(contrast=-0.1)


def test_a_camera_without_blur_never_blurs():
    assert blurs(40, MOVES.without_blur()) == []
