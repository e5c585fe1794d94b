import pytest
import torch
import torch.nn.functional as F


@pytest.fixture(scope="session")
def texture():
    """A picture with detail at every scale, which a classical flow can hold on to."""

    def make(seed, height=96, width=128):
        generator = torch.Generator().manual_seed(seed)
        image = torch.zeros(1, 3, height, width)
        for cell, strength in ((3, 0.3), (8, 0.4), (24, 0.3)):
            coarse = torch.rand(1, 3, height // cell + 2, width // cell + 2, generator=generator)
            image += strength * F.interpolate(coarse, (height, width), mode="bicubic")
        return image.clamp(0, 1)

    return make
