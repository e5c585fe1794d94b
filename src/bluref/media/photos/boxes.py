"""The boxes of HEIC and AVIF files (ISO/IEC 14496-12, 23008-12): read whole, written anew.

Such a file holds items (coded pictures, EXIF, XMP), properties that items share (colour, turning),
and references between items, all listed in one `meta` box.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bluref.errors import UserError

_MOST = 1 << 16  # items, properties and extents
_LONGEST_META = 1 << 26  # bytes
_LONGEST = 1 << 30  # bytes; of an item that is read, pixels included
_FULL_BOX = 4  # bytes of version and flags


@dataclass(frozen=True)
class Property:
    """A property of an item; essential: who does not know it must not show the item."""

    kind: bytes
    data: bytes
    essential: bool


@dataclass
class Item:
    """What a file holds one of: its kind, its entry in the list of items, its parts' places."""

    kind: bytes
    told: bytes  # of the infe box, what follows the kind: a name, a media type
    hidden: bool = False
    parts: list[tuple[int, int]] = field(default_factory=list)  # place and length in the file
    inline: bool = False  # places are counted within the idat box
    properties: list[Property] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """Of an item to others; its kind says why."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


@dataclass
class HeifFile:
    """A file's type box, its items by number, the number of the one to show, and references."""

    brand: bytes
    items: dict[int, Item]
    primary: int
    references: list[Reference]
    idat: bytes

    def bytes_of(self, number: int, path: Path) -> bytes:
        """What an item holds.

        Raises:
            UserError: it reaches out of the file, or is too large.
        """
        item = self.items[number]
        size = len(self.idat) if item.inline else path.stat().st_size
        told = [(at, length or size - at) for at, length in item.parts]
        if any(at + length > size for at, length in told) or sum(n for _, n in told) > _LONGEST:
            raise _damaged(path)
        if item.inline:
            return b"".join(self.idat[at : at + length] for at, length in told)
        parts = []
        with path.open("rb") as file:
            for at, length in told:
                file.seek(at)
                parts.append(file.read(length))
        return b"".join(parts)


def read_heif(path: Path) -> HeifFile:
    """Read what stands in a HEIC or AVIF file, without its pixels.

    Raises:
        UserError: it is damaged, or cut short.
    """
    try:
        return _read(path)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise _damaged(path) from error


def _read(path: Path) -> HeifFile:
    brand, meta, size = b"", None, path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size and meta is None:
            file.seek(at)
            head = file.read(16)
            length, kind = struct.unpack(">I4s", head[:8])
            start = 16 if length == 1 else 8
            length = struct.unpack(">Q", head[8:])[0] if length == 1 else length or size - at
            too_long = length > _LONGEST_META and kind in (b"ftyp", b"meta")
            if length < start or at + length > size or too_long:
                raise _damaged(path)
            file.seek(at + start)
            if kind == b"ftyp":
                brand = file.read(length - start)
            elif kind == b"meta":
                meta = file.read(length - start)
            at += length
    if meta is None:
        raise _damaged(path)
    boxes: dict[bytes, bytes] = dict(_boxes(meta[_FULL_BOX:]))
    items = _items(boxes[b"iinf"])
    _locate(items, boxes[b"iloc"])
    _describe(items, dict(_boxes(boxes.get(b"iprp", b""))) or {b"ipco": b"", b"ipma": bytes(8)})
    version = boxes[b"pitm"][0]
    (primary,) = struct.unpack_from(">I" if version else ">H", boxes[b"pitm"], _FULL_BOX)
    if primary not in items:
        raise _damaged(path)
    references = list(_references(boxes.get(b"iref", bytes(_FULL_BOX))))
    return HeifFile(brand, items, primary, references, boxes.get(b"idat", b""))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise ValueError("a box reaches out of its box")
        yield kind, data[at + 8 : at + length]
        at += length


def _items(data: bytes) -> dict[int, Item]:
    items: dict[int, Item] = {}
    start = _FULL_BOX + (4 if data[0] else 2)
    for _, entry in _boxes(data[start:]):
        if len(items) == _MOST:
            raise ValueError("too many items")
        version, flags = entry[0], entry[3]
        number, _, kind = struct.unpack_from(">IH4s" if version == 3 else ">HH4s", entry, _FULL_BOX)
        told = entry[_FULL_BOX + (10 if version == 3 else 8) :]
        items[number] = Item(kind, told, hidden=bool(flags & 1))
    return items


def _locate(items: dict[int, Item], data: bytes) -> None:
    """Fill in where the items are (the iloc box)."""
    version, at = data[0], _FULL_BOX

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(data):
            raise ValueError("cut short")
        at += size
        return int.from_bytes(data[at - size : at], "big")

    sizes = number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    for _ in range(min(number(4 if version == 2 else 2), _MOST)):
        item = items.get(number(4 if version == 2 else 2), Item(b"", b""))
        item.inline = version > 0 and number(2) & 15 == 1
        number(2)  # the file it is in; 0 for this one
        start = number(base)
        for _ in range(min(number(2), _MOST)):
            number(index if version else 0)
            item.parts.append((start + number(offset), number(length)))


def _describe(items: dict[int, Item], boxes: dict[bytes, bytes]) -> None:
    """Give each item its properties (the ipco and ipma boxes)."""
    known = list(_boxes(boxes[b"ipco"]))
    data = boxes[b"ipma"]
    version, wide = data[0], data[3] & 1
    (count,) = struct.unpack_from(">I", data, _FULL_BOX)
    at = _FULL_BOX + 4
    for _ in range(min(count, _MOST)):
        size = 4 if version else 2
        item = items.get(int.from_bytes(data[at : at + size], "big"), Item(b"", b""))
        at += size + 1
        for _ in range(data[at - 1]):
            bits = 15 if wide else 7
            entry = int.from_bytes(data[at : at + 1 + wide], "big")
            at += 1 + wide
            which = entry & (1 << bits) - 1
            if which:
                item.properties.append(Property(*known[which - 1], bool(entry >> bits)))


def _references(data: bytes) -> Iterator[Reference]:
    code = "I" if data[0] else "H"
    for kind, body in _boxes(data[_FULL_BOX:]):
        source, count = struct.unpack_from(f">{code}H", body)
        targets = struct.unpack_from(f">{count}{code}", body, struct.calcsize(f">{code}H"))
        yield Reference(kind, source, targets)


def write_heif(path: Path, file: HeifFile, contents: dict[int, bytes]) -> None:
    """Write a file anew; `contents` says what each of its items holds.

    Raises:
        ValueError: more than 4 GiB of items.
    """
    head = _box(b"ftyp", file.brand)
    length = len(_meta(file, contents, 0))
    meta = _meta(file, contents, len(head) + length + 8)
    body = b"".join(contents[number] for number in file.items)
    if len(head) + len(meta) + 8 + len(body) >= 1 << 32:
        raise ValueError("items of more than 4 GiB")
    with path.open("wb") as out:
        out.write(head + meta)
        out.write(_box(b"mdat", body))


def _meta(file: HeifFile, contents: dict[int, bytes], start: int) -> bytes:
    """The meta box of a file whose items stand one after the other from `start` on."""
    known = list(dict.fromkeys((p.kind, p.data) for i in file.items.values() for p in i.properties))
    places, listed, given = b"", b"", b""
    for number, item in file.items.items():
        length = len(contents[number])
        places += struct.pack(">HHHII", number, 0, 1, start, length)
        start += length
        entry = struct.pack(">IHH", 2 << 24 | item.hidden, number, 0) + item.kind + item.told
        listed += _box(b"infe", entry)
        if item.properties:
            given += struct.pack(">HB", number, len(item.properties))
            for p in item.properties:
                given += struct.pack(">H", known.index((p.kind, p.data)) + 1 | p.essential << 15)
    described = sum(bool(item.properties) for item in file.items.values())
    count = len(file.items)
    references = b"".join(
        _box(r.kind, struct.pack(f">HH{len(r.targets)}H", r.source, len(r.targets), *r.targets))
        for r in file.references
    )
    shared = _box(b"ipco", b"".join(_box(kind, data) for kind, data in known))
    return _box(
        b"meta",
        bytes(_FULL_BOX)
        + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        + _box(b"pitm", struct.pack(">IH", 0, file.primary))
        + _box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, count) + places)
        + _box(b"iinf", struct.pack(">IH", 0, count) + listed)
        + (_box(b"iref", bytes(_FULL_BOX) + references) if references else b"")
        + _box(b"iprp", shared + _box(b"ipma", struct.pack(">II", 1, described) + given)),
    )


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def _damaged(path: Path) -> UserError:
    return UserError(
        f"cannot decode {path}: its structure is damaged or cut short",
        "copy it again from its source, or remove it",
    )
