"""The matcher that comes with the package."""

from importlib import resources

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.blur import blur
from bluref.degrade.kernels import motion_kernel
from bluref.match.dis import DISMatcher
from bluref.match.named import matcher_named
from bluref.match.pdcnet.matcher import PDCMatcher
from bluref.match.polish import PolishedMatcher

FOLDER = resources.files("bluref.weights") / "compact"


@pytest.fixture(scope="module")
def compact():
    matcher = matcher_named("compact")
    assert isinstance(matcher, PolishedMatcher)
    assert isinstance(matcher.matcher, PDCMatcher)
    return matcher


def scene(seed: int, side: int = 288) -> torch.Tensor:
    """Edges and texture at every scale."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 3, side, side)
    for cells in (6, 18, 48, 96):
        coarse = torch.rand(1, 3, cells, cells, generator=generator)
        mode = "nearest" if cells == 18 else "bicubic"
        picture += 0.25 * F.interpolate(coarse, (side, side), mode=mode)
    return picture.clamp(0, 1)


def test_it_is_small_and_has_a_card():
    assert (FOLDER / "model.safetensors").stat().st_size < 10e6
    card = (FOLDER / "README.md").read_text("utf-8")
    for said in ("Data", "Steps", "Figures", "Licence"):
        assert said in card


@pytest.mark.parametrize("shift", [(3, 0), (0, -5), (20, 12)])
def test_it_finds_a_shift(compact, shift):
    wide, (x, y) = scene(0, side=320), shift
    target = wide[..., 32 + y : 288 + y, 32 + x : 288 + x]
    reference = wide[..., 32:288, 32:288]
    match = compact.match(compact.encode(target), compact.encode(reference))
    inner = match.flow[..., 32:-32, 32:-32]
    for axis, expected in enumerate(shift):
        assert inner[:, axis].median() == pytest.approx(expected, abs=0.5)


@pytest.mark.slow
def test_through_blur_it_is_nearer_than_a_classical_flow(compact):
    """On pictures that no training has seen; the full comparison is in docs/experiments.md."""
    dis, errors = DISMatcher(), {"compact": [], "dis": []}
    for seed in range(3):
        wide = scene(seed + 10)
        kernel = motion_kernel(torch.Generator().manual_seed(seed), length=20.0, size=33)[None]
        target = blur(wide, kernel)[..., 20:276, 16:272]
        reference = wide[..., 16:272, 16:272]
        for name, matcher in (("compact", compact), ("dis", dis)):
            flow = matcher.match(matcher.encode(target), matcher.encode(reference)).flow
            off = flow - torch.tensor([0.0, 4.0]).view(1, 2, 1, 1)
            errors[name].append(off.norm(dim=1)[..., 32:-32, 32:-32].mean().item())
    assert sum(errors["compact"]) < sum(errors["dis"])
