"""Pairs of real frames: their truth comes from a classical flow between sharp frames."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bluref.degrade.camera import only_motion
from bluref.degrade.tone import ToneConfig
from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.store import FrameStore
from bluref.match.footage import FootageConfig, FootagePairs
from bluref.match.pairs import PairConfig, PairSource
from bluref.media.picture import write_picture

STILL = ToneConfig(exposure=0.0, gamma=0.0, balance=0.0, contrast=0.0)
CONFIG = FootageConfig(share=1.0, reach=3, surround=16, along=0.0)


@pytest.fixture(scope="module")
def clip(texture, tmp_path_factory):
    """A camera that moves three pixels to the right per frame."""
    folder = tmp_path_factory.mktemp("clip")
    wide = texture(0, 200, 240)
    frames = []
    for n in range(6):
        path = Path(folder) / f"{n}.png"
        write_picture(wide[..., 3 * n : 3 * n + 200], path)
        frames.append(Frame("clip", n, path))
    return frames, FrameStore(folder / "store")


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_the_flow_is_the_motion_between_the_two_frames(clip):
    frames, store = clip
    draw = FootagePairs(store, 128, CONFIG, only_motion(0.0), STILL)
    for seed in range(6):
        pair = draw(frames, seeded(seed))
        steps = -pair.flow[:, 0][pair.valid[:, 0]] / 3
        distance = round(steps.median().item())
        assert abs(distance) in (1, 2, 3)
        assert (steps - distance).abs().mean() < 0.05
        assert pair.valid.float().mean() > 0.8


def test_the_reference_warped_gives_the_clean_target(clip):
    frames, store = clip
    draw = FootagePairs(store, 128, CONFIG, only_motion(12.0), STILL)
    pair = draw(frames, seeded(0))
    error = (warp(pair.reference, pair.flow) - pair.clean).abs()[pair.valid.expand(1, 3, -1, -1)]
    assert error.mean() < 0.01
    assert (pair.target - pair.clean).abs().mean() > 0.01  # only the target is blurred


def test_photographs_of_several_sizes_make_no_pair(texture, tmp_path):
    frames = []
    for n, width in enumerate((240, 200)):
        write_picture(texture(0, 200, 240)[..., :width], tmp_path / f"{n}.png")
        frames.append(Frame("holiday", n, tmp_path / f"{n}.png"))
    draw = FootagePairs(FrameStore(tmp_path / "store"), 128, CONFIG, only_motion(0.0), STILL)
    assert all(draw(frames, seeded(seed)) is None for seed in range(4))


def test_unrelated_frames_make_no_pair(texture, tmp_path):
    frames = []
    for n in range(2):
        write_picture(texture(n + 5, 200, 200), tmp_path / f"{n}.png")
        frames.append(Frame("stills", n, tmp_path / f"{n}.png"))
    draw = FootagePairs(FrameStore(tmp_path / "store"), 128, CONFIG, only_motion(0.0), STILL)
    assert draw(frames, seeded(0)) is None


def test_a_source_falls_back_to_warped_pictures_and_keeps_to_itself(clip):
    frames, store = clip
    config = PairConfig(crop=128, margin=16, footage=CONFIG)
    mixed = PairSource(frames, store, seed=1, batch=2, config=config)
    again = mixed(5, first=1).flow
    torch.testing.assert_close(mixed(5).flow[1:], again[:1])
    alone = PairSource(frames[:1], store, seed=1, batch=1, config=config)(0)
    assert alone.flow.shape == (1, 2, 128, 128)


@pytest.mark.parametrize(
    "wrong", [{"share": 1.5}, {"reach": 0}, {"exposure": (1.0, 0.5)}, {"tolerance": 0.0}]
)
def test_bounds_are_checked(wrong):
    with pytest.raises(ValueError, match=r"must lie|need"):
        FootageConfig(**wrong)


def test_blur_along_the_motion_is_as_long_as_what_moves_in_an_interval(clip):
    """Numbers count, not places in the list; a clip may keep every third frame."""
    frames, store = clip
    moving = replace(CONFIG, along=1.0, reach=5, exposure=(1.0, 1.0))

    def change(numbers, seed, camera):
        renamed = [replace(f, index=n) for f, n in zip(frames, numbers, strict=True)]
        pair = FootagePairs(store, 128, moving, camera, STILL)(renamed, seeded(seed))
        return pair and (pair.target - pair.clean).abs().mean().item()

    for seed in range(4):
        near = change(range(6), seed, only_motion(12.0))
        assert near > 0
        assert change(range(0, 18, 3), seed, only_motion(12.0)) == pytest.approx(near, rel=1e-4)
        # Somebody else's clip goes on from 4 to 50: what is that far apart is no pair.
        odd = change((0, 1, 2, 3, 4, 50), seed, only_motion(12.0))
        assert odd is None or odd == pytest.approx(near, rel=0.5)
        # Where the camera does not blur, nothing does.
        assert change(range(6), seed, only_motion(0.0)) == 0


def test_a_frame_with_none_near_it_makes_no_pair(clip):
    frames, store = clip
    draw = FootagePairs(store, 128, replace(CONFIG, reach=1), only_motion(0.0), STILL)
    numbers = (0, 1, 10, 20, 30, 40)
    apart = [replace(f, index=n) for f, n in zip(frames, numbers, strict=True)]
    made = [draw(apart, seeded(seed)) for seed in range(12)]
    assert None in made
    assert any(pair is not None for pair in made)
