import pytest
import torch

from bluref.degrade.footage import Exposure
from bluref.degrade.tree import develop, write_clip
from bluref.errors import UserError
from bluref.media.picture import read_picture


def exposures(count: int):
    for k in range(count):
        yield Exposure(torch.full((1, 3, 8, 8), k / 10), torch.full((1, 3, 8, 8), 1.0))


def write(made, folder, least=1):
    return write_clip(made, folder, lambda blurry, _: blurry, least=least, wrote=lambda: None)


def test_a_clip_is_laid_out_as_in_the_gopro_set(tmp_path):
    assert write(exposures(2), tmp_path / "train" / "walk") == 2
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert files == [
        f"train/walk/{kind}/00000{k}.png" for kind in ("blur", "sharp") for k in (0, 1)
    ]
    blurry = read_picture(tmp_path / "train" / "walk" / "blur" / "000001.png")
    assert blurry.mean().item() == pytest.approx(0.1, abs=1 / 255)


def test_a_clip_that_breaks_off_leaves_nothing(tmp_path):
    def broken():
        yield from exposures(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(broken(), tmp_path / "train" / "walk")
    assert list(tmp_path.iterdir()) == []


def test_too_short_and_empty_clips_are_dropped(tmp_path):
    assert write(exposures(3), tmp_path / "train" / "walk", least=4) == 0
    assert write(exposures(0), tmp_path / "train" / "walk") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        write(exposures(1), tmp_path / "file" / "train" / "walk")


def test_noise_has_the_strength_asked_for_in_grey_levels():
    grey = torch.full((1, 3, 200, 200), 0.5)
    noisy = develop(grey, torch.Generator().manual_seed(0), noise=5.0, jpeg=None)
    assert (255 * (noisy - grey)).std().item() == pytest.approx(5, rel=0.02)
    assert (noisy - grey).mean().abs() < 1e-3


def test_without_noise_and_compression_nothing_happens():
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(develop(image, torch.Generator(), noise=0.0, jpeg=None), image)


def test_compression_costs_more_at_lower_quality():
    image = torch.rand(1, 3, 64, 64)
    errors = [
        (develop(image, torch.Generator(), noise=0.0, jpeg=q) - image).abs().mean().item()
        for q in (20, 60, 95)
    ]
    assert errors[0] > errors[1] > errors[2] > 0
