"""PNG: what goes in comes out, seen by libraries other than the one under test."""

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.media.photos.pictures import (
    ICC,
    XMP,
    chunks_of,
    copied,
    decoded,
    exif,
    noise,
    png,
    same,
)

from bluref.media.photos import vips
from bluref.media.photos.photo import open_photo


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_returns_every_bit_and_chunk(tmp_path, channels, bits):
    told = [
        (b"gAMA", b"\0\0\xb1\x8f"),
        (b"cICP", bytes((9, 16, 0, 1))),
        (b"eXIf", exif()[6:]),
        (b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x14\1"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        (b"sBIT", bytes([bits - 1] * channels)),
        (b"prVt", b"private, and safe to copy"[:20]),
    ]
    told[-1] = (b"prVt", told[-1][1])
    values = noise(channels, bits)
    source = png(tmp_path / "a.png", values, chunks=told, after=[(b"tEXt", b"Author\0me")])
    out = copied(source)
    before, after = chunks_of(source), chunks_of(out)
    assert [c for c in after if c[0] != b"IDAT"] == [c for c in before if c[0] != b"IDAT"]
    back = cv2.imdecode(np.fromfile(out, np.uint8), cv2.IMREAD_UNCHANGED)
    if channels == 2:
        assert back.shape[2] == 4
        back = back[..., 2:]
    elif channels > 2:
        back = back[..., [2, 1, 0, 3][:channels]]
    np.testing.assert_array_equal(back.reshape(values.shape), values)
    with open_photo(out) as photo:
        assert (photo.depth, photo.planes, photo.orientation) == (bits, 1, 6)


def test_what_other_pixels_would_make_wrong_is_left_out(tmp_path):
    unsafe = [(b"prVT", b"x"), (b"iDOT", bytes(28))]
    out = copied(png(tmp_path / "a.png", noise(), chunks=unsafe))
    assert [name for name, _ in chunks_of(out)] == [b"IHDR", b"IDAT", b"IEND"]


def test_a_palette_becomes_its_colours_and_their_alpha(tmp_path):
    palette = noise(3, height=1, width=256)[0]
    clear = bytes(range(256))
    source = png(
        tmp_path / "a.png", noise(1), palette=palette, chunks=[(b"tRNS", clear), (b"iCCP", ICC)]
    )
    out = copied(source)
    with Image.open(source) as picture:
        expected = np.array(picture.convert("RGBA"))
    np.testing.assert_array_equal(decoded(out), expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_greys_become_eight_bits_of_the_same_greys(tmp_path, bits):
    values = noise(1) % 2**bits
    out = copied(png(tmp_path / "a.png", values, bits=bits))
    np.testing.assert_array_equal(decoded(out), values * (255 // (2**bits - 1)))


def test_an_interlaced_png_stays_interlaced(tmp_path):
    source = tmp_path / "a.png"
    vips.from_array(noise()).pngsave(str(source), interlace=True)
    out = copied(source)
    same(source, out)
    assert dict(chunks_of(out))[b"IHDR"][-1] == 1


@pytest.mark.parametrize(("bits", "kept"), [(4, False), (8, True), (16, True)])
def test_a_background_is_kept_where_its_value_means_the_same(tmp_path, bits, kept):
    values = noise(1, max(bits, 8)) & (2**bits - 1)
    background = (b"bKGD", b"\0\x0f")
    source = png(tmp_path / "a.png", values, bits=bits, chunks=[background, (b"sBIT", b"\4")])
    chunks = chunks_of(copied(source))
    assert (background in chunks) == kept
    assert (b"sBIT", b"\4") in chunks
