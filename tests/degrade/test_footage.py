import pytest
import torch

from bluref.degrade.footage import ExposureConfig, expose


def bar(at: float, h: int = 32, w: int = 80) -> torch.Tensor:
    """A soft bright bar, `at` pixels from the left."""
    x = torch.arange(w, dtype=torch.float32)
    profile = 0.1 + 0.8 * torch.exp(-(((x - at) / 3) ** 2))
    return profile.expand(1, 3, h, w).contiguous()


def steady(dx: float):
    """The flow of a clip that moves by dx pixels per frame, known from the order of asking."""
    forward = True

    def flow(target, reference):
        nonlocal forward
        sign = 1.0 if forward else -1.0
        forward = not forward
        motion = torch.zeros(1, 2, *target.shape[-2:])
        motion[:, 0] = sign * dx
        return motion

    return flow


def still(target, reference):
    return torch.zeros(1, 2, *target.shape[-2:])


def centroid(image: torch.Tensor) -> float:
    light = (image - 0.1).clamp(min=0).pow(2.2)[0, 0, 16]
    return float((light * torch.arange(len(light))).sum() / light.sum())


@pytest.mark.slow
def test_the_blur_is_centred_on_the_sharp_frame():
    clip = [bar(20 + 4.0 * k) for k in range(6)]
    for exposure in expose(clip, steady(4.0), ExposureConfig()):
        assert centroid(exposure.blurry) == pytest.approx(centroid(exposure.sharp), abs=0.05)


def test_the_blur_is_the_integral_over_the_exposure():
    clip = [bar(20 + 4.0 * k) for k in range(5)]
    first = next(expose(clip, steady(4.0), ExposureConfig(exposure=1.25)))
    times = torch.linspace(-0.625, 0.625, 401)
    light = torch.stack([bar(24 + 4.0 * float(t)).pow(2.2) for t in times]).mean(0)
    truth = light.pow(1 / 2.2)
    torch.testing.assert_close(first.blurry[..., 8:-8], truth[..., 8:-8], atol=0.01, rtol=0)


def test_exposures_that_leave_the_clip_are_left_out_and_the_truth_is_a_frame():
    clip = [torch.rand(1, 3, 32, 32) for _ in range(6)]
    exposures = list(expose(clip, still, ExposureConfig(exposure=1.25)))
    assert len(exposures) == 4
    for exposure, frame in zip(exposures, clip[1:-1], strict=True):
        assert exposure.sharp is frame


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exposure", "every", "middles"),
    [(1.0, 1, [1, 2, 3, 4, 5, 6, 7]), (1.25, 2, [2, 4, 6]), (3.0, 2, [4]), (0.5, 3, [3, 6])],
)
def test_every_how_many_frames_sets_the_middles_and_the_length(exposure, every, middles):
    clip = [torch.full((1, 3, 16, 16), k / 10) for k in range(9)]
    config = ExposureConfig(exposure=exposure, every=every)
    found = [round(float(e.sharp.mean()) * 10) for e in expose(clip, still, config)]
    assert found == middles


def test_a_still_scene_stays_as_bright_as_it_is():
    frame = torch.rand(1, 3, 24, 24)
    for exposure in expose([frame] * 7, still, ExposureConfig(exposure=1.7, every=2)):
        torch.testing.assert_close(exposure.blurry, frame, atol=1e-4, rtol=0)


def test_fast_motion_gets_enough_subframes_to_leave_no_separate_contours():
    clip = [bar(10 + 24.0 * k, w=96) for k in range(4)]
    first = next(expose(clip, steady(24.0), ExposureConfig(exposure=1.0, subframes=2)))
    ramp = first.blurry[0, 0, 16, 26:42]
    assert ramp.max() - ramp.min() < 0.02  # a flat streak, not a row of bars


def test_frames_are_asked_for_one_by_one():
    asked = []

    def clip():
        for k in range(50):
            asked.append(k)
            yield torch.full((1, 3, 16, 16), k / 50)

    next(expose(clip(), still, ExposureConfig()))
    assert asked == [0, 1, 2]


def test_frames_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="differ in size"):
        list(expose((torch.rand(1, 3, 16, w) for w in (16, 20)), still, ExposureConfig()))


@pytest.mark.parametrize("wrong", [{"exposure": 0.0}, {"subframes": 0}, {"every": 0}])
def test_impossible_choices_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ExposureConfig(**wrong)
