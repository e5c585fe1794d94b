"""What holds for photographs of every format, seen by libraries other than the one under test."""

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from tests.media.photos.pictures import copied, decoded, exif, noise, pillow, png, smooth

from bluref.media.photos.photo import open_photo


def planes(path):
    with open_photo(path) as photo:
        return photo.read(photo.height)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif", "heic"])
def test_the_way_a_picture_is_turned_is_told_and_kept(tmp_path, suffix, orientation):
    values = smooth()
    options = {"webp": {"lossless": True}, "jpg": {"quality": 98}}.get(suffix, {"quality": 95})
    source = pillow(tmp_path / f"a.{suffix}", values, exif=exif(orientation), **options)
    with open_photo(source) as photo:
        assert photo.orientation == orientation
        assert (photo.height, photo.width) == (24, 40)
        stored = photo.read(24)
    assert (stored[0].permute(1, 2, 0) * 255 - torch.from_numpy(values)).abs().max() < 25
    out = copied(source)
    with open_photo(out) as photo:
        assert photo.orientation == orientation
    with Image.open(source) as before, Image.open(out) as after:
        assert after.size == before.size
        assert after.getexif().get(0x0112) == before.getexif().get(0x0112)
        assert after.getexif().get_ifd(0x8769) == before.getexif().get_ifd(0x8769)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif", "heic"])
def test_rows_are_changed_and_land_where_they_came_from(tmp_path, suffix):
    options = {"webp": {"lossless": True}, "jpg": {"quality": 98}}.get(suffix, {"quality": 98})
    source = pillow(tmp_path / f"a.{suffix}", smooth(), **options)
    out = copied(source, change=lambda rows: 1 - rows)
    assert np.abs(255 - decoded(out).astype(int) - smooth()).mean() < 3


def test_inks_are_two_pictures_of_the_light_they_leave(tmp_path):
    source = tmp_path / "a.tif"
    inks = noise(4)
    tifffile.imwrite(source, inks, photometric="separated")
    with open_photo(source) as photo:
        light = photo.read(24)
    assert light.shape == (2, 3, 24, 40)
    expected = torch.from_numpy(255 - inks).permute(2, 0, 1) / 255
    torch.testing.assert_close(light[0], expected[:3])
    torch.testing.assert_close(light[1], expected[3:].expand(3, -1, -1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif", "heic"])
def test_a_corrupt_profile_is_carried_and_never_fails(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    source = pillow(
        tmp_path / f"a.{suffix}", smooth(), icc_profile=b"no profile at all" * 20, **options
    )
    with Image.open(copied(source)) as picture:
        assert picture.info["icc_profile"] == b"no profile at all" * 20


def test_a_corrupt_exif_block_is_carried_and_never_fails(tmp_path):
    for suffix in ("png", "jpg", "webp"):
        source = pillow(tmp_path / f"a.{suffix}", smooth(), exif=b"Exif\0\0MM\0*\0\0\xff\xffbroken")
        assert copied(source).exists()


def test_values_outside_the_range_are_clamped(tmp_path):
    source = png(tmp_path / "a.png", noise(bits=16))
    out = copied(source, change=lambda rows: rows * 4 - 2)
    assert set(np.unique(planes(out))) >= {0.0, 1.0}
