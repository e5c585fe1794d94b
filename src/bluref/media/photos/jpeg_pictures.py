"""The index of further pictures behind a JPEG (CIPA DC-007, Multi-Picture Format).

Phones append gain maps, depth and previews to a photograph, and say in an APP2 segment where.
"""

import struct

_NAME = b"MPF\0"
_ENTRIES = 0xB002  # the tag whose value lists the pictures, 16 bytes each


def moved(body: bytes, shift: int, size: int) -> bytes:
    """A segment's body, corrected where it is the index of pictures in a file that was rewritten.

    Args:
        body: of any segment; what is no index, or a damaged one, is returned as it is.
        shift: by how many bytes the other pictures moved, seen from this segment.
        size: of the first picture, bytes.
    """
    if not body.startswith(_NAME):
        return body
    index = bytearray(body)
    try:
        _correct(index, shift, size)
    except (struct.error, IndexError):
        return body
    return bytes(index)


def _correct(index: bytearray, shift: int, size: int) -> None:
    start = len(_NAME)  # places within are counted from here
    order = "<" if index[start : start + 2] == b"II" else ">"
    (at,) = struct.unpack_from(order + "I", index, start + 4)
    (count,) = struct.unpack_from(order + "H", index, start + at)
    for field in range(count):
        tag, _, length, place = struct.unpack_from(
            order + "HHII", index, start + at + 2 + 12 * field
        )
        if tag == _ENTRIES:
            for entry in range(start + place, start + place + length - 15, 16):
                (offset,) = struct.unpack_from(order + "I", index, entry + 8)
                if offset == 0:  # this picture itself
                    struct.pack_into(order + "I", index, entry + 4, size)
                else:
                    struct.pack_into(order + "I", index, entry + 8, offset + shift)
