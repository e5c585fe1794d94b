"""What goes in comes out: a matrix of formats, seen by libraries other than the one under test."""

import av
import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
import torch
from PIL import Image
from tests.media.pictures import (
    ICC,
    XMP,
    chunks_of,
    copied,
    decoded,
    exif,
    noise,
    pillow,
    png,
    smooth,
)

from bluref.media import vips
from bluref.media.photo import open_photo

pillow_heif.register_heif_opener()


def planes(path):
    with open_photo(path) as photo:
        return photo.read(photo.height)


def info(path):
    """All that Pillow tells of a file beside its pixels."""
    with Image.open(path) as picture:
        told = {k: v for k, v in picture.info.items() if k not in ("transparency", "icc_profile")}
        exact = picture.info.get("icc_profile"), picture.info.get("exif")
        return picture.format, picture.mode, picture.size, exact, told


def assert_one_encoding_apart(out, source, original):
    """`out` is about as far from `source` as that, encoded the same way, is from the original."""
    again = np.abs(decoded(out).astype(int) - decoded(source)).mean()
    once = np.abs(decoded(source).astype(int) - original).mean()
    assert again <= 1.25 * once + 0.05


def same(a, b):
    np.testing.assert_array_equal(decoded(a), decoded(b))


# --- PNG


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


# --- JPEG


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


# --- WebP


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


# --- TIFF


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


# --- AVIF and HEIC


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


# --- what holds for all


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
