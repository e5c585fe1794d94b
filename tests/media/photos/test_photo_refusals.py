"""Bad files, bad names and bad places: one line that names the file and the mend, no traceback."""

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.media.photos.pictures import SUFFIXES, chunk, copied, decoded, made, noise, png

from bluref.errors import UserError
from bluref.media.photos import vips


def refusal(path, **limits):
    with pytest.raises(UserError) as caught:
        copied(path, path.with_name("result"), **limits)
    assert not path.with_name("result").exists()
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
    assert "\n" not in caught.value.problem.replace(str(path), "")
    assert str(path) in caught.value.problem
    return f"{caught.value.problem}; {caught.value.fix}"


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "avif"])
def test_animations_are_refused_with_what_to_do(tmp_path, suffix):
    frames = [Image.fromarray(noise() // (i + 1)) for i in range(3)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    told = refusal(path)
    assert "animation" in told
    assert "make a video of it" in told
    assert suffix in ("gif", "avif") or "of 3 frames" in told


def test_a_document_of_pages_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    frames = [Image.fromarray(noise()) for _ in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert "4 pages" in refusal(path)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint32, np.int16, np.int8])
def test_values_that_are_not_8_or_16_bits_are_refused(tmp_path, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise().astype(kind), photometric="rgb")
    assert "not 8 or 16 bits of grey, RGB or CMYK" in refusal(path)


def test_lab_values_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="cielab")
    assert "not 8 or 16 bits of grey, RGB or CMYK" in refusal(path)


def test_a_raw_photograph_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, noise(), photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0), True)]
    )
    assert "develop it first" in refusal(path)


@pytest.mark.parametrize(
    ("start", "word"),
    [
        (b"", "is empty"),
        (b"no picture at all", "is not a PNG, JPEG, WebP, TIFF, AVIF or HEIC picture"),
        (b"BM" + bytes(50), "BMP"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\x89PNG\r\n\x1a\n", "cannot decode"),
        (b"\xff\xd8\xff", "cannot decode"),
        (b"II*\0\xff\xff\xff\xff", "cannot decode"),
        (b"RIFF\0\0\0\0WEBP", "cannot decode"),
        (b"\0\0\0\x10ftypavif\0\0\0\0", "cannot decode"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, start, word):
    path = tmp_path / "a.png"
    path.write_bytes(start)
    assert word in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_truncated_file_is_refused(tmp_path, suffix, share):
    options = {"lossless": True} if suffix == "webp" else {}
    path = made(tmp_path, suffix, noise(height=96, width=128), **options)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "copy it again" in refusal(path) or "replace it" in refusal(path)


def test_nothing_is_said_on_stderr_by_the_libraries(tmp_path, capfd):
    for suffix in SUFFIXES:
        path = made(tmp_path, suffix, noise(height=96, width=128))
        path.write_bytes(path.read_bytes()[:-400])
        refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_limit_of_pixels_is_exact_and_can_be_raised(tmp_path, suffix):
    path = made(tmp_path, suffix)
    told = refusal(path, max_pixels=24 * 40 - 1)
    assert "40 x 24" in told
    assert "--max-pixels" in told
    assert copied(path, max_pixels=24 * 40).exists()


def test_the_limit_of_bytes_is_exact_and_can_be_raised(tmp_path):
    path = made(tmp_path, "png")
    size = path.stat().st_size
    assert "--max-bytes" in refusal(path, max_bytes=size - 1)
    assert copied(path, max_bytes=size).exists()


def bomb(width, height):
    """A PNG of much more than it has bytes: rows of zeros, a thousand times compressed."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(bomb(100_000, 90_000))
    monkeypatch.setattr(vips, "Region", None)  # nothing can be decoded without
    assert "9,000,000,000" in refusal(path) or "100000 x 90000" in refusal(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_smallest_picture(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = made(tmp_path, suffix, noise(height=1, width=1), **options)
    assert decoded(copied(path)).shape == (1, 1, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_picture_of_one_row_or_column(tmp_path, suffix, turned):
    options = {"lossless": True} if suffix == "webp" else {}
    sides = {"height": 5000, "width": 1} if turned else {"height": 1, "width": 5000}
    path = made(tmp_path, suffix, noise(**sides), **options)
    out = decoded(copied(path, rows=1 if not turned else 5000))
    assert out.shape == (sides["height"], sides["width"], 3)
    if suffix != "jpg":
        np.testing.assert_array_equal(out, noise(**sides))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_very_wide_picture(tmp_path, suffix):
    path = made(tmp_path, suffix, noise(height=3, width=65_535))
    np.testing.assert_array_equal(decoded(copied(path)), noise(height=3, width=65_535))


NAMES = ["with space.png", "quo'te\"s.png", "line\nbreak.png", "Übung 写真.png", "--.png", "-o"]
NAMES += ["%s%d.png", "a[1].png", "a,b.png", "no suffix", "a.png[access=random]", b"\xff.png"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_read_and_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(name)
    values = noise()
    png(Path(name), values)
    (tmp_path / "sub").mkdir()
    np.testing.assert_array_equal(decoded(copied(Path(name), Path("sub") / name)), values)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_content_counts_and_not_the_name(tmp_path, suffix):
    path = made(tmp_path, suffix).rename(tmp_path / "a.doc")
    out = copied(path, tmp_path / "b.png")
    with Image.open(path) as before, Image.open(out) as after:
        assert after.format == before.format


@pytest.mark.parametrize("name", ["missing", "folder", "loop", "nul\0l", "pipe"])
def test_what_cannot_be_opened_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    assert name in refusal(tmp_path / name)


def test_heic_without_its_extra_names_it(tmp_path, monkeypatch):
    path = made(tmp_path, "heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install 'bluref[heif]'" in refusal(path)


def test_messages_that_quote_a_file_need_not_be_text():
    with pytest.raises(UserError, match="cannot decode"), vips.decoding(Path("a")):
        vips.Image.pngload(b"/missing/\xff\x80.png")
    with pytest.raises(UserError, match="cannot decode") as caught, vips.decoding(Path("a")):
        vips.Image.pngload("/missing/b.png")
    assert "/missing/b.png" in caught.value.problem


def test_a_heic_file_that_hides_its_picture_is_refused(tmp_path):
    path = made(tmp_path, "heic")
    data = bytearray(path.read_bytes())
    at = data.index(b"infe") + 7
    data[at] = 1
    path.write_bytes(data)
    assert "copy it again" in refusal(path)


def with_tags(path, numbers, size):
    """A TIFF file with further tags of `size` bytes each, which all share one place."""
    tifffile.imwrite(path, noise(), photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[first : first + 2])
    entries = data[first + 2 : first + 2 + 12 * count]
    entries += b"".join(struct.pack("<HHII", number, 7, size, 8) for number in numbers)
    data += bytes(len(data) % 2)
    data[4:8] = struct.pack("<I", len(data))
    data += struct.pack("<H", count + len(numbers)) + entries + bytes(4)
    path.write_bytes(data + bytes(max(0, size + 8 - len(data))))
    return path


def test_tags_that_share_one_place_do_not_fill_the_memory(tmp_path):
    told = refusal(with_tags(tmp_path / "a.tif", range(50_000, 51_000), 4 << 20))
    assert "beside its pixels" in told


@pytest.mark.slow
def test_large_tags_are_carried_and_layers_are_not(tmp_path):
    out = copied(with_tags(tmp_path / "a.tif", (37724, 50_000), 60 << 20))
    assert 60 << 20 < out.stat().st_size < 61 << 20
    np.testing.assert_array_equal(tifffile.imread(out), noise())


@pytest.mark.parametrize("place", [8, None])
def test_places_beyond_the_file_are_refused_or_left_out(tmp_path, place):
    """The first directory of a BigTIFF, and the value of a tag in it, at 2^64 - 1."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", bigtiff=True, software="x" * 50)
    data = bytearray(path.read_bytes())
    if place is None:
        place = data.index(struct.pack("<HHQ", 305, 2, 51)) + 12
    data[place : place + 8] = b"\xff" * 8
    path.write_bytes(data)
    if place == 8:
        refusal(path)
    else:
        np.testing.assert_array_equal(tifffile.imread(copied(path)), noise())


def test_a_directory_that_follows_itself_ends(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[first : first + 2])
    data[first + 2 + 12 * count : first + 6 + 12 * count] = struct.pack("<I", first)
    path.write_bytes(data)
    np.testing.assert_array_equal(decoded(copied(path)), noise())


def test_an_animation_of_one_frame_is_refused_too(tmp_path):
    """A frame of 40 x 24 at (6, 4) of a canvas of 60 x 50, put together by RFC 9649."""
    pixels = made(tmp_path, "webp", quality=90).read_bytes()[12:]
    place = b"".join(n.to_bytes(3, "little") for n in (3, 2, 39, 23, 100)) + b"\0"
    canvas = b"\2\0\0\0" + (59).to_bytes(3, "little") + (49).to_bytes(3, "little")
    parts = [(b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", place + pixels)]
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(b)) + b for name, b in parts)
    path = tmp_path / "one.webp"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with Image.open(path) as picture:
        assert picture.size == (60, 50)
    assert "an animation of one frame; save that frame" in refusal(path)
