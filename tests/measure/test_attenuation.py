import math

import numpy as np
import pytest
import scipy.linalg
import torch
import torch.nn.functional as F

from bluref.measure.attenuation import PATCH, attenuation

SIDE = 4 * PATCH + 2


def texture(seed=0, *, stretched=1):
    """Smooth enough to lose little to a pixel of blur, and of detail that lies across if wished."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(1, 3, SIDE // 2, SIDE // (2 * stretched), generator=generator)
    return F.interpolate(rough, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def everywhere(image):
    return torch.ones_like(image[:, :1], dtype=torch.bool)


def blurred(image, kernel):
    side = kernel.shape[-1] // 2
    padded = F.pad(image, (side,) * 4, mode="reflect").transpose(0, 1)
    return F.conv2d(padded, (kernel / kernel.sum())[None, None]).transpose(0, 1)


def line(length):
    kernel = torch.zeros(length, length)
    kernel[length // 2] = 1
    return kernel


def disc(radius):
    x = torch.arange(-radius, radius + 1.0)
    return (x[:, None].square() + x[None].square() <= radius**2 + 0.5).float()


def directed(kept):
    logs = kept.clamp(1e-4, 0.95).log()
    return float((logs[:, 0] / logs[:, 1]).median())


def test_a_picture_keeps_all_of_itself():
    image = texture()
    torch.testing.assert_close(attenuation(image, image, everywhere(image)), torch.ones(16, 2))


def test_the_eigenvalues_are_those_of_scipy():
    blurry, sharp = blurred(texture(), line(5)), texture(1, stretched=3)
    found = attenuation(blurry, sharp, everywhere(sharp))[0]

    def tensor(image):
        grey = image[0].mean(dim=0).double().numpy()[: PATCH + 2, : PATCH + 2]
        x = (grey[:, 2:] - grey[:, :-2])[1:-1]
        y = (grey[2:] - grey[:-2])[:, 1:-1]
        products = [[x * x, x * y], [x * y, y * y]]
        return np.array([[p.mean() for p in row] for row in products]) + 2e-6 * np.eye(2)

    wanted = scipy.linalg.eigh(tensor(blurry), tensor(sharp), eigvals_only=True)
    assert found.tolist() == pytest.approx(wanted.tolist(), rel=1e-3)


def test_motion_takes_most_along_one_direction_and_defocus_alike_along_all():
    image = texture()
    moved = attenuation(blurred(image, line(9)), image, everywhere(image))
    defocused = attenuation(blurred(image, disc(4)), image, everywhere(image))
    assert directed(moved) > 2
    assert directed(defocused) < 1.2
    assert float(defocused.max()) < 0.5


def test_noise_adds_to_every_direction():
    image = texture()
    noisy = image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    assert float(attenuation(noisy, image, everywhere(image)).min()) > 1


def test_what_is_not_known_does_not_count():
    image = texture()
    known = everywhere(image)
    known[..., : SIDE // 2] = False
    spoilt = torch.where(known, image, torch.rand(image.shape))
    kept = attenuation(spoilt, image, known)
    assert len(kept) == 8
    torch.testing.assert_close(kept, torch.ones(8, 2))
    assert len(attenuation(image, image, torch.zeros_like(known))) == 0


@pytest.mark.parametrize("side", [1, PATCH])
def test_pictures_smaller_than_a_patch_say_nothing(side):
    image = texture()[..., :side, :side]
    assert len(attenuation(image, image, everywhere(image))) == 0


def test_plain_walls_and_stripes_say_nothing():
    plain = torch.full((1, 3, SIDE, SIDE), 0.5)
    x = torch.arange(SIDE) * math.tau / 12
    stripes = (0.5 + 0.4 * x.sin()).expand(1, 3, SIDE, SIDE)
    assert len(attenuation(plain, plain, everywhere(plain))) == 0
    assert len(attenuation(stripes, stripes, everywhere(stripes))) == 0
