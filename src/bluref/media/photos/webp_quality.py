"""The quality of a lossy WebP picture, read from its VP8 frame header (RFC 6386, section 9)."""

import struct


def lossy_quality(start: bytes) -> int:
    """The smallest quality, 0 to 100, at which libwebp quantises nowhere coarser than this file.

    libwebp takes the index 127 (1 - v) with v the cube root of q' and q' = 2q/3 below q = 0.75,
    else 2q - 1. What it adds for busy segments is in the file's own indices; the finest counts.

    Args:
        start: the beginning of a `VP8 ` chunk; 100 is returned where it cannot be read.
    """
    if len(start) < 20 or start[3:6] != b"\x9d\x01\x2a":
        return 100
    bits = _BoolDecoder(start[10:])
    try:
        index = _finest_index(bits)
    except IndexError:
        return 100
    linear = (1 - index / 127) ** 3
    quality = 1.5 * linear if linear < 0.5 else (linear + 1) / 2
    return min(100, int(100 * quality) + 1)


def _finest_index(bits: "_BoolDecoder") -> int:
    """The smallest quantiser index of any segment, 0 to 127."""
    bits.number(2)  # colour space, clamping
    absolute, steps = _segments(bits)
    bits.number(10)  # kind, level and sharpness of the loop filter
    if bits.number(1) and bits.number(1):
        for _ in range(8):
            bits.optional(6)
    bits.number(2)  # partitions
    base = bits.number(7)
    deltas = [bits.optional(4) for _ in range(5)]
    used = steps if absolute else [base + step for step in steps]
    return min(max(min(used) + min(0, *deltas), 0), 127)


def _segments(bits: "_BoolDecoder") -> tuple[bool, list[int]]:
    """The indices of segments, and whether they stand for themselves or are added to the base."""
    absolute, steps = False, [0]
    if not bits.number(1):
        return absolute, steps
    mapped, told = bits.number(1), bits.number(1)
    if told:
        absolute = bool(bits.number(1))
        steps = [bits.optional(7) for _ in range(4)]
        for _ in range(4):
            bits.optional(6)  # of the loop filter
    for _ in range(3 * mapped):
        if bits.number(1):
            bits.number(8)
    return absolute, steps


class _BoolDecoder:
    """The arithmetic decoder of RFC 6386, section 7, for bits that are as likely 0 as 1."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 2
        (self.value,) = struct.unpack(">H", data[:2])
        self.range, self.shifted = 255, 0

    def number(self, bits: int) -> int:
        """An unsigned number, its highest bit first."""
        value = 0
        for _ in range(bits):
            value = value << 1 | self._bit()
        return value

    def optional(self, bits: int) -> int:
        """A flag, and where it is set a number and its sign; 0 where it is not."""
        if not self.number(1):
            return 0
        value = self.number(bits)
        return -value if self.number(1) else value

    def _bit(self) -> int:
        split = 1 + ((self.range - 1) * 128 >> 8)
        bit = self.value >= split << 8
        if bit:
            self.value -= split << 8
            self.range -= split
        else:
            self.range = split
        while self.range < 128:
            self.value, self.range = self.value << 1, self.range << 1
            self.shifted += 1
            if self.shifted == 8:
                self.shifted = 0
                self.value |= self.data[self.at]
                self.at += 1
        return int(bit)
