import pytest
import torch

from bluref.degrade.noise import NoiseConfig, add_noise


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(s) for s in seeds]


def test_variance_is_shot_times_light_plus_reading():
    config = NoiseConfig(shot=(4e-4, 4e-4), read=(0.02, 0.02))
    light = torch.tensor([0.0, 0.25, 1.0])[None, :, None, None].expand(1, 3, 300, 300)
    noisy = add_noise(light, generators(0), config)
    expected = 4e-4 * torch.tensor([0.0, 0.25, 1.0]) + 0.02**2
    torch.testing.assert_close((noisy - light).var(dim=(0, 2, 3)), expected, rtol=0.03, atol=0)
    torch.testing.assert_close(noisy.mean((2, 3)), light.mean((2, 3)), atol=5e-4, rtol=0)


def test_no_strength_means_no_noise():
    light = torch.rand(2, 3, 5, 5)
    config = NoiseConfig(shot=(0.0, 0.0), read=(0.0, 0.0))
    assert torch.equal(add_noise(light, generators(0, 1), config), light)


def test_each_picture_has_its_own_noise_whatever_its_place():
    light = torch.full((1, 3, 6, 6), 0.5)
    config = NoiseConfig()
    pair = add_noise(light.expand(2, 3, 6, 6), generators(5, 6), config)
    assert torch.equal(pair[1:], add_noise(light, generators(6), config))
    assert not torch.equal(pair[0], pair[1])


def test_wrong_choices_are_refused():
    with pytest.raises(ValueError, match="read"):
        NoiseConfig(read=(0.1, 0.0))
    with pytest.raises(ValueError, match="need 2 generators"):
        add_noise(torch.rand(2, 3, 4, 4), generators(0), NoiseConfig())
