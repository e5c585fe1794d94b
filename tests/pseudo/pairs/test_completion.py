from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from bluref.pseudo.pairs.completion import OFFSET, completed, expected_psnr


def test_a_target_that_is_believed_is_left_as_it_is_and_silence_is_filled(target):
    network = torch.full((1, 3, 16, 20), 0.4)
    done = completed(target, network)
    believed = (target.weight >= 0.5).expand(-1, 3, -1, -1)
    silent = (~target.mask).expand(-1, 3, -1, -1)
    assert torch.equal(done.image[believed], target.image[believed])
    assert torch.equal(done.image[silent], network[silent])
    assert (done.share[target.weight >= 0.5] == 1).all()
    assert (done.share[~target.mask] == 0).all()


def test_between_the_two_trust_says_how_much_of_each(target):
    quarter = replace(target, weight=torch.full_like(target.weight, 0.25))
    done = completed(quarter, torch.full((1, 3, 16, 20), 0.4))
    expected = 0.5 * target.image + 0.5 * 0.4
    torch.testing.assert_close(done.image[..., 10:], expected[..., 10:])


def test_trust_without_a_reference_counts_for_nothing(target):
    """A truly black pixel is no silent one: the mask says which is which."""
    everywhere = replace(target, weight=torch.ones_like(target.weight))
    done = completed(everywhere, torch.full((1, 3, 16, 20), 0.4))
    assert (done.share[..., :10] == 0).all()


@pytest.mark.parametrize("size", [(16, 20), (33, 9), (8, 64)])
def test_the_expected_psnr_is_the_formula_as_another_library_computes_it(size):
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(1, 3, *size, generator=generator)
    trust = torch.rand(1, 1, *size, generator=generator)
    grey = image[0].numpy().astype(np.float64).mean(axis=0)
    energy = sum(
        ndimage.correlate1d(grey, [-0.5, 0, 0.5], axis=axis, mode="nearest") ** 2 for axis in (0, 1)
    )
    counts = ndimage.uniform_filter(np.ones(size), 9, mode="constant")
    energy = ndimage.uniform_filter(energy, 9, mode="constant") / counts
    doubt = ((1 - trust[0, 0].numpy()) ** 2 * np.maximum(energy, 0) ** 0.25).mean()
    assert expected_psnr(image, trust) == pytest.approx(OFFSET - 10 * np.log10(doubt), abs=1e-3)


def test_more_trust_promises_more_and_so_does_less_detail():
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    trust = torch.full((1, 1, 32, 32), 0.6)
    promised = expected_psnr(image, trust)
    assert expected_psnr(image, trust + 0.1) > promised + 1
    assert expected_psnr(image * 0.1 + 0.45, trust) > promised + 1
    assert np.isfinite(expected_psnr(image, torch.ones(1, 1, 32, 32)))
