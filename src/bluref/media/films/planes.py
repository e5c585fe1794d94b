"""A video frame's own samples as an image, and an image's changes back in them.

Nothing is lost on the way: a frame keeps its depth and its subsampling, and what comes back is
added to the samples that were there: new = old + (network(x) - x), carried through the matrix. So
a network that does nothing changes no sample, whatever the depth, the range, the subsampling, and
values that no RGB picture can hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

from bluref.media.films.pixel_formats import nearest
from bluref.media.video import TALLEST_STANDARD_DEFINITION

LINES = 64
"""Lines that are converted at a time: a multiple of what any format's pixels share downwards."""

Samples = UInt8[np.ndarray, "_ _"] | UInt16[np.ndarray, "_ _"]

# Luma coefficients (K_R, K_B) of ITU-T H.273, table 4, by matrix_coefficients.
_LUMA = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
    10: (
        0.2627,
        0.0593,
    ),  # BT.2020, constant luminance: nearly, and only the change goes through it
    14: (0.2627, 0.0593),  # ICtCp: likewise
}
_YCGCO = 8
_FULL_RANGE, _UNSPECIFIED_RANGE = 2, 0  # AVColorRange

# The same samples in planes, for formats that interleave them.
_TWINS = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "nv42": "yuv444p",
    "p010": "yuv420p10le",
    "p012": "yuv420p12le",
    "p016": "yuv420p16le",
    "p210": "yuv422p10le",
    "p216": "yuv422p16le",
    "p410": "yuv444p10le",
    "p416": "yuv444p16le",
    "y210": "yuv422p10le",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "ayuv64": "yuva444p16le",
    "ya8": "gray",
    "ya16": "gray16le",
    "monow": "gray",
    "monob": "gray",
    "pal8": "gbrap",
}


# For formats that are neither planar nor have a twin: packed in rare ways, or of fractions.
_PLANAR = (
    *("gray", "gray10le", "gray12le", "gray16le"),
    *(
        f"yuv{alpha}4{sampling}p{bits}"
        for alpha in ("", "a")
        for sampling in ("20", "22", "44")
        for bits in ("", "10le", "16le")
    ),
    *(f"yuv4{sampling}p12le" for sampling in ("20", "22", "44")),
    *("yuv411p", "gbrp", "gbrp10le", "gbrp12le", "gbrp16le"),
    *("gbrap", "gbrap10le", "gbrap12le", "gbrap16le"),
)


def planar(name: str) -> str:
    """The format that holds the samples of format `name` unchanged, each colour in its own plane.

    Formats that are planar already are their own; of those that no planar format holds unchanged
    (fractions, XYZ) the nearest. Names are those of FFmpeg; alpha is carried, except beside grey.
    """
    video = av.VideoFormat(name)
    bare = name.removesuffix("le").removesuffix("be")
    if bare in _TWINS:
        return _TWINS[bare]
    bits = max(component.bits for component in video.components)
    if video.is_rgb and not name.startswith("gbr"):
        alpha = "a" if any(component.is_alpha for component in video.components) else ""
        return f"gbr{alpha}p" if bits <= 8 else f"gbr{alpha}p16le"
    name = bare + "le" if video.is_big_endian else name
    return name if _in_planes(av.VideoFormat(name)) else nearest(name, _PLANAR)


def _in_planes(video: av.VideoFormat) -> bool:
    """Whether each colour lies in a plane of its own, as whole numbers of up to 16 bits."""
    parts = video.components
    apart = len({part.plane for part in parts}) == len(parts)
    odd = any(mark in video.name for mark in ("f16", "f32", "msb", "xyz"))
    return apart and not odd and all(part.bits <= 16 for part in parts)


def to_image(frame: av.VideoFrame) -> Float[Tensor, "1 3 h w"]:
    """A frame in a `planar` format as RGB in [0, 1], by the frame's own matrix and range.

    Chroma is repeated, as `stream_video` does it. Values outside RGB are clamped; the transfer
    curve is left as it is.
    """
    # NumPy, not torch: this runs beside the network, and must not wake a second team of threads.
    picture = np.empty((3, frame.height, frame.width), np.float32)
    code = _code(frame)
    for lines, views in _strips(frame, code):
        _into_rgb(views, code, picture[:, lines])
    return torch.from_numpy(picture)[None]


def change(frame: av.VideoFrame, after: Float[Tensor, "1 3 h w"]) -> None:
    """Make a frame in a `planar` format show `after` instead of `to_image(frame)`, in place.

    The difference of the two is added to the samples, averaged over the pixels that share one, and
    rounded. Alpha and everything else that the frame carries stay.

    Args:
        frame: as `to_image` saw it.
        after: RGB in [0, 1].

    Raises:
        ValueError: it has another size.
    """
    picture = after[0].detach().cpu().numpy()
    if picture.shape[1:] != (frame.height, frame.width):
        raise ValueError(f"a picture of {picture.shape[1:]} for a frame of {frame}")
    frame.make_writable()
    code = _code(frame)
    inverse = np.linalg.inv(code.matrix).astype(np.float32)  # rows: Y, Cb, Cr
    largest = 2 ** frame.format.components[0].bits - 1
    for lines, views in _strips(frame, code):
        difference = np.empty(picture[:, lines].shape, np.float32)
        _into_rgb(views, code, difference)
        np.subtract(picture[:, lines], difference, out=difference)
        if frame.format.is_rgb:
            own = list(difference)
        else:
            own = [_mixed(inverse[0], difference)]
            if len(views) > 1:
                shared = _shared(difference, code.down, code.across)
                own += [_mixed(row, shared) for row in inverse[1:]]
        for view, delta, size in zip(views, own, code.scale, strict=False):
            delta *= size
            delta += view
            np.rint(delta, out=delta)
            view[:] = np.clip(delta, 0, largest, out=delta)


def copied(frame: av.VideoFrame) -> av.VideoFrame:
    """The samples, colour tags and time of a frame, in memory of its own."""
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for mine, theirs in zip(copy.planes, frame.planes, strict=True):
        _view(mine, np.dtype(np.uint8), mine.line_size)[:, : _used(frame, theirs)] = _view(
            theirs, np.dtype(np.uint8), theirs.line_size
        )[:, : _used(frame, theirs)]
    copy.colorspace, copy.color_range = frame.colorspace, frame.color_range
    copy.color_primaries, copy.color_trc = frame.color_primaries, frame.color_trc
    copy.pts, copy.duration = frame.pts, frame.duration
    copy.time_base = frame.time_base or Fraction(1)
    return copy


def _used(frame: av.VideoFrame, plane: av.video.plane.VideoPlane) -> int:
    """Bytes of a row that hold samples."""
    return plane.width * (2 if frame.format.components[0].bits > 8 else 1)


@dataclass(frozen=True)
class _Code:
    """How a frame's samples stand for colours.

    Attributes:
        is_rgb: whether they are colours themselves.
        zero: what a plane's samples are to have subtracted.
        scale: what they are to be divided by then.
        matrix: see `_matrix`.
        down: pixels that share a sample of chroma, one below the other.
        across: the same, side by side.
    """

    is_rgb: bool
    zero: tuple[float, ...]
    scale: tuple[float, ...]
    matrix: Float[np.ndarray, "3 3"]
    down: int
    across: int


def _code(frame: av.VideoFrame) -> _Code:
    zero, scale = _range(frame)
    down, across = _sharing(frame)
    matrix = np.eye(3) if frame.format.is_rgb else _matrix(frame)
    return _Code(frame.format.is_rgb, zero, scale, matrix, down, across)


def _strips(frame: av.VideoFrame, code: _Code) -> Iterator[tuple[slice, list[Samples]]]:
    """Lines of the frame, few enough for a core's own cache, and their samples by plane."""
    views = _views(frame)
    shares = [1, *[1 if code.is_rgb else code.down] * (len(views) - 1)]
    for top in range(0, frame.height, LINES):
        end = min(top + LINES, frame.height)
        parts = [
            view[top // share : -(-end // share)] for view, share in zip(views, shares, strict=True)
        ]
        yield slice(top, end), parts


def _into_rgb(views: list[Samples], code: _Code, picture: Float[np.ndarray, "3 h w"]) -> None:
    planes = [
        (view.astype(np.float32) - np.float32(zero)) / np.float32(size)
        for view, zero, size in zip(views, code.zero, code.scale, strict=False)
    ]
    if code.is_rgb:
        np.stack(planes, out=picture)
    elif len(planes) == 1:
        picture[:] = planes[0]
    else:
        for row, shown in zip(code.matrix[:, 1:].astype(np.float32), picture, strict=True):
            chroma = row[0] * planes[1] + row[1] * planes[2]
            wide = np.repeat(chroma, code.across, axis=1)[:, : picture.shape[2]]
            for y in range(code.down):
                part = shown[y :: code.down]
                np.add(planes[0][y :: code.down], wide[: part.shape[0]], out=part)
    np.clip(picture, 0, 1, out=picture)


def _range(frame: av.VideoFrame) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What a plane's samples are to have subtracted, and to be divided by: H.273, eqs. 20 to 25."""
    top = 2.0 ** frame.format.components[0].bits - 1
    if frame.format.is_rgb:
        return (0.0, 0.0, 0.0), (top, top, top)
    if _is_full_range(frame):
        return (0.0, (top + 1) / 2, (top + 1) / 2), (top, top, top)
    step = (top + 1) / 256
    return (16 * step, 128 * step, 128 * step), (219 * step, 224 * step, 224 * step)


def _is_full_range(frame: av.VideoFrame) -> bool:
    if int(frame.color_range) != _UNSPECIFIED_RANGE:
        return int(frame.color_range) == _FULL_RANGE
    return frame.format.name.startswith(("yuvj", "gray"))  # as FFmpeg has it


def _matrix(frame: av.VideoFrame) -> Float[np.ndarray, "3 3"]:
    """From Y' in [0, 1] and two chroma in [-1/2, 1/2] to R'G'B'; its first column is all ones."""
    if int(frame.colorspace) == _YCGCO:
        return np.array([[1.0, -1, 1], [1, 1, 0], [1, -1, -1]])
    untagged = 1 if frame.height > TALLEST_STANDARD_DEFINITION else 6
    red, blue = _LUMA.get(int(frame.colorspace), _LUMA[untagged])
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0, 0, 1]) - luma) / (2 * (1 - blue))
    cr = (np.array([1, 0, 0]) - luma) / (2 * (1 - red))
    return np.linalg.inv(np.stack([luma, cb, cr]))


def _views(frame: av.VideoFrame) -> list[Samples]:
    """The planes of Y, Cb, Cr or of R, G, B, or of Y alone, writable where the frame is."""
    components = [part for part in frame.format.components if not part.is_alpha][:3]
    dtype = np.dtype("<u2" if components[0].bits > 8 else "u1")
    return [
        _view(frame.planes[part.plane], dtype, frame.planes[part.plane].width)
        for part in components
    ]


def _view(plane: av.video.plane.VideoPlane, dtype: np.dtype[np.generic], width: int) -> Samples:
    strides = (plane.line_size, dtype.itemsize)
    view: Samples = np.ndarray(
        (plane.height, width), dtype, buffer=memoryview(plane), strides=strides
    )
    return view


def _sharing(frame: av.VideoFrame) -> tuple[int, int]:
    """How many pixels down, and how many across, share one sample of chroma."""
    return 64 // frame.format.chroma_height(64), 64 // frame.format.chroma_width(64)


def _shared(
    picture: Float[np.ndarray, "3 h w"], down: int, across: int
) -> Float[np.ndarray, "3 a b"]:
    """The mean over the pixels that share a sample; at odd edges the last ones are repeated."""
    edges = ((0, 0), (0, -picture.shape[1] % down), (0, -picture.shape[2] % across))
    whole = np.pad(picture, edges, mode="edge") if any(map(any, edges)) else picture
    lines = whole[:, ::down].copy()  # whole lines first: they lie side by side
    for y in range(1, down):
        lines += whole[:, y::down]
    mean: Float[np.ndarray, "3 a b"] = lines[..., ::across].copy()
    for x in range(1, across):
        mean += lines[..., x::across]
    mean /= np.float32(down * across)
    return mean


def _mixed(
    weights: Float[np.ndarray, "3"], planes: Float[np.ndarray, "3 h w"]
) -> Float[np.ndarray, "h w"]:
    mixed: Float[np.ndarray, "h w"] = weights[0] * planes[0]
    for weight, plane in zip(weights[1:], planes[1:], strict=True):
        mixed += weight * plane
    return mixed
