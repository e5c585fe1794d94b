import contextlib
import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bluref.errors import UserError
from bluref.media.picture import (
    PICTURE_SUFFIXES,
    is_picture,
    list_pictures,
    picture_size,
    read_picture,
    write_picture,
)
from bluref.media.pixels import from_array, to_array

SUFFIXES = sorted(PICTURE_SUFFIXES)
LOSSLESS = (".png", ".tif", ".tiff")


def gradient(height=24, width=40):
    """A smooth picture whose corners and colours all differ."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x / (width - 1), 255 * y / (height - 1)
    return np.stack((red, green, 255 - red), axis=-1).astype(np.uint8)


def png_header(width, height):
    """A PNG of the stated size with no pixels behind its header, made from the specification."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\x35\xaf\x06\x1e"


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_red_square_stays_red_and_stays_in_its_corner(tmp_path, suffix):
    image = torch.zeros(1, 3, 32, 48)
    image[:, 0, :16, :16] = 1
    write_picture(image, tmp_path / f"a{suffix}")
    for back in (
        read_picture(tmp_path / f"a{suffix}"),
        from_array(np.array(Image.open(tmp_path / f"a{suffix}").convert("RGB"))),
    ):
        assert back.shape == image.shape
        assert (back - image).abs().mean() < 0.02
        torch.testing.assert_close(back[0, :, 4, 4], torch.tensor([1.0, 0, 0]), atol=0.05, rtol=0)
        assert back[0, :, 28, 44].max() < 0.05


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_return_every_byte(tmp_path, suffix):
    write_picture(from_array(gradient()), tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(to_array(read_picture(tmp_path / f"a{suffix}")), gradient())


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    write_picture(from_array(gradient()), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as picture:
        assert {(h, v) for _, h, v, _ in picture.layer} == {(1, 1)}


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_trades_size_for_error(tmp_path, suffix):
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    sizes, errors = [], []
    for quality in (20, 95):
        write_picture(noise, tmp_path / f"a{suffix}", quality=quality)
        sizes.append((tmp_path / f"a{suffix}").stat().st_size)
        errors.append((read_picture(tmp_path / f"a{suffix}") - noise).abs().mean())
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1]


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_out_of_range_is_refused(tmp_path, quality):
    with pytest.raises(ValueError, match=f"got {quality}"):
        write_picture(torch.zeros(1, 3, 2, 2), tmp_path / "a.jpg", quality=quality)


def test_values_outside_the_range_are_clamped(tmp_path):
    write_picture(torch.tensor([-1.0, 2.0, 1.02]).reshape(1, 3, 1, 1), tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").flatten().tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a", "a.png.txt", ".png"])
def test_an_unknown_suffix_is_refused_and_nothing_is_written(tmp_path, name):
    with pytest.raises(UserError, match="suffix") as caught:
        write_picture(torch.zeros(1, 3, 2, 2), tmp_path / name)
    assert ".webp" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_side_too_long_for_the_format_is_refused(tmp_path, suffix):
    with pytest.raises(UserError, match="at most"):
        write_picture(torch.zeros(1, 3, 1, 65_501), tmp_path / f"a{suffix}")


@pytest.mark.parametrize(("suffix", "longest"), [(".jpg", 65_500), (".webp", 16_383)])
def test_the_longest_side_of_a_format_is_written(tmp_path, suffix, longest):
    write_picture(torch.zeros(1, 3, 1, longest), tmp_path / f"a{suffix}")
    assert picture_size(tmp_path / f"a{suffix}") == (1, longest)


# What the first row and first column of the stored pixels show, from the EXIF specification
# (CIPA DC-008, tag 274), undone here with numpy.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_pictures_are_turned_upright(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = np.ascontiguousarray(STORED[orientation](gradient()))
    path = saved(tmp_path / f"a{suffix}", stored, exif=exif)
    np.testing.assert_array_equal(to_array(read_picture(path)), gradient())
    assert picture_size(path) == gradient().shape[:2]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_pictures_are_turned_upright_too(tmp_path, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = saved(tmp_path / f"a{suffix}", np.ascontiguousarray(STORED[6](gradient())), exif=exif)
    assert (read_picture(path) - from_array(gradient())).abs().mean() < 0.03
    assert picture_size(path) == gradient().shape[:2]


def test_a_malformed_exif_block_does_not_hide_the_picture(tmp_path):
    path = saved(tmp_path / "a.png", gradient(), exif=b"Exif\0\0not a TIFF header")
    np.testing.assert_array_equal(to_array(read_picture(path)), gradient())
    assert picture_size(path) == gradient().shape[:2]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_keeps_its_depth(tmp_path, suffix):
    grey = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    image = read_picture(saved(tmp_path / f"a{suffix}", grey))
    assert image.shape == (1, 3, 256, 256)
    expected = torch.linspace(0, 1, 65_536).reshape(256, 256).expand(1, 3, -1, -1)
    torch.testing.assert_close(image, expected)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", ".png"), ("1", ".png"), ("LA", ".png"), ("L", ".jpg"), ("L", ".tif"), ("LA", ".webp")],
)
def test_grey_becomes_three_equal_channels(tmp_path, mode, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(gradient()).convert(mode).save(path)
    image = read_picture(path)
    assert image.shape == (1, 3, 24, 40)
    assert image.max() - image.min() > 0.4
    assert (image.amax(1) - image.amin(1)).max() < 0.05


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_is_dropped_and_the_colour_under_it_kept(tmp_path, suffix):
    alpha = np.full((24, 40, 1), 7, np.uint8)
    lossless = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    path = saved(tmp_path / f"a{suffix}", np.concatenate((gradient(), alpha), axis=-1), **lossless)
    np.testing.assert_array_equal(to_array(read_picture(path)), gradient())


def test_palettes_with_transparency_become_their_colours(tmp_path):
    palette = Image.fromarray(gradient()).quantize(8)
    palette.save(tmp_path / "a.png", transparency=bytes(range(8)))
    colours = np.array(palette.convert("RGB"))
    np.testing.assert_array_equal(to_array(read_picture(tmp_path / "a.png")), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_printing_inks_become_light(tmp_path, suffix):
    no_ink, cyan = np.zeros((16, 16, 4), np.uint8), np.zeros((16, 16, 4), np.uint8)
    cyan[..., 0] = 255
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.concatenate((no_ink, cyan), axis=1), mode="CMYK").save(path)
    image = read_picture(path)
    torch.testing.assert_close(image[0, :, 8, 3], torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close(image[0, :, 8, 28], torch.tensor([0.0, 1, 1]), atol=0.02, rtol=0)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_the_first_frame_of_an_animation_is_taken(tmp_path, suffix):
    first, second = Image.fromarray(gradient()), Image.new("RGB", (40, 24), "white")
    lossless = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=[second], **lossless)
    np.testing.assert_array_equal(to_array(read_picture(tmp_path / f"a{suffix}")), gradient())


@pytest.mark.parametrize("values", [np.float32(0.5), np.int32(70_000)])
def test_depths_without_a_meaning_for_light_are_refused(tmp_path, values):
    path = saved(tmp_path / "a.tif", np.full((4, 4), values))
    with pytest.raises(UserError, match="16 bits"):
        read_picture(path)


@pytest.mark.parametrize("read", [read_picture, picture_size])
def test_a_huge_header_is_refused_before_anything_is_decoded(tmp_path, read):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(30_000, 30_000))
    with pytest.raises(UserError, match="200,000,000 pixels") as caught:
        read(path)
    assert str(path) in caught.value.problem


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("read", [read_picture, picture_size])
def test_the_size_limit_is_exact_in_every_format(tmp_path, suffix, read):
    path = saved(tmp_path / f"a{suffix}", gradient())
    before = Image.MAX_IMAGE_PIXELS
    read(path, max_pixels=24 * 40)
    with pytest.raises(UserError, match="more than 959 pixels"):
        read(path, max_pixels=24 * 40 - 1)
    with pytest.raises(UserError, match="more than 100 pixels"):
        read(path, max_pixels=100)
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_size_limit_holds_where_warnings_are_silenced(tmp_path):
    path = saved(tmp_path / "a.png", gradient())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UserError, match="more than 959 pixels"):
            read_picture(path, max_pixels=24 * 40 - 1)


def test_a_picture_beyond_the_limit_of_pillow_alone_is_read_up_to_ours(tmp_path):
    path = saved(tmp_path / "a.png", gradient())
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, 100
    try:
        assert read_picture(path).shape == (1, 3, 24, 40)
    finally:
        Image.MAX_IMAGE_PIXELS = before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_truncated_file_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = saved(path, noise).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        read_picture(path)
    assert str(path) in caught.value.problem
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("read", [read_picture, picture_size])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"just some text\n", "is not a PNG"),
        (b"GIF89a" + bytes(40), "not a PNG"),
    ],
)
def test_what_is_not_a_picture_is_refused_by_name(tmp_path, content, words, read):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        read(path)
    assert str(path) in caught.value.problem
    assert caught.value.fix


@pytest.mark.parametrize("name", ["missing.png", ".", "null\0.png", "x" * 300 + ".png"])
def test_a_path_that_cannot_be_opened_is_refused_by_name(tmp_path, name):
    with pytest.raises(UserError, match="cannot open"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["with space", "quo'te\"s", "line\nbreak", "Übung 写真", "%d", "-"]
)
@pytest.mark.parametrize("suffix", [".png", ".JPG"])
def test_any_file_name_works(tmp_path, name, suffix):
    path = tmp_path / f"{name}{suffix}"
    write_picture(from_array(gradient()), path)
    assert read_picture(path).shape == (1, 3, 24, 40)
    assert list_pictures(tmp_path) == [path]


def encoded(suffix, mode):
    file = io.BytesIO()
    picture = Image.fromarray(gradient()).convert(mode)
    kind = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".tif": "TIFF"}[suffix]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(file, kind, exif=exif)
    return file.getvalue()


@settings(deadline=None, database=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    suffix=st.sampled_from([".png", ".jpg", ".webp", ".tif"]),
    mode=st.sampled_from(["RGB", "L"]),
)
def test_damaged_files_give_an_image_or_a_user_error_and_nothing_else(
    tmp_path_factory, seed, suffix, mode
):
    chance, data = random.Random(seed), bytearray(encoded(suffix, mode))
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(min(len(data), 400))] = chance.randrange(256)
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(data[: chance.randint(0, 2 * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata and goes on
        with contextlib.suppress(UserError):
            assert read_picture(path, max_pixels=100_000).shape[:2] == (1, 3)


def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_picture(from_array(gradient()), path)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="no space left"):
        write_picture(torch.zeros(1, 3, 2, 2), path)
    assert picture_size(path) == (24, 40)
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_are_listed_in_natural_order_without_hidden_ones(tmp_path):
    inside = [
        "f1.png",
        "f2.JPG",
        "f10.png",
        "f010.png",
        "F3.tif",
        "n.txt",
        ".f0.png",
        "d.png/x.webp",
    ]
    for name in [*inside, "sub/f10.png", "sub/f9.png", ".hidden/f1.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    top = ["f1.png", "f2.JPG", "F3.tif", "f010.png", "f10.png"]
    assert [str(p.relative_to(tmp_path)) for p in list_pictures(tmp_path)] == top
    deep = [p.relative_to(tmp_path).as_posix() for p in list_pictures(tmp_path, recursive=True)]
    assert deep == ["d.png/x.webp", *top, "sub/f9.png", "sub/f10.png"]


def test_a_loop_of_links_is_not_followed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert list_pictures(tmp_path, recursive=True) == [tmp_path / "a.png"]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_listing_what_is_not_a_folder_is_a_user_error(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=name):
        list_pictures(tmp_path / name)


def test_a_picture_is_known_by_its_suffix_in_either_case():
    assert is_picture("a.PNG")
    assert is_picture("dir/a.b.tiff")
    assert not is_picture("a.mp4")
    assert not is_picture("png")


def test_maps_of_trust_beside_their_pictures_are_no_pictures(tmp_path):
    for name in ("a.png", "a.png.trust.png", "b.png.trust.png"):
        write_picture(torch.rand(1, 3, 8, 8), tmp_path / name)
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.png.trust.png"]
