"""Which of the pixel formats that an encoder offers holds most of what a frame has."""

from collections.abc import Sequence

import av


def nearest(wanted: str, offered: Sequence[str]) -> str:
    """The offered format that loses least of what format `wanted` holds, and adds least to it."""
    return min(offered, key=lambda name: (loses(wanted, name), _adds(wanted, name), name != wanted))


def loses(wanted: str, given: str) -> int:
    """0 where every sample fits; more the more is lost. Depth weighs most, then colour, alpha."""
    if wanted == given:
        return 0
    a, b = av.VideoFormat(wanted, 64, 64), av.VideoFormat(given, 64, 64)
    bits = max(0, _bits(a) - _bits(b))
    grey = _colours(b) < _colours(a)
    coarser = (
        _colours(a) == 3
        and _colours(b) == 3
        and (b.chroma_width() < a.chroma_width() or b.chroma_height() < a.chroma_height())
    )
    other = _colours(a) == 3 and _colours(b) == 3 and a.is_rgb != b.is_rgb
    alpha = _has_alpha(a) and not _has_alpha(b)
    unusable = b.has_palette or b.is_bit_stream or b.is_bayer or _bits(b) < min(8, _bits(a))
    return 1000 * unusable + 100 * bits + 50 * grey + 8 * coarser + 4 * other + 2 * alpha


def _adds(wanted: str, given: str) -> int:
    """How much more a format holds than is needed; the family of `yuvj` is another range."""
    a, b = av.VideoFormat(wanted, 64, 64), av.VideoFormat(given, 64, 64)
    finer = b.chroma_width() * b.chroma_height() - a.chroma_width() * a.chroma_height()
    more = max(0, _bits(b) - _bits(a)) + max(0, _colours(b) - _colours(a))
    span = wanted.startswith("yuvj") != given.startswith("yuvj")
    return 1000 * span + 100 * more + max(0, finer) // 64 + 10 * (_has_alpha(b) - _has_alpha(a))


def _bits(video: av.VideoFormat) -> int:
    return max(component.bits for component in video.components)


def _colours(video: av.VideoFormat) -> int:
    return 3 if len(video.components) >= 3 or video.has_palette else 1


def _has_alpha(video: av.VideoFormat) -> bool:
    return any(component.is_alpha for component in video.components)
