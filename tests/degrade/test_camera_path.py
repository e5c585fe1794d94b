import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.camera_path import CameraPath, HandConfig, Pose, random_path


def path(seed=0, frames=20, room=(60.0, 40.0), config=None, rate=30.0) -> CameraPath:
    return random_path(
        torch.Generator().manual_seed(seed),
        config or HandConfig(),
        span=(-1.0, float(frames)),
        rate=rate,
        side=256,
        room=room,
    )


def speeds(way: CameraPath, frames=20) -> np.ndarray:
    """Pixels per frame, eight times per frame."""
    pose = way.at(np.arange(0, frames - 1, 1 / 8))
    return 8 * np.hypot(np.diff(pose.x), np.diff(pose.y))


@settings(max_examples=20, deadline=None, database=None)
@given(seed=st.integers(0, 10**6), x=st.floats(0, 300), y=st.floats(0, 300))
def test_the_camera_stays_within_its_room_and_its_limits(seed, x, y):
    config = HandConfig()
    pose = path(seed, room=(x, y)).at(np.linspace(-3, 25, 500))
    assert np.abs(pose.x).max() <= x
    assert np.abs(pose.y).max() <= y
    assert np.abs(pose.angle).max() <= np.deg2rad(config.rotation)
    assert np.abs(pose.scale - 1).max() <= config.zoom


@pytest.mark.parametrize("seed", range(8))
def test_every_clip_has_fast_and_calm_moments(seed):
    moving = speeds(path(seed, config=HandConfig(tremor=0.0)))
    fastest = 1.8 * 256 / 30
    assert moving.max() == pytest.approx(fastest, rel=0.15)
    assert moving.min() < 0.1 * fastest


def test_a_higher_rate_makes_less_motion_per_frame():
    steady = HandConfig(tremor=0.0)
    slow, fast = (speeds(path(rate=r, config=steady)).max() for r in (60.0, 30.0))
    assert slow == pytest.approx(fast / 2, rel=0.1)


def test_the_way_has_no_jumps():
    for seed in range(5):
        assert np.abs(np.diff(speeds(path(seed)))).max() < 6


def test_a_hand_that_rests_shows_one_view():
    still = HandConfig(speed=0.0, rotation=0.0, zoom=0.0, tremor=0.0)
    pose = path(config=still).at(np.linspace(0, 19, 50))
    assert np.ptp(pose.x) == np.ptp(pose.y) == 0
    assert (pose.angle == 0).all()
    assert (pose.scale == 1).all()


def test_on_average_the_middle_of_an_exposure_is_its_centre():
    offsets = 1.25 * ((np.arange(64) + 0.5) / 64 - 0.5)
    shifts = []
    for seed in range(60):
        way = path(seed)
        for frame in range(20):
            during, middle = way.at(frame + offsets), way.at(np.array([float(frame)]))
            shifts.append((during.x.mean() - middle.x[0], during.y.mean() - middle.y[0]))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.02
    assert np.std(shifts) < 0.3


def test_between_the_entries_of_the_table_the_pose_is_linear():
    ramp = np.array([0.0, 10.0])
    way = CameraPath(ramp, Pose(ramp, 2 * ramp, ramp / 100, 1 + ramp / 100))
    pose = way.at(np.array([[2.5], [20.0]]))
    np.testing.assert_allclose(pose.y, [[5.0], [20.0]])
    np.testing.assert_allclose(pose.scale, [[1.025], [1.1]])


def test_the_same_generator_state_walks_the_same_way():
    times = np.linspace(0, 19, 50)
    assert np.array_equal(path(3).at(times).x, path(3).at(times).x)
    assert not np.array_equal(path(3).at(times).x, path(4).at(times).x)


@pytest.mark.parametrize("wrong", [{"speed": -1.0}, {"zoom": 0.5}, {"tremor": -0.1}])
def test_impossible_hands_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HandConfig(**wrong)
