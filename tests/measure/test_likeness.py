import numpy as np
import pytest
import scipy.fft
import torch
import torch.nn.functional as F

from bluref.measure.likeness import BITS, differences, distances, impression
from bluref.media.picture import read_picture, write_picture


def photograph(seed):
    """Shapes of all sizes, as pictures have them: coarse ones strong, fine ones weak."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, 120, 160)
    for side in (3, 6, 12, 24, 48):
        rough = torch.rand(1, 3, side, side, generator=generator) / side**0.5
        image += F.interpolate(rough, (120, 160), mode="bicubic")
    return (image / image.max()).clamp(0, 1)


def bits_apart(one, other):
    return int(distances(impression(one).signs[None], impression(other).signs[None])[0, 0])


def test_the_same_picture_is_known_again_whatever_was_done_to_it(tmp_path):
    image = photograph(0)
    write_picture(image, tmp_path / "image.jpg", quality=50)
    smaller = F.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)
    moved = F.avg_pool2d(F.pad(image, (4, 4, 0, 0), mode="replicate"), (1, 9), stride=1)
    for same in (read_picture(tmp_path / "image.jpg"), smaller, moved, image * 0.7):
        assert bits_apart(image, same) <= 16


def test_other_pictures_agree_in_about_half_of_the_bits():
    signs = np.stack([impression(photograph(seed)).signs for seed in range(12)])
    apart = distances(signs, signs)[np.triu_indices(12, 1)]
    assert apart.min() > 64
    assert abs(apart.mean() - BITS / 2) < 16


def test_the_hash_is_the_sign_of_scipys_cosine_transform():
    seen = impression(photograph(1))
    low = scipy.fft.dctn(seen.small.astype(np.float64), norm=None)[:16, :16].flatten()[1:]
    assert len(low) == BITS
    assert (seen.signs == (low > np.median(low))).mean() > 0.99


def test_distances_count_differing_bits():
    random = np.random.default_rng(0)
    one, other = random.random((3, BITS)) > 0.5, random.random((4, BITS)) > 0.5
    wanted = [[np.sum(a != b) for b in other] for a in one]
    np.testing.assert_array_equal(distances(one, other), wanted)


def test_differences_are_root_mean_squares():
    random = np.random.default_rng(0)
    one = random.random((2, 32, 32), dtype=np.float32)
    other = np.stack([one[0], one[1] + 0.01, 1 - one[0]])
    wanted = [[np.sqrt(((a - b) ** 2).mean()) for b in other] for a in one]
    np.testing.assert_allclose(differences(one, other), wanted, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_picture_of_one_colour_is_blank(value):
    seen = impression(torch.full((1, 3, 50, 70), value))
    assert seen.blank
    assert seen.brightness == pytest.approx(value, abs=1e-6)
    assert not impression(photograph(2)).blank
