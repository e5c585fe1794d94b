import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.objects import MovingObject, ObjectConfig, compose, random_objects
from bluref.degrade.warp import warp

SIZE = (80, 96)
MARGIN = 16


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(seed: int) -> torch.Tensor:
    coarse = torch.rand(1, 3, 16, 16, generator=seeded(seed))
    size = (SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN)
    return F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)


def disc(x: float, y: float, shift: tuple[float, float], radius: float = 12.0) -> MovingObject:
    return MovingObject(
        target=torch.tensor((float(x), float(y))),
        shift=torch.tensor(shift),
        turn=torch.eye(2),
        radius=radius,
        waves=torch.zeros(4, 2),
        softness=1.0,
    )


def view(*objects: MovingObject, flow: torch.Tensor | None = None):
    flow = torch.zeros(1, 2, *SIZE) if flow is None else flow
    return compose(smooth(0), smooth(1), flow, objects, SIZE)


def test_where_an_object_hides_the_scene_in_the_reference_nothing_is_valid():
    seen = view(disc(30, 40, (40.0, 0.0)))
    there = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    there[..., 40, 60:81] = True  # the disc around x = 70 in the reference
    assert not seen.valid[there].any()
    assert (seen.flow[:, :, 40, 60:81] == 0).all()


def test_an_object_moves_by_its_own_flow_and_is_valid_itself():
    seen = view(disc(30, 40, (40.0, 3.0)))
    assert seen.valid[0, 0, 32:48, 22:38].all()
    assert (seen.flow[0, 0, 32:48, 22:38] == 40).all()
    assert (seen.flow[0, 1, 32:48, 22:38] == 3).all()
    assert (seen.flow[0, :, 5, 5] == 0).all()


def test_its_motion_is_added_to_that_of_the_scene_behind_it():
    flow = torch.full((1, 2, *SIZE), 2.0)
    seen = view(disc(30, 40, (5.0, -3.0)), flow=flow)
    assert seen.flow[0, :, 40, 30].tolist() == [7.0, -1.0]


def test_edges_that_show_two_things_are_not_valid():
    seen = view(disc(30, 40, (0.0, 0.0)))
    mixed = (seen.cover > 0.05) & (seen.cover < 0.95)
    assert mixed.sum() > 30
    assert torch.equal(seen.valid, ~mixed)


def test_a_nearer_object_hides_a_farther_one_and_not_the_other_way_round():
    far, near = disc(25, 40, (30.0, 0.0)), disc(75, 40, (-20.0, 0.0))  # both end at x = 55
    seen = view(far, near)
    assert not seen.valid[0, 0, 40, 20:30].any()
    assert seen.valid[0, 0, 40, 70:80].all()
    other = view(near, far)
    assert other.valid[0, 0, 40, 20:30].all()
    assert not other.valid[0, 0, 40, 70:80].any()


def test_what_left_the_reference_is_not_valid():
    seen = view(disc(80, 40, (30.0, 0.0)))
    assert not seen.valid[0, 0, 40, 75:85].any()


@pytest.mark.parametrize("seed", range(5))
def test_the_reference_along_the_flow_is_the_target(seed):
    # 2 px from anything invalid no sample of the bicubic kernel sees another layer, and the two
    # agree to float precision; up to there a share of 5 % of another layer may be in either.
    objects = random_objects(seeded(seed), SIZE, ObjectConfig(most=3))
    flow = torch.full((1, 2, *SIZE), 1.3)
    seen = view(*objects, flow=flow)
    error = (warp(seen.reference, seen.flow).clamp(0, 1) - seen.target).abs().amax(1, True)
    inner = F.max_pool2d((~seen.valid).float(), 7, stride=1, padding=3) == 0
    inner &= warp(F.pad(torch.zeros(1, 1, 74, 90), (3,) * 4, value=1.0), seen.flow) == 0
    assert inner.float().mean() > 0.4
    assert error[inner].quantile(0.99) < 1e-3
    assert error[seen.valid].square().mean() < 1e-3


def test_a_border_continues_the_target_and_changes_nothing_else():
    objects = random_objects(seeded(1), SIZE, ObjectConfig())
    plain = view(*objects)
    wide = compose(smooth(0), smooth(1), torch.zeros(1, 2, 80 + 20, 96 + 20), objects, SIZE)
    assert wide.target.shape[-2:] == (100, 116)
    torch.testing.assert_close(wide.target[..., 10:-10, 10:-10], plain.target)
    torch.testing.assert_close(wide.flow[..., 10:-10, 10:-10], plain.flow)
    assert torch.equal(wide.valid[..., 10:-10, 10:-10], plain.valid)
    assert torch.equal(wide.reference, plain.reference)
    assert not wide.valid[..., :9, :].any()


def test_every_number_of_objects_comes_up():
    counts = [len(random_objects(seeded(s), SIZE, ObjectConfig(most=2))) for s in range(60)]
    assert set(counts) == {0, 1, 2}


@pytest.mark.parametrize(
    "bad",
    [
        {"most": -1},
        {"radius": (0.0, 0.1)},
        {"softness": (2.0, 1.0)},
        {"shift": -1.0},
        {"scale": 1.0},
    ],
)
def test_a_config_out_of_bounds_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ObjectConfig(**bad)


def test_views_that_share_no_centre_are_refused():
    with pytest.raises(ValueError, match="does not lie around"):
        compose(smooth(0), smooth(1), torch.zeros(1, 2, 81, 96), (), SIZE)
