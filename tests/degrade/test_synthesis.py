import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.kernels import MotionConfig
from bluref.degrade.noise import NoiseConfig
from bluref.degrade.synthesis import SynthesisConfig, synthetic_pair

SILENT = NoiseConfig(shot=(0.0, 0.0), read=(0.0, 0.0))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(s) for s in seeds]


def smooth(seed: int, side: int = 96) -> torch.Tensor:
    """A blob at the centre on a soft ramp: its centroid is easy to measure."""
    at = torch.arange(side, dtype=torch.float32) - (side - 1) / 2
    width = 5 + seed % 7
    blob = torch.exp(-(at[:, None] ** 2 + at**2) / (2 * width**2))
    return blob[None, None].expand(1, 3, side, side).contiguous()


def centroid(image: torch.Tensor) -> torch.Tensor:
    light = image.pow(2.2)[0, 0]
    at = torch.arange(light.shape[-1], dtype=light.dtype)
    return torch.stack(((light * at).sum(), (light * at[:, None]).sum())) / light.sum()


@pytest.mark.slow
@settings(max_examples=20, deadline=None, database=None)
@given(seed=st.integers(0, 10**6))
def test_the_blurry_picture_is_not_shifted_against_the_sharp_one(seed):
    motion = MotionConfig(length=(4.0, 16.0), size=17, shaky=0.5)
    config = SynthesisConfig(motion=motion, noise=SILENT)
    blurry, sharp = synthetic_pair(smooth(seed), generators(seed), config)
    torch.testing.assert_close(centroid(blurry), centroid(sharp), atol=0.02, rtol=0)


def test_both_lose_the_margin_and_the_sharp_one_nothing_else():
    config = SynthesisConfig()
    image = torch.rand(2, 3, 60, 70)
    blurry, sharp = synthetic_pair(image, generators(0, 1), config)
    assert config.margin == 16
    assert torch.equal(sharp, image[..., 16:-16, 16:-16])
    assert blurry.shape == sharp.shape


def test_nothing_beyond_the_border_gets_into_the_pair():
    config = SynthesisConfig(motion=MotionConfig(length=(16.0, 16.0), size=17), noise=SILENT)
    image = torch.rand(1, 3, 100, 100)
    whole, _ = synthetic_pair(image, generators(2), config)
    part, _ = synthetic_pair(image[..., 20:-20, 20:-20], generators(2), config)
    torch.testing.assert_close(part, whole[..., 20:-20, 20:-20], atol=1e-4, rtol=0)


def test_an_item_is_decided_by_its_generator_and_not_by_its_batch():
    image = torch.rand(3, 3, 48, 48)
    together, _ = synthetic_pair(image, generators(7, 8, 9), SynthesisConfig())
    alone, _ = synthetic_pair(image[1:2], generators(8), SynthesisConfig())
    torch.testing.assert_close(together[1:2], alone)


def test_without_motion_and_noise_nothing_happens():
    motion = MotionConfig(length=(0.0, 0.0), size=3)
    config = SynthesisConfig(motion=motion, noise=SILENT)
    blurry, sharp = synthetic_pair(torch.rand(1, 3, 20, 20), generators(0), config)
    torch.testing.assert_close(blurry, sharp, atol=2e-3, rtol=0)


def test_the_input_is_left_as_it_was():
    image = torch.rand(1, 3, 48, 48)
    before = image.clone()
    synthetic_pair(image, generators(0), SynthesisConfig())
    assert torch.equal(image, before)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="above 32"):
        synthetic_pair(torch.rand(1, 3, 32, 64), generators(0), SynthesisConfig())
    with pytest.raises(ValueError, match="need 2 generators"):
        synthetic_pair(torch.rand(2, 3, 64, 64), generators(0), SynthesisConfig())
