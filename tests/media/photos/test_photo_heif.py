"""AVIF and HEIC: what goes in comes out, seen by libraries other than the one under test."""

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from tests.media.photos.pictures import (
    ICC,
    XMP,
    copied,
    decoded,
    exif,
    info,
    noise,
    pillow,
    smooth,
)

from bluref.media.photos import vips

pytestmark = pytest.mark.slow


def stored_values(path):
    """Values of an AVIF file by FFmpeg, in the order that they are stored, and colour tags."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        tags = (frame.color_primaries, frame.color_trc)
        if frame.format.name.startswith("gbrp"):
            values = frame.to_ndarray()
            return values, frame.format.name, tags
        return frame.to_ndarray(), frame.format.name, tags


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_lossless_avif_returns_every_bit_at_its_depth(tmp_path, depth):
    values = noise() if depth == 8 else noise(bits=16)
    source = tmp_path / "a.avif"
    vips.from_array(values).heifsave(
        str(source), compression="av1", lossless=True, bitdepth=depth, effort=1
    )
    before, after = stored_values(source), stored_values(copied(source))
    assert before[1:] == after[1:]
    assert before[1].startswith("gbrp" if depth == 8 else f"gbrp{depth}")
    np.testing.assert_array_equal(after[0], before[0])


@pytest.mark.parametrize("kind", ["avif", "heic"])
@pytest.mark.parametrize("channels", [3, 4])
def test_what_stands_beside_lossy_pixels_is_kept(tmp_path, kind, channels):
    values = smooth(channels, height=48, width=64)
    source = pillow(
        tmp_path / f"a.{kind}", values, quality=90, exif=exif(6), icc_profile=ICC, xmp=XMP
    )
    out = copied(source)
    before, after = info(source), info(out)
    assert after[:4] == before[:4]
    assert after[4].get("xmp") == before[4].get("xmp") == XMP
    upright = [decoded(p).astype(int) for p in (source, out)]
    assert np.abs(upright[0] - upright[1])[..., :3].mean() < 1
    if channels == 4:
        assert np.abs(upright[0] - upright[1])[..., 3].max() <= 4


def test_grey_avif_stays_grey(tmp_path):
    values = smooth(1, height=48, width=64)
    source = pillow(tmp_path / "a.avif", values, quality=90, exif=exif(6))
    out = copied(source)
    assert info(out)[:4] == info(source)[:4]
    with Image.open(source) as picture:
        assert picture.mode == "L"
    assert np.abs(decoded(out).astype(int) - decoded(source)).mean() < 1


def test_colour_tags_of_an_hdr_picture_are_kept(tmp_path):
    source = tmp_path / "a.heic"
    pillow_heif.encode(
        "RGB;16",
        (40, 24),
        noise(bits=16).tobytes(),
        source,
        quality=-1,
        chroma=444,
        matrix_coefficients=0,
        color_primaries=9,
        transfer_characteristics=16,
        bit_depth=12,
    )
    out = copied(source)
    before, after = (pillow_heif.open_heif(p, convert_hdr_to_8bit=False) for p in (source, out))
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
    assert after.info["bit_depth"] == before.info["bit_depth"] == 12
    assert after.info["nclx_profile"] == before.info["nclx_profile"]
    assert after.info["nclx_profile"]["transfer_characteristics"] == 16


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "RGB;16", "RGBA;16"])
def test_lossless_heic_returns_every_bit(tmp_path, mode):
    channels = len(mode.split(";")[0])
    values = noise(channels, 16 if "16" in mode else 8)
    source = tmp_path / "a.heic"
    with source.open("wb") as file:
        pillow_heif.encode(
            mode, (40, 24), values.tobytes(), file, quality=-1, chroma=444, matrix_coefficients=0
        )
    out = copied(source)
    before, after = (pillow_heif.open_heif(p, convert_hdr_to_8bit=False) for p in (source, out))
    assert after.mode == before.mode
    assert after.info["bit_depth"] == before.info["bit_depth"]
    np.testing.assert_array_equal(np.asarray(after), np.asarray(before))
