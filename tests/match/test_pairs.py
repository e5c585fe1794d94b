from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.camera import only_motion
from bluref.degrade.geometry import GeometryConfig
from bluref.degrade.objects import ObjectConfig
from bluref.degrade.tone import ToneConfig
from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.store import FrameStore
from bluref.match.pairs import PairConfig, Pairs, PairSource, fitted, join, make_pair, scene_box
from bluref.media.picture import write_picture

SMALL = PairConfig(crop=96, margin=24)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def same(one: Pairs, other: Pairs) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Pairs))


@pytest.fixture(scope="module")
def source(texture, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharp")
    frames = []
    for i, (height, width) in enumerate([(200, 260), (240, 180), (150, 150)]):
        path = Path(folder) / f"{i}.png"
        write_picture(texture(i, height, width), path)
        frames.append(Frame("clip", i, path))
    return PairSource(frames, FrameStore(folder / "store"), seed=7, batch=4, config=SMALL)


def agreement(pairs: Pairs, *, away: int) -> float:
    """PSNR of warped reference and clean target, that far from whatever is not valid."""
    hidden = F.pad((~pairs.valid).float(), (1,) * 4, value=1.0)
    side = 2 * away + 1
    inner = F.max_pool2d(hidden, side, stride=1, padding=away)[..., 1:-1, 1:-1] == 0
    error = (warp(pairs.reference, pairs.flow).clamp(0, 1) - pairs.clean).square()
    return -10 * error[inner.expand_as(error)].mean().log10().item()


@pytest.mark.slow
@pytest.mark.parametrize("strength", [(0.05, 0.3), (0.5, 1.0)])
def test_the_reference_along_the_true_flow_is_the_clean_target(texture, strength):
    # Both are sampled from the same pixels by the same bicubic kernel, so 4 px from any edge they
    # agree to rounding (some 100 dB); what is lost to 55 dB is the kernel reaching over an edge in
    # the reference where the flow magnifies. Next to edges the share of 5 % of another layer that
    # a valid pixel may hold, and the kernel's reach, leave 30 dB on this harsh texture.
    geometry = GeometryConfig(strength=strength)
    config = replace(SMALL, geometry=geometry)
    for seed in range(6):
        pairs = make_pair(texture(1, 220, 220), texture(2, 220, 220), seeded(seed), config)
        assert agreement(pairs, away=4) > 55
        assert agreement(pairs, away=0) > 30


def test_a_wrong_flow_is_noticed(texture):
    pairs = make_pair(texture(1, 220, 220), texture(2, 220, 220), seeded(0), SMALL)
    assert agreement(replace(pairs, flow=pairs.flow + 0.5), away=4) < 35
    assert agreement(replace(pairs, flow=pairs.flow.flip(1)), away=4) < 35


@pytest.mark.slow
def test_a_pair_is_a_function_of_seed_step_and_item_alone(source):
    batch = source(3)
    assert same(batch, source(3))
    larger = replace(source, batch=6)(3)
    for number in (2, 0):
        alone = source.item(3, number)
        for pairs in (batch, larger):
            mine = Pairs(*(getattr(pairs, f.name)[number : number + 1] for f in fields(Pairs)))
            assert same(alone, mine)
    assert not same(batch, source(4))
    assert not same(batch, replace(source, seed=8)(3))


def test_shapes_and_ranges(source):
    pairs = source(0)
    for image in (pairs.target, pairs.clean, pairs.reference):
        assert image.shape == (4, 3, 96, 96)
        assert 0 <= image.min() <= image.max() <= 1
    assert pairs.flow.shape == (4, 2, 96, 96)
    assert pairs.valid.shape == (4, 1, 96, 96)
    assert 0.3 < pairs.valid.float().mean() < 1
    assert pairs.flow.isfinite().all()
    assert (pairs.target - pairs.clean).abs().mean() > 0.01


def test_a_change_of_camera_leaves_motion_and_objects_as_they_were(source):
    drawn = [
        replace(source, config=replace(SMALL, camera=only_motion(length)))(1)
        for length in (0.0, 10.0, 20.0)
    ]
    for pairs in drawn:
        torch.testing.assert_close(pairs.flow, drawn[0].flow, atol=1e-3, rtol=0)
        assert (pairs.valid != drawn[0].valid).float().mean() < 1e-3
        torch.testing.assert_close(pairs.reference, drawn[0].reference, atol=1e-5, rtol=0)
    assert torch.equal(drawn[0].target, drawn[0].clean)
    changes = [(pairs.target - pairs.clean).abs().mean() for pairs in drawn]
    assert changes[0] < changes[1] < changes[2]


def test_objects_hide_part_of_the_scene(texture):
    pictures = texture(1, 220, 220), texture(2, 220, 220)
    still = GeometryConfig(strength=(0.0, 0.0), max_shift=0.0, bumps=(0, 0))
    plain = replace(SMALL, geometry=still, tone=ToneConfig(odds=0.0))
    none = replace(plain, objects=ObjectConfig(most=0))
    some = replace(plain, objects=ObjectConfig(most=3, shift=40.0))
    without = [make_pair(*pictures, seeded(s), none) for s in range(8)]
    assert all(p.valid.all() for p in without)
    seen = join([make_pair(*pictures, seeded(s), some) for s in range(8)])
    background = join(without).clean
    changed = (seen.reference - background).abs().amax(1, True) > 0.05
    here = seen.flow.norm(dim=1, keepdim=True) < 1e-3  # the scene, which does not move
    assert (changed & here).sum() > 300
    assert not (seen.valid & changed & here).any()


@pytest.mark.parametrize("size", [(480, 854), (100, 140), (96, 96), (40, 500), (20, 20)])
def test_frames_of_any_size_serve(texture, size):
    pairs = make_pair(texture(1, *size), texture(2, 150, 90), seeded(0), SMALL)
    assert pairs.target.shape == (1, 3, 96, 96)
    assert pairs.target.isfinite().all()
    assert agreement(pairs, away=4) > 55


def test_a_small_picture_is_continued_by_its_mirror_image():
    row = torch.arange(3.0).expand(1, 3, 9, 3)
    assert fitted(row, 9)[0, 0, 0].tolist() == [2, 1, 0, 0, 1, 2, 2, 1, 0]


def test_a_large_picture_is_reduced_without_aliasing():
    fine = torch.zeros(1, 3, 128, 128)
    fine[..., ::2] = 1
    torch.testing.assert_close(
        fitted(fine, 64)[..., 2:-2], torch.full((1, 3, 64, 60), 0.5), atol=0.02, rtol=0
    )


def test_the_input_is_left_as_it_was(texture):
    picture, other = texture(1, 144, 144), texture(2, 144, 144)
    before = picture.clone()
    for seed in range(4):
        make_pair(picture, other, seeded(seed), SMALL)
    assert torch.equal(picture, before)


@pytest.mark.parametrize("bad", [{"crop": 16}, {"margin": -1}, {"scale": (0.0, 1.0)}])
def test_a_config_out_of_bounds_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        PairConfig(**bad)


def test_a_source_needs_frames_and_a_batch(source):
    with pytest.raises(ValueError, match="frame"):
        replace(source, frames=[])
    with pytest.raises(ValueError, match="batch"):
        replace(source, batch=0)


def test_half_of_the_scenes_are_squeezed_and_stay_inside_the_frame():
    config = replace(SMALL, squeeze=1.8, scale=(0.8, 1.0))
    boxes = [scene_box(seeded(seed), (200, 300), config) for seed in range(60)]
    assert all(box.left + box.width <= 300 for box in boxes)
    factors = [box.width / box.height for box in boxes]
    assert 15 < sum(factor > 1.01 for factor in factors) < 45
    assert 1.5 < max(factors) <= 1.81
    with pytest.raises(ValueError, match="squeeze must be at least 1"):
        replace(SMALL, squeeze=0.5)


def test_a_squeezed_cut_keeps_all_of_its_width():
    ramp = torch.linspace(0, 1, 90).view(1, 1, 1, 90).expand(1, 3, 50, 90)
    squeezed = fitted(ramp, 50)
    assert squeezed.shape == (1, 3, 50, 50)
    assert squeezed[..., 0].max() < 0.02
    assert squeezed[..., -1].min() > 0.98
