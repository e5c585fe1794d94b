"""JPEG: what goes in comes out, seen by libraries other than the one under test."""

import numpy as np
import pytest
from PIL import Image
from tests.media.photos.pictures import (
    ICC,
    XMP,
    assert_one_encoding_apart,
    copied,
    exif,
    info,
    noise,
    pillow,
    smooth,
)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("quality", [30, 75, 90, 98])
def test_jpeg_is_encoded_once_more_no_coarser_than_it_was(tmp_path, mode, quality):
    values = smooth({"L": 1, "RGB": 3, "CMYK": 4}[mode], height=64, width=96)
    chroma = "4:4:4" if mode == "CMYK" else "4:2:0"
    source = pillow(tmp_path / "a.jpg", values, mode=mode, quality=quality, subsampling=chroma)
    out = copied(source)
    with Image.open(source) as before, Image.open(out) as after:
        assert after.mode == mode
        assert after.quantization == before.quantization
        factors = [{i: layer[1:3] for i, layer in enumerate(p.layer)} for p in (before, after)]
        assert mode != "RGB" or factors[0] == factors[1]
    assert_one_encoding_apart(out, source, values)


@pytest.mark.parametrize(
    ("subsampling", "kept"), [("4:4:4", (1, 1)), ("4:2:2", (1, 1)), ("4:2:0", (2, 2))]
)
def test_jpeg_never_loses_colour_resolution(tmp_path, subsampling, kept):
    source = pillow(tmp_path / "a.jpg", smooth(), quality=92, subsampling=subsampling)
    with Image.open(copied(source)) as picture:
        assert picture.layer[0][1:3] == kept


def test_unusual_tables_are_never_made_coarser(tmp_path):
    tables = [[3, *range(5, 68)], [4, *range(9, 72)]]
    source = pillow(tmp_path / "a.jpg", smooth(), qtables=tables)
    with Image.open(source) as before, Image.open(copied(source)) as after:
        for number, table in before.quantization.items():
            assert all(a <= b for a, b in zip(after.quantization[number], table, strict=True))


def test_one_finer_step_asks_for_a_finer_quality(tmp_path):
    """Of quality 80, the largest step of 48 less one: quality 81 scales it to 46."""
    with Image.open(pillow(tmp_path / "a.jpg", smooth(), quality=80)) as picture:
        tables = [list(table) for table in picture.quantization.values()]
    assert max(tables[0]) == 48
    tables[0][tables[0].index(48)] -= 1
    source = pillow(tmp_path / "b.jpg", smooth(), qtables=tables)
    finer = pillow(tmp_path / "c.jpg", smooth(), quality=81)
    with Image.open(copied(source)) as picture, Image.open(finer) as expected:
        assert picture.quantization == expected.quantization


def test_a_quality_that_is_asked_for_is_taken(tmp_path):
    source = pillow(tmp_path / "a.jpg", noise(), quality=95)
    same_quality = pillow(tmp_path / "b.jpg", noise(), quality=20)
    with Image.open(copied(source, quality=20)) as asked, Image.open(same_quality) as expected:
        assert asked.quantization == expected.quantization


def test_a_progressive_jpeg_stays_progressive(tmp_path):
    source = pillow(tmp_path / "a.jpg", smooth(), progressive=True)
    with Image.open(copied(source)) as picture:
        assert picture.info["progressive"]


def test_all_that_a_jpeg_tells_is_kept_byte_for_byte(tmp_path):
    source = pillow(
        tmp_path / "a.jpg",
        smooth(),
        exif=exif(),
        icc_profile=ICC * 150,  # more than one segment holds
        xmp=XMP,
        comment=b"a word",
        dpi=(300, 301),
    )
    assert info(copied(source)) == info(source)
    assert info(source)[3] == (ICC * 150, exif())


@pytest.mark.parametrize("progressive", [False, True])
def test_what_follows_a_jpeg_picture_is_kept_and_found(tmp_path, progressive):
    first = Image.fromarray(noise(height=50, width=70))
    second = Image.fromarray(smooth())
    source = tmp_path / "a.jpg"
    first.save(
        source, "MPO", save_all=True, append_images=[second], progressive=progressive, quality=90
    )
    film = b"\0\0\0\x18ftypmp42 and the film of a motion photo"
    source.write_bytes(source.read_bytes() + film)
    out = copied(source, quality=99)
    assert out.read_bytes().endswith(film)
    assert out.stat().st_size != source.stat().st_size
    with Image.open(source) as before, Image.open(out) as after:
        assert after.n_frames == 2
        after.seek(1)
        before.seek(1)
        np.testing.assert_array_equal(np.array(after), np.array(before))
