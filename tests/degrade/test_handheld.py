import itertools

import numpy as np
import pytest
import torch
from skimage import data

from bluref.degrade import handheld
from bluref.degrade.camera_path import CameraPath, HandConfig, Pose
from bluref.degrade.handheld import film
from bluref.degrade.stage import HandheldConfig
from bluref.media.pixels import from_array

RESTING = HandConfig(speed=0.0, rotation=0.0, zoom=0.0, tremor=0.0)


def coffee() -> torch.Tensor:
    return from_array(data.coffee())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centroid(image: torch.Tensor) -> torch.Tensor:
    """(x, y) of the light."""
    light = image.pow(2.2)[0, 0]
    at = torch.arange(light.shape[-1], dtype=light.dtype)
    return torch.stack(((light * at).sum(), (light * at[:, None]).sum())) / light.sum()


def steady(monkeypatch, x=0.0, y=0.0, roll=0.0):
    """Put a camera in place that moves by (x, y) pixels and `roll` radians per frame."""
    times = np.array([-10.0, 30.0])
    poses = Pose(x * times, y * times, roll * times, np.ones(2))
    monkeypatch.setattr(handheld, "random_path", lambda *_, **__: CameraPath(times, poses))


def config(**choices) -> HandheldConfig:
    return HandheldConfig(**{"size": (96, 96), "frames": 4, "parallax": 0.0, **choices})


def test_a_camera_at_rest_takes_blurry_frames_that_are_sharp():
    for exposure in film(coffee(), generator(), config(hand=RESTING)):
        torch.testing.assert_close(exposure.blurry, exposure.sharp, atol=1e-4, rtol=0)


def test_a_steady_camera_shifts_the_picture_by_its_speed(monkeypatch):
    steady(monkeypatch, x=3.0, y=-2.0)
    clip = film(coffee(), generator(), config(readout=0.0))
    first, second = (e.sharp for e in itertools.islice(clip, 2))
    torch.testing.assert_close(second[..., 2:, :-3], first[..., :-2, 3:], atol=2e-3, rtol=0)


def test_a_quarter_turn_turns_the_picture_by_a_quarter(monkeypatch):
    steady(monkeypatch, roll=np.pi / 2)
    clip = film(coffee(), generator(), config(readout=0.0))
    first, second = (e.sharp for e in itertools.islice(clip, 2))
    torch.testing.assert_close(second, first.rot90(dims=(2, 3)), atol=2e-3, rtol=0)


def test_the_blur_is_the_mean_light_of_all_that_was_seen(monkeypatch):
    steady(monkeypatch, x=8.0)
    blurry = next(film(coffee(), generator(), config(exposure=1.0, readout=0.0))).blurry
    # The same way in steps of 1/64 frame: the sharp frames of a camera 64 times as slow.
    steady(monkeypatch, x=8.0 / 64)
    slow = config(frames=33, readout=0.0)
    after = [e.sharp for e in film(coffee(), generator(), slow)]
    steady(monkeypatch, x=-8.0 / 64)
    before = [e.sharp for e in film(coffee(), generator(), slow)]
    light = torch.stack(before[:0:-1] + after).pow(2.2)
    light[[0, -1]] /= 2  # trapezoid rule
    truth = (light.sum(0) / 64).pow(1 / 2.2)
    torch.testing.assert_close(blurry, truth, atol=0.01, rtol=0)


def test_the_sharp_frame_lies_in_the_middle_of_the_blurry_one(monkeypatch):
    steady(monkeypatch, x=7.0, y=4.0, roll=0.004)
    at = torch.arange(150.0) - 90
    photograph = torch.exp(-(at[:, None] ** 2 + at**2) / 50).expand(1, 3, 150, 150).contiguous()
    exposure = next(film(photograph, generator(), config(parallax=0.1)))
    torch.testing.assert_close(
        centroid(exposure.blurry), centroid(exposure.sharp), atol=0.05, rtol=0
    )


def test_the_rolling_shutter_shows_lower_rows_later(monkeypatch):
    steady(monkeypatch, x=10.0)
    rolling = next(film(coffee(), generator(), config(readout=0.6))).sharp
    whole = next(film(coffee(), generator(), config(readout=0.0))).sharp
    middle = slice(47, 49)
    torch.testing.assert_close(rolling[:, :, middle], whole[:, :, middle], atol=0.05, rtol=0)
    # At the bottom the camera is 3 px further, at the top 3 px less far.
    torch.testing.assert_close(rolling[..., 95, :-3], whole[..., 95, 3:], atol=2e-3, rtol=0)
    torch.testing.assert_close(rolling[..., 0, 3:], whole[..., 0, :-3], atol=2e-3, rtol=0)


def test_the_near_layer_passes_by_faster(monkeypatch):
    steady(monkeypatch, x=20.0)
    near, far = torch.ones(1, 1, 200, 200), torch.zeros(1, 1, 200, 200)
    picture = torch.rand(1, 3, 200, 200)
    shown = {}
    for name, depth in (("near", near), ("far", far)):
        scene = handheld.Scene(picture, depth, 0.2, (40.0, 40.0))
        monkeypatch.setattr(handheld, "set_up", lambda *_, scene=scene: scene)
        clip = film(picture, generator(), config(frames=2, readout=0.0))
        shown[name] = list(clip)[1].sharp
    torch.testing.assert_close(
        shown["near"][..., :-4], shown["far"][..., 4:], atol=1e-3, rtol=0
    )  # 20 % of 20 px


def test_fast_blur_is_a_streak_without_separate_contours(monkeypatch):
    steady(monkeypatch, x=30.0)
    point = torch.zeros(1, 3, 400, 400)
    point[..., 190:210, 199:201] = 1.0
    clip = film(point, generator(), config(exposure=1.0, readout=0.0, frames=1))
    row = next(clip).blurry[0, 0, 48].pow(2.2)
    streak = row[40:56]
    assert streak.min() > 0.005
    assert (streak.max() - streak.min()) / streak.mean() < 0.1


def test_the_same_generator_state_films_the_same_clip_and_another_one_another():
    small = config(parallax=0.15, frames=2)
    first, again, other = (list(film(coffee(), generator(s), small)) for s in (1, 1, 2))
    assert torch.equal(first[1].blurry, again[1].blurry)
    assert not torch.equal(first[1].blurry, other[1].blurry)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronaut", "chelsea"])
def test_no_view_leaves_the_photograph(name):
    photograph = from_array(getattr(data, name)())
    framed = torch.ones_like(photograph)
    framed[..., 4:-4, 4:-4] = 0.0
    for seed in range(2):
        clip = film(framed, generator(seed), config(size=(160, 160), frames=5, parallax=0.15))
        assert max(float(e.sharp.max()) for e in clip) < 1e-3
