import pytest
import torch

from bluref.degrade.interpolate import Interval, between, join


def texture(h: int = 48, w: int = 64, shift: float = 0.0) -> torch.Tensor:
    """A smooth picture whose content lies `shift` pixels further to the right."""
    x = torch.arange(w)[None, :] - shift
    y = torch.arange(h)[:, None] * torch.ones(1, w)
    channels = [torch.sin(x / 5 + y / 9), torch.cos(x / 7 - y / 6), torch.sin(x / 4) * y.cos() / 2]
    return 0.5 + 0.4 * torch.stack(channels)[None]


def uniform(dx: float, dy: float, h: int = 48, w: int = 64) -> torch.Tensor:
    return torch.tensor((dx, dy))[None, :, None, None].expand(1, 2, h, w).contiguous()


def moving(dx: float, h: int = 48) -> Interval:
    return Interval(texture(h), texture(h, shift=dx), uniform(dx, 0.0, h), uniform(-dx, 0.0, h))


@pytest.mark.parametrize("time", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("h", [48, 3])
def test_uniform_motion_is_where_it_should_be_at_every_time(time, h):
    (seen,) = between(moving(4.0, h), [time])
    inner = slice(8, -8)
    torch.testing.assert_close(
        seen[..., inner], texture(h, shift=4 * time)[..., inner], atol=0.01, rtol=0
    )


@pytest.mark.parametrize("h", [48, 3])
def test_motion_that_varies_over_the_frame_is_followed_to_where_it_arrives(h):
    # The later frame is stretched to 1.3 times the width: x arrives at 1.3 x.
    x = torch.arange(64.0).expand(1, 1, h, 64)
    still = torch.zeros_like(x)
    forward = torch.cat((0.3 * x, still), dim=1)
    backward = torch.cat((x / 1.3 - x, still), dim=1)
    first = (0.5 + 0.4 * torch.sin(x / 3)).expand(1, 3, h, 64).contiguous()
    second = (0.5 + 0.4 * torch.sin(x / 3 / 1.3)).expand(1, 3, h, 64).contiguous()
    (seen,) = between(Interval(first, second, forward, backward), [0.5])
    truth = (0.5 + 0.4 * torch.sin(x / 3 / 1.15)).expand(1, 3, h, 64)
    torch.testing.assert_close(seen[..., 2:-8], truth[..., 2:-8], atol=0.02, rtol=0)


def test_the_ends_are_the_frames_themselves():
    interval = moving(3.0)
    first, second = between(interval, [0.0, 1.0])
    torch.testing.assert_close(first, interval.first, atol=1e-5, rtol=0)
    torch.testing.assert_close(second, interval.second, atol=1e-5, rtol=0)


def test_still_frames_with_odd_sides_stay_as_they_are():
    frame = torch.rand(1, 3, 37, 51)
    still = Interval(frame, frame, torch.zeros(1, 2, 37, 51), torch.zeros(1, 2, 37, 51))
    (seen,) = between(still, [0.3])
    torch.testing.assert_close(seen, frame, atol=1e-5, rtol=0)


def test_what_enters_at_the_border_comes_from_the_frame_that_sees_it():
    # The left edge of the later frame was outside the earlier one, whose edge would smear.
    (seen,) = between(moving(8.0), [0.5])
    truth = texture(shift=4.0)
    torch.testing.assert_close(seen[..., :3], truth[..., :3], atol=0.02, rtol=0)


def test_a_covered_background_is_taken_from_the_frame_that_shows_it():
    # A bright square runs 16 px to the right over a dark, still background.
    first, second = torch.full((1, 3, 48, 64), 0.2), torch.full((1, 3, 48, 64), 0.2)
    forward, backward = torch.zeros(1, 2, 48, 64), torch.zeros(1, 2, 48, 64)
    first[..., 16:32, 10:26] = 0.9
    second[..., 16:32, 26:42] = 0.9
    forward[:, 0, 16:32, 10:26] = 16
    backward[:, 0, 16:32, 26:42] = -16
    (seen,) = between(Interval(first, second, forward, backward), [0.5])
    assert seen[..., 20:28, 20:32].min() > 0.85  # the square, half way
    assert seen[..., 20:28, :8].max() < 0.25
    assert seen[..., 20:28, 44:].max() < 0.25
    assert seen[..., 20:28, 12:15].max() < 0.3  # uncovered: only the later frame shows it
    assert seen[..., 20:28, 37:40].max() < 0.3  # about to be covered: only the earlier one does


def test_motion_is_estimated_both_ways_with_the_target_first():
    asked = []

    def flow(target, reference):
        asked.append((target, reference))
        return torch.zeros(1, 2, 8, 8)

    first, second = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    join(first, second, flow)
    assert [pair[0] is first for pair in asked] == [True, False]
    assert [pair[1] is second for pair in asked] == [True, False]


def test_speed_is_that_of_the_fastest_part():
    interval = moving(1.0)
    interval.forward[:, 1, :12] = 30.0
    assert interval.speed() == pytest.approx(30, abs=0.1)


def test_times_outside_the_interval_are_refused():
    with pytest.raises(ValueError, match="got 1"):
        list(between(moving(1.0), [1.5]))
