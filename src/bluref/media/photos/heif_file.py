"""HEIC and AVIF pictures: what their boxes say, and carrying it over to other pixels."""

import struct
from dataclasses import dataclass, replace
from pathlib import Path

from bluref.media.photos.boxes import HeifFile, Item, Property, Reference, read_heif, write_heif

_TURN, _MIRROR = b"irot", b"imir"
_TURNING = (_TURN, _MIRROR)
_OF_COLOUR = (b"colr", b"clli", b"mdcv", b"cclv", b"amve", b"pasp", b"reve", b"ndwt")
_TELLING = (b"Exif", b"mime")  # kinds of items
_MOST_TOLD = 16  # items that are carried
_IDENTITY = 0  # H.273 matrix coefficients: the three planes are G, B, R
_SEQUENCES = (b"avis", b"hevc", b"hevx", b"msf1")

# EXIF orientation by (quarter turns anticlockwise, mirrored left to right before them).
_ORIENTATIONS = {
    **{(0, False): 1, (1, False): 8, (2, False): 3, (3, False): 6},
    **{(0, True): 2, (1, True): 5, (2, True): 4, (3, True): 7},
}


@dataclass(frozen=True)
class HeifHeader:
    """What an encoder has to know to write the like.

    coding: av01 for AV1, hvc1 for HEVC.
    orientation: how the decoder turns the stored pixels, by its EXIF number.
    lossless: red, green and blue are stored as they are.
    full_colour: False where every chroma sample serves 2x2 pixels (4:2:0).
    grey: no colour is stored.
    depth: bits of a value.
    animated: the file holds a sequence.
    """

    coding: bytes
    orientation: int
    lossless: bool
    full_colour: bool
    grey: bool
    depth: int
    animated: bool


def heif_header(path: Path) -> HeifHeader:
    """Read the boxes of a HEIC or AVIF file.

    Raises:
        UserError: they are damaged, or cut short.
    """
    file = read_heif(path)
    primary = file.items[file.primary]
    coded = _coded(file)
    full_colour, grey, depth = _sampling(coded)
    tags = [p.data for p in (*primary.properties, *coded.properties) if p.kind == b"colr"]
    matrices = [struct.unpack(">H", data[8:10])[0] for data in tags if data[:4] == b"nclx"]
    return HeifHeader(
        coded.kind,
        _orientation(primary),
        _IDENTITY in matrices and full_colour,
        full_colour,
        grey,
        depth,
        file.brand[:4] in _SEQUENCES,
    )


def graft_heif(source: Path, encoded: Path, target: Path) -> None:
    """Write `target`: the pixels of `encoded` with everything else of `source`.

    What the encoder wrote about colour and turning gives way to what the source says, except how
    the encoder made its planes from colours. Thumbnails and further pictures are not carried.

    Raises:
        UserError: `source` cannot be taken apart.
    """
    old, new = read_heif(source), read_heif(encoded)
    items = {n: item for n, item in new.items.items() if item.kind not in _TELLING}
    contents = {number: new.bytes_of(number, encoded) for number in items}
    told = old.items[old.primary].properties
    turning = [p for p in told if p.kind in _TURNING]
    colour = _colour(told, items[new.primary])
    for number, item in items.items():
        if number == new.primary:
            item.properties = [p for p in item.properties if p.kind not in _OF_COLOUR]
            item.properties = [*item.properties, *colour]
        if number == new.primary or any(p.kind == b"auxC" for p in item.properties):
            item.properties += turning
    references = [r for r in new.references if r.source in items]
    free, left = max(items) + 1, _MOST_TOLD
    for reference in old.references:
        telling = old.items.get(reference.source)
        if reference.kind == b"cdsc" and telling and telling.kind in _TELLING and left:
            items[free] = replace(telling, properties=[], inline=False)
            contents[free] = old.bytes_of(reference.source, source)
            references.append(Reference(b"cdsc", free, (new.primary,)))
            free, left = free + 1, left - 1
    write_heif(target, HeifFile(new.brand, items, new.primary, references, b""), contents)


def _colour(told: list[Property], encoded: Item) -> list[Property]:
    """The source's properties of colour, with the encoder's way from planes to colours."""
    own = [p for p in encoded.properties if p.kind == b"colr" and p.data[:4] == b"nclx"]
    kept = []
    for p in told:
        if p.kind == b"colr" and p.data[:4] == b"nclx" and own:
            p = replace(p, data=p.data[:8] + own[0].data[8:])
        if p.kind in _OF_COLOUR:
            kept.append(p)
    if own and not any(p.data[:4] == b"nclx" for p in kept):
        unspecified = struct.pack(">4sHH", b"nclx", 2, 2)
        kept.append(Property(b"colr", unspecified + own[0].data[8:], own[0].essential))
    return kept


def _coded(file: HeifFile) -> Item:
    """The coded picture that is shown, or the first tile of it."""
    for reference in file.references:
        if reference.kind == b"dimg" and reference.source == file.primary and reference.targets:
            return file.items.get(reference.targets[0], file.items[file.primary])
    return file.items[file.primary]


def _sampling(coded: Item) -> tuple[bool, bool, int]:
    """Whether colour is stored at every pixel, whether there is none, and the bits of a value."""
    for p in coded.properties:
        if p.kind == b"av1C" and len(p.data) > 2:
            bits = p.data[2]
            depth = (12 if bits & 0x20 else 10) if bits & 0x40 else 8
            grey = bool(bits & 0x10)
            return grey or bits & 0x0C != 0x0C, grey, depth
        if p.kind == b"hvcC" and len(p.data) > 17:
            chroma = p.data[16] & 3
            return chroma in (0, 3), chroma == 0, 8 + (p.data[17] & 7)
    return True, False, 8


def _orientation(item: Item) -> int:
    """The EXIF number of what the turns and mirrors of an item do one after the other."""
    quarters, mirrored = 0, False
    for p in item.properties:
        if p.kind == _TURN and p.data:
            quarters += p.data[0] & 3
        elif p.kind == _MIRROR and p.data:
            # A mirror after turns is the mirror before the opposite turns; upside down is left to
            # right and half a turn.
            quarters = -quarters + (0 if p.data[0] & 1 else 2)
            mirrored = not mirrored
    return _ORIENTATIONS[quarters % 4, mirrored]
