"""Picture files of every kind, written and looked at by libraries other than the one under test."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms

from bluref.media.photos.photo import open_photo

pillow_heif.register_heif_opener()

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="r"/></x:xmpmeta>'
TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG colour type by channels
SUFFIXES = ["png", "jpg", "webp", "tif", "avif", "heic"]


def smooth(channels=3, bits=8, height=24, width=40):
    """Values that differ at every corner and in every channel; alpha has fully clear pixels."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    waves = [x / width, y / height, (x + y) / (height + width), ((x - y) / width) ** 2]
    picture = np.stack([waves[i] for i in range(channels)], axis=-1) * (2**bits - 1)
    if channels in (2, 4):
        picture[..., -1] = np.where(x < width / 3, 0, picture[..., -1])
    return picture.round().astype(np.uint8 if bits == 8 else np.uint16)


def noise(channels=3, bits=8, height=24, width=40):
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(1).integers(0, 2**bits, (height, width, channels), kind)


def exif(orientation=6):
    """An EXIF block with text, a time in the inner directory, a place, and a maker's own bytes."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x8298] = orientation, "Maker", "somebody"
    tags.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    tags.get_ifd(0x8769)[0x927C] = bytes(range(256))
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def png(path, values, *, chunks=(), after=(), palette=None, bits=None):
    """A PNG file made from the specification: values `h w c` of 8 or 16 bits."""
    height, width, channels = values.shape
    bits = bits or 8 * values.dtype.itemsize
    kind = 3 if palette is not None else TYPES[channels]
    rows = values.astype(f">u{values.dtype.itemsize}").reshape(height, -1)
    if bits < 8:
        rows = np.packbits(
            np.unpackbits(rows[..., None], axis=-1)[..., -bits:].reshape(height, -1), 1
        )
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    colours = [(b"PLTE", palette.tobytes())] if palette is not None else []
    parts = [(b"IHDR", header), *colours, *chunks, (b"IDAT", zlib.compress(data)), *after]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*p) for p in (*parts, (b"IEND", b""))))
    return path


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def chunks_of(path):
    """(name, body) of each chunk of a PNG file."""
    data, at, found = path.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def pillow(path, values, **options):
    """Written by Pillow; `mode` converts, where the shape does not say it."""
    mode = options.pop("mode", None)
    values = values.squeeze() if values.shape[-1] == 1 else values
    picture = (
        Image.fromarray(values)
        if mode is None
        else Image.frombytes(mode, values.shape[1::-1], values.tobytes())
    )
    picture.save(path, **options)
    return path


def decoded(path):
    """Values `h w c` as stored, by Pillow; by tifffile for TIFF."""
    if path.suffix == ".tif":
        values = tifffile.imread(path)
    else:
        with Image.open(path) as picture:
            picture.info.pop("transparency", None)
            values = np.array(picture)
    return values[..., None] if values.ndim == 2 else values


def encoded(picture, kind, **options):
    """The bytes of a file that Pillow writes."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def made(folder, suffix, values=None, **options):
    """A picture called `a`, of some format."""
    return pillow(folder / f"a.{suffix}", smooth() if values is None else values, **options)


def copied(path, target=None, *, rows=7, quality=None, change=lambda rows: rows, **limits):
    """The file written anew around its own rows, or what `change` makes of them."""
    target = target or path.with_name(f"out{path.suffix}")
    with open_photo(path, **limits) as photo, photo.rewrite(target, quality) as sink:
        left = photo.height
        while left:
            count = min(rows, left)
            sink.write(change(photo.read(count)))
            left -= count
    return target


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
