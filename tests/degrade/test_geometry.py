import pytest
import torch

from bluref.degrade.geometry import GeometryConfig, random_flow
from bluref.degrade.warp import pixel_grid

STILL = GeometryConfig(strength=(0.0, 0.0), max_shift=0.0, bumps=(0, 0))
SIZE = (96, 128)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(kind: int, **changes) -> GeometryConfig:
    odds = tuple(float(kind == k) for k in range(3))
    given = {"strength": (0.3, 0.3), "max_shift": 0.0, "bumps": (0, 0), **changes}
    return GeometryConfig(odds=odds, **given)


def places_and_goals(flow):
    at = pixel_grid(flow.shape[-2], flow.shape[-1], flow)
    return at[0].flatten(1).T.double(), (at + flow)[0].flatten(1).T.double()


def test_without_motion_the_flow_is_zero():
    for seed in range(4):
        flow = random_flow(seeded(seed), SIZE, STILL)
        torch.testing.assert_close(flow, torch.zeros(1, 2, *SIZE), atol=1e-4, rtol=0)


def test_a_shift_alone_is_the_same_everywhere_and_within_its_bound():
    config = GeometryConfig(strength=(0.0, 0.0), max_shift=7.0, bumps=(0, 0))
    shifts = []
    for seed in range(40):
        flow = random_flow(seeded(seed), SIZE, config)
        spread = flow.amax(dim=(-2, -1)) - flow.amin(dim=(-2, -1))
        assert spread.max() < 1e-3
        shifts.append(flow.mean(dim=(-2, -1))[0])
    assert 5 < torch.stack(shifts).abs().max() <= 7.001


@pytest.mark.parametrize("seed", range(4))
def test_a_homography_takes_straight_lines_to_straight_lines(seed):
    flow = random_flow(seeded(seed), SIZE, only(0))
    goals = pixel_grid(*SIZE, flow) + flow
    for line in (goals[0, :, 40, :], goals[0, :, :, 70]):
        ends = line[:, -1] - line[:, 0]
        offset = line - line[:, :1]
        away = (ends[0] * offset[1] - ends[1] * offset[0]) / ends.norm()
        assert away.abs().max() < 0.05
    assert flow.std() > 0.3  # and it does move


def test_a_homography_moves_no_corner_further_than_its_strength():
    for seed in range(20):
        flow = random_flow(seeded(seed), SIZE, only(0, corner=(0.5, 0.5)))
        half = torch.tensor([127 / 2, 95 / 2])
        corners = flow[0, :, [0, 0, -1, -1], [0, -1, 0, -1]].abs().T / half
        assert corners.max() <= 0.3 * 0.5 + 0.01


def test_a_spline_of_no_strength_but_affine_motion_is_linear():
    config = only(2, bend=(0.0, 0.0), strength=(1.0, 1.0))
    flow = random_flow(seeded(3), SIZE, config)
    at, goals = places_and_goals(flow)
    plain = torch.cat((at, torch.ones(len(at), 1, dtype=at.dtype)), dim=1)
    solution = torch.linalg.lstsq(plain, goals).solution
    assert (plain @ solution - goals).abs().max() < 1e-2
    assert (solution[:2] - torch.eye(2)).abs().max() > 0.05


def test_thin_plates_are_those_of_scipy():
    from scipy.interpolate import RBFInterpolator

    from bluref.degrade.geometry import _lattice, _thin_plate

    moved = 0.2 * torch.randn(9, 2, generator=seeded(0))
    at = torch.rand(50, 2, generator=seeded(1)) * 2 - 1
    spline = RBFInterpolator(_lattice(3).numpy(), (_lattice(3) + moved).numpy())
    expected = torch.from_numpy(spline(at.numpy())).float()
    torch.testing.assert_close(_thin_plate(moved)(at), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_bumps_are_local_and_as_high_as_told():
    config = GeometryConfig(strength=(0.0, 0.0), max_shift=0.0, bumps=(1, 1), bump_height=1.6)
    heights, far = [], []
    for seed in range(80):
        flow = random_flow(seeded(seed), (160, 160), config)[0]
        length = flow.norm(dim=0)
        heights.append(flow.flatten(1)[:, length.argmax()])
        far.append(length.median() < 0.3 * length.max())
    assert 1.2 < torch.stack(heights).std() < 1.8  # a net of 8 px rounds the sharpest tops off
    assert sum(far) > 60


def test_the_field_goes_on_beyond_its_border_and_stays_the_same_within():
    flow = random_flow(seeded(5), SIZE, GeometryConfig())
    more = random_flow(seeded(5), SIZE, GeometryConfig(), border=19)
    assert more.shape == (1, 2, 96 + 38, 128 + 38)
    torch.testing.assert_close(more[..., 19:-19, 19:-19], flow, atol=1e-4, rtol=0)
    assert (more.diff(dim=-1).abs().max()) < 3  # no break at the border


def test_as_many_fields_stand_still_as_told_and_the_others_are_what_they_were():
    moving = GeometryConfig()
    some = GeometryConfig(still=0.3)
    still = [not random_flow(seeded(s), (32, 32), some, border=4).any() for s in range(200)]
    assert 0.2 < sum(still) / 200 < 0.4
    assert random_flow(seeded(0), (32, 32), some, border=4).shape == (1, 2, 40, 40)
    # A share of nothing draws nothing: pairs that matchers are scored on stay what they were.
    none = GeometryConfig(still=0.0, smooth=0.0)
    assert torch.equal(random_flow(seeded(1), SIZE, none), random_flow(seeded(1), SIZE, moving))


def test_smooth_fields_have_no_bumps():
    bumpy = {"strength": (0.0, 0.0), "max_shift": 0.0}
    flat = GeometryConfig(**bumpy, smooth=0.4)
    without = [random_flow(seeded(s), (64, 64), flat).abs().max() < 1e-3 for s in range(100)]
    assert 0.25 < sum(without) / 100 < 0.55


def test_strength_is_drawn_log_uniformly_between_its_bounds():
    config = only(1, strength=(0.01, 1.0), corner=(0.5, 0.5))
    lengths = [random_flow(seeded(s), (64, 64), config).abs().max().item() for s in range(200)]
    middle = torch.tensor(lengths).median()  # at the geometric mean, 0.1, times half the side
    assert 0.1 * 0.5 * 32 * 0.7 < middle < 0.1 * 0.5 * 32 * 1.3


@pytest.mark.parametrize(
    "bad",
    [
        {"odds": (0.0, 0.0, 0.0)},
        {"odds": (1.0, -1.0, 1.0)},
        {"strength": (0.0, 0.3)},
        {"strength": (0.3, 0.1)},
        {"corner": (0.5, 0.3)},
        {"scale": 1.0},
        {"max_shift": -1.0},
        {"bumps": (5, 4)},
        {"still": 1.0},
        {"smooth": -0.1},
        {"bump_width": (0.0, 0.1)},
    ],
)
def test_a_config_out_of_bounds_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        GeometryConfig(**bad)


def test_a_picture_without_extent_has_no_flow():
    with pytest.raises(ValueError, match="at least 2"):
        random_flow(seeded(0), (1, 64), GeometryConfig())
