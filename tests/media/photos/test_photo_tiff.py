"""TIFF: what goes in comes out, seen by libraries other than the one under test."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.media.photos.pictures import (
    ICC,
    XMP,
    copied,
    decoded,
    exif,
    noise,
    pillow,
    same,
    smooth,
)

from bluref.media.photos import vips
from bluref.media.photos.photo import open_photo


def tags(path):
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        told = {tag.code: tag.value for tag in page.tags}
        return page, told


KINDS = [
    ("minisblack", 1, []),
    ("minisblack", 2, ["unassalpha"]),
    ("rgb", 3, []),
    ("rgb", 4, ["unassalpha"]),
    ("rgb", 4, ["unspecified"]),
    ("separated", 4, []),
    ("separated", 5, ["unassalpha"]),
]


@pytest.mark.parametrize(("photometric", "channels", "extra"), KINDS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_returns_every_bit_and_tag(tmp_path, photometric, channels, extra, bits, order):
    source = tmp_path / "a.tif"
    values = noise(channels, bits)
    tifffile.imwrite(
        source,
        values[..., 0] if channels == 1 else values,
        byteorder=order,
        photometric=photometric,
        extrasamples=extra or None,
        compression="adobe_deflate",
        predictor=True,
        planarconfig="contig" if channels > 1 else None,
        resolution=(300, 301),
        resolutionunit="INCH",
        iccprofile=ICC,
        software="a camera",
        description="a picture",
        metadata=None,
        extratags=[
            (700, 1, len(XMP), XMP, True),
            (274, 3, 1, 6, True),
            (271, 2, 0, "Maker", True),
            (33723, 4, 3, (1, 2, 0x01020304), True),
            (50000, 12, 2, (0.5, 1e300), True),
            (50001, 5, 1, (7, 9), True),
        ],
    )
    out = copied(source)
    same(source, out)
    (before, told), (after, now) = tags(source), tags(out)
    layout = {254, 273, 278, 279, 284, 332, 339}  # how the encoder stored the same values
    assert {k: v for k, v in now.items() if k not in layout} == {
        k: v for k, v in told.items() if k not in layout
    }
    assert (after.photometric, after.compression) == (before.photometric, before.compression)
    with open_photo(out) as photo:
        assert (photo.orientation, photo.depth) == (6, bits)
        assert photo.planes == (2 if photometric == "separated" else 1)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_exif_and_gps_directories_of_a_tiff_are_kept(tmp_path, big, order):
    source = pillow(tmp_path / "a.tif", noise(), exif=exif(), big_tiff=big)
    if order == ">":
        picture = Image.open(source)
        pixels = np.array(picture)
        block = Image.Exif()
        block.load(exif())
        block.endian = ">"
        Image.fromarray(pixels).save(source, exif=block)
    out = copied(source)
    same(source, out)
    (_, told), (_, now) = tags(source), tags(out)
    assert {34665, 34853} <= set(told)
    for directory in (34665, 34853):
        assert now[directory] == told[directory]
    assert now[34665]["MakerNote"] == bytes(range(256))
    assert now[33432] == "somebody"


@pytest.mark.parametrize(
    ("compression", "kept"),
    [(None, 1), ("lzw", 5), ("adobe_deflate", 8), ("packbits", 32773), ("jpeg", 8)],
)
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_tiff_keeps_lossless_compression_and_tiles(tmp_path, compression, kept, tile):
    source = tmp_path / "a.tif"
    names = {None: "none", "adobe_deflate": "deflate"}
    options = {"tile": True, "tile_width": 32, "tile_height": 16} if tile else {}
    vips.from_array(smooth()).tiffsave(
        str(source), compression=names.get(compression, compression), **options
    )
    out = copied(source)
    page, _ = tags(out)
    assert page.compression == kept
    assert page.is_tiled == bool(tile)
    with Image.open(source) as before, Image.open(out) as after:
        np.testing.assert_array_equal(np.array(after), np.array(before.convert("RGB")))


@pytest.mark.parametrize("bits", [8, 16])
def test_colours_multiplied_by_their_alpha_come_back(tmp_path, bits):
    values = noise(4, bits)
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, values, photometric="rgb", extrasamples=["assocalpha"])
    out = copied(source)
    np.testing.assert_array_equal(decoded(out), values)
    assert tags(out)[1][338] == tags(source)[1][338]


def test_a_tiff_palette_becomes_its_colours(tmp_path):
    source = tmp_path / "a.tif"
    colours = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(source, noise(1)[..., 0], photometric="palette", colormap=colours)
    expected = (colours.T // 257)[noise(1)[..., 0]]
    np.testing.assert_array_equal(decoded(copied(source)), expected)


def test_a_preview_behind_a_tiff_picture_is_no_page(tmp_path):
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source) as file:
        file.write(noise(), photometric="rgb")
        file.write(noise(height=6, width=10), photometric="rgb", subfiletype=1)
    with tifffile.TiffFile(copied(source)) as file:
        assert len(file.pages) == 1
        np.testing.assert_array_equal(file.pages[0].asarray(), noise())


PRIMARIES = (64, 100, 33, 100, 30, 100, 60, 100, 15, 100, 6, 100)


def curve(bits, channels=3):
    return tuple(v * 65535 // (2**bits - 1) for v in range(2**bits)) * channels


def coloured(path, values, bits, **options):
    """With a white point, primaries, and a transfer curve for samples of so many bits."""
    table = curve(bits)
    told = [(318, 5, 2, (3127, 10000, 3290, 10000), True), (319, 5, 6, PRIMARIES, True)]
    told.append((301, 3, len(table), table, True))
    tifffile.imwrite(path, values, extratags=told, metadata=None, **options)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_what_the_values_of_a_tiff_stand_for_is_kept(tmp_path, order):
    source = coloured(tmp_path / "a.tif", noise(), 8, photometric="rgb", byteorder=order)
    now = tags(copied(source))[1]
    assert now[318] == (3127, 10000, 3290, 10000)
    assert now[319] == PRIMARIES
    assert tuple(np.ravel(now[301])) == curve(8)


@pytest.mark.parametrize(
    ("photometric", "bits", "kept"),
    [("palette", 8, {301, 318, 319}), ("minisblack", 1, {318, 319}), ("miniswhite", 8, set())],
)
def test_of_a_tiff_that_is_stored_otherwise_what_still_holds_is_kept(
    tmp_path, photometric, bits, kept
):
    options = {"photometric": photometric}
    if photometric == "palette":
        options["colormap"] = np.random.default_rng(2).integers(0, 2**16, (3, 256), np.uint16)
    values = noise(1)[..., 0] if bits == 8 else noise(1)[..., 0] > 99
    source = coloured(tmp_path / "a.tif", values, bits, **options)
    out = copied(source)
    assert {301, 318, 319} & set(tags(out)[1]) == kept
