"""WebP: what goes in comes out, seen by libraries other than the one under test."""

import numpy as np
import pytest
from tests.media.photos.pictures import (
    ICC,
    XMP,
    assert_one_encoding_apart,
    copied,
    decoded,
    exif,
    info,
    noise,
    pillow,
    same,
    smooth,
)


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_webp_returns_every_bit(tmp_path, channels):
    source = pillow(
        tmp_path / "a.webp",
        noise(channels),
        lossless=True,
        exact=True,
        exif=exif(),
        icc_profile=ICC,
        xmp=XMP,
    )
    out = copied(source)
    same(source, out)
    assert info(out) == info(source)
    assert info(out)[3] == (ICC, exif().removeprefix(b"Exif\0\0"))


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("told", [{}, {"exif": exif(), "icc_profile": ICC, "xmp": XMP}])
def test_lossy_webp_is_encoded_once_more(tmp_path, channels, told):
    values = smooth(channels, height=64, width=96)
    source = pillow(tmp_path / "a.webp", values, quality=80, exact=True, **told)
    out = copied(source)
    assert info(out) == info(source)
    assert_one_encoding_apart(out, source, values)
    if channels == 4:
        before, after = decoded(source), decoded(out)
        np.testing.assert_array_equal(after[..., 3], before[..., 3])
