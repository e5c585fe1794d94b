"""A folder of two pairs, as it is made."""

from dataclasses import replace

import pytest
import torch

from bluref.pseudo.pairs.completion import completed
from bluref.pseudo.pairs.folder import PairsFolder
from bluref.pseudo.target import PseudoSharp

TOLD = {
    "name": "clip__000002",
    "clip": "clip",
    "index": 2,
    "width": 20,
    "height": 16,
    "coverage": 0.75,
    "mean_trust": 0.5,
    "completed": 0.25,
    "expected_psnr": 30.0,
    "round": 1,
    "source": "clip/000002.png",
    "references": ["clip/000001", "clip/000003"],
    "source_hash": "00",
    "reference_hashes": ["01", "02"],
    "key": "first",
}


@pytest.fixture
def target():
    """A target that is silent in its left half, and trusted from 0 to 1 downwards in the other."""
    generator = torch.Generator().manual_seed(1)
    support = torch.zeros(1, 1, 16, 20)
    support[..., 10:] = 2
    weight = support.clamp(max=1) * torch.linspace(0, 1, 16).view(1, 1, 16, 1)
    image = torch.rand(1, 3, 16, 20, generator=generator) * (support > 0)
    return PseudoSharp(image, weight, support)


@pytest.fixture
def write(target):
    """Writes a pair of a name into an open folder."""

    def write(folder, name="clip__000002", **told):
        sharp = completed(target, torch.full((1, 3, 16, 20), 0.4))
        blurry = torch.full((1, 3, 16, 20), 0.6)
        return folder.write(blurry, sharp, target.weight, {**TOLD, "name": name, **told})

    return write


@pytest.fixture
def pairs(tmp_path, write):
    """An open folder, and the records of its two pairs."""
    folder = PairsFolder(tmp_path / "pairs", {"round": 1})
    first = write(folder)
    return folder, [first, replace(write(folder, "clip__000004", index=4), expected_psnr=28.5)]
