"""Which encoder a film is written with, and how: as its source was, so far as that can be.

A plan is plain data. Two encoders that are made by one plan give the same bytes for the same
frames, on any machine: threads are a part of it.
"""

import io
import os
import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from bluref.errors import UserError
from bluref.media.films.encoder_options import (
    QUALITY,
    THREADS,
    asked_quality,
    encoder_options,
    fitting_quality,
)
from bluref.media.films.hdr import lost_hdr
from bluref.media.films.pixel_formats import loses, nearest
from bluref.media.films.recording import Recording, Shown
from bluref.media.upright import display_matrix

SEGMENT = 60
"""Frames that are encoded by themselves: what an interruption can cost, and the longest group."""

_ENCODERS = {
    "av1": "libsvtav1",
    "h264": "libx264",
    "hevc": "libx265",
    "prores": "prores_ks",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
}
# px. At sides of 32 x265 4.2 writes beyond its memory, and of one block it makes other pictures at
# every call.
_BLOCK = 64
_GLOBAL_HEADER = 0x40  # AVFMT_GLOBALHEADER
_OTHERWISE = {
    "webm": ("libvpx-vp9", "libsvtav1"),
    "avi": ("mpeg4", "ffv1"),
    "asf": ("mpeg4", "msmpeg4"),
    "mpeg": ("mpeg2video",),
}
_ANYWHERE = ("libx264", "libx265", "ffv1")
_STANDARD_RATES = [
    *(Fraction(24000 * k, 1001) for k in (1,)),
    *(Fraction(k) for k in (24, 25, 30, 50, 60)),
    *(Fraction(k, 1001) for k in (30000, 60000)),
]
_WISHES = ("h264", "hevc", "vp9", "av1", "mpeg4", "ffv1")  # what to offer where one is not held
_INTERLACED = ("libx264", "mpeg2video", "mpeg4", "prores_ks", "dnxhd", "ffv1")


@dataclass(frozen=True)
class Plan:
    """How a film is encoded.

    Attributes:
        container: name of the format that FFmpeg writes.
        encoder: name of the encoder.
        pixel_format: what the encoder is given.
        width: in samples, as stored.
        height: in samples, as stored.
        rate: frames per second, a fraction.
        aspect: width of a sample by its height, a fraction.
        tags: range, matrix, primaries and transfer, by their numbers in ITU-T H.273.
        matrix: how players turn the picture, as FFmpeg lays it out; None if they do not.
        options: of the encoder.
        quantiser: for encoders of constant quantiser instead of quality.
        bits: per second, for the few that must know.
        b_frames: whether frames may be stored in another order than they are shown.
        interlaced: whether frames hold two fields.
    """

    container: str
    encoder: str
    pixel_format: str
    width: int
    height: int
    rate: tuple[int, int]
    aspect: tuple[int, int]
    tags: tuple[int, int, int, int]
    matrix: tuple[int, ...] | None = None
    options: dict[str, str] = field(default_factory=dict)
    quantiser: int | None = None
    bits: int = 0
    b_frames: bool = True
    interlaced: bool = False


def plan_encoding(
    recording: Recording,
    first: Shown,
    container: str,
    *,
    codec: str | None = None,
    crf: int | None = None,
) -> tuple[Plan, list[str]]:
    """Plan to write a recording's film again.

    Without wishes the codec is the source's, and the quality follows the bits that the source
    spends on a pixel: between transparent and visually lossless. Depth is never given up for the
    codec. Where a quality is asked for, no other codec than the one asked for or the source's is
    taken: its number would mean something else.

    Args:
        recording: the source.
        first: its first frame that is whole, or else the first.
        container: name of the format to write.
        codec: a codec (`h264`) or an encoder (`libx264`).
        crf: quality in the encoder's own numbers, lower is better; 0 is lossless where it can be.

    Returns:
        The plan, and what could not be kept, one line each.

    Raises:
        UserError: no encoder of that name, none that the container holds, or a quality out of its
            range.
    """
    own = _named(codec or recording.codec, container, asked=codec is not None)
    wanted = first.frame.format.name
    candidates = [own] if own else []
    if codec is None and crf is None:
        others = _OTHERWISE.get(container, _ANYWHERE)
        candidates += [name for name in others if name != own and _holds(container, name)]
    formats = {name: _format(name, first) for name in candidates}
    # Stable: the source's codec comes first unless another one loses less. Ten bits are enough.
    enough = re.sub(r"p1[246]", "p10", wanted)
    for name in sorted(candidates, key=lambda name: loses(enough, formats[name])):
        plan = _plan(recording, first, (container, name, formats[name]), crf)
        if _opens(plan):
            return plan, _told(recording, first, plan)
    raise UserError(
        f"no encoder here can write {recording.path} as {codec or recording.codec} in {container}",
        "choose another --codec" if codec or crf is None else "name a --codec beside --crf",
    )


def prepare(context: VideoCodecContext, plan: Plan) -> None:
    """Set an encoder that is not yet open to what the plan says."""
    context.width, context.height = plan.width, plan.height
    context.pix_fmt = plan.pixel_format
    context.framerate = Fraction(*plan.rate)
    context.time_base = 1 / Fraction(*plan.rate)
    context.sample_aspect_ratio = Fraction(*plan.aspect)
    context.color_range, context.colorspace = plan.tags[:2]
    context.color_primaries, context.color_trc = plan.tags[2:]
    context.gop_size = SEGMENT
    context.thread_count = THREADS
    context.options = dict(plan.options)
    if plan.bits:
        context.bit_rate = plan.bits
    if plan.quantiser is not None:
        context.qscale = True
        context.global_quality = plan.quantiser
    if not plan.b_frames:
        context.max_b_frames = 0
    if plan.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    if av.ContainerFormat(plan.container, "w").flags & _GLOBAL_HEADER:
        context.flags |= Flags.global_header


def encoder_of(plan: Plan) -> VideoCodecContext:
    """A new encoder, not yet open."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr by itself
    context = av.CodecContext.create(plan.encoder, "w")
    if not isinstance(context, VideoCodecContext):
        raise UserError(f"{plan.encoder} is no encoder of video", "choose another --codec")
    prepare(context, plan)
    return context


def _named(codec: str, container: str, *, asked: bool) -> str | None:
    """The encoder for a codec, if there is one and the container holds what it makes."""
    name = _ENCODERS.get(codec, codec)
    known = _makes_video(name)
    if known and _holds(container, name):
        return name
    if asked and not known:
        raise UserError(f"there is no encoder {codec!r} here", "try h264, hevc, vp9, av1 or ffv1")
    if asked:
        held = [wish for wish in _WISHES if _named(wish, container, asked=False)]
        fix = (
            f"choose a --codec that they hold ({', '.join(held)}), or put the film into .mkv first"
        )
        raise UserError(f"{container} files cannot hold {codec}", fix)
    return None


def _makes_video(encoder: str) -> bool:
    try:
        return av.Codec(encoder, "w").type == "video"
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False


@lru_cache
def _holds(container: str, encoder: str) -> bool:
    with av.open(io.BytesIO(), "w", format=container) as scratch:
        try:
            scratch.add_stream(encoder)
        except ValueError:
            return False
    return True


def _format(encoder: str, first: Shown) -> str:
    """The format nearest to the first frame's that an encoder takes."""
    name = first.frame.format.name
    offered = [f.name for f in av.Codec(encoder, "w").video_formats or ()] or [name]
    odd = (first.frame.width % 2, first.frame.height % 2)
    if encoder in ("libx264", "libx265"):  # they refuse to halve an odd side
        whole = [f for f in offered if not _halves(f, odd)]
        offered = whole or offered
    return nearest(name, offered)


def _halves(name: str, odd: tuple[int, int]) -> bool:
    video = av.VideoFormat(name, 64, 64)
    return bool((odd[0] and video.chroma_width() < 64) or (odd[1] and video.chroma_height() < 64))


def _plan(recording: Recording, first: Shown, where: tuple[str, str, str], crf: int | None) -> Plan:
    container, encoder, pixel_format = where
    frame, context = first.frame, recording.stream.codec_context
    quality = fitting_quality(recording, encoder) if crf is None else asked_quality(crf, encoder)
    aspect = recording.stream.sample_aspect_ratio or Fraction(1)
    rate = max(recording.rate.limit_denominator(1001), Fraction(1, 1001))  # a still, with sound
    if encoder in ("mpeg1video", "mpeg2video"):
        rate = min(_STANDARD_RATES, key=lambda standard: abs(standard - recording.rate))
    by_quality = encoder in QUALITY
    return Plan(
        container=container,
        encoder=encoder,
        pixel_format=pixel_format,
        width=frame.width,
        height=frame.height,
        rate=rate.as_integer_ratio(),
        aspect=aspect.as_integer_ratio(),
        tags=_tags(first, context, pixel_format),
        matrix=display_matrix(frame),
        options=encoder_options(encoder, quality, recording.stream.profile, frame),
        quantiser=None if by_quality else max(1, min(quality, 31)),
        bits=int(frame.width * frame.height * rate) if encoder == "libvpx" else 0,
        b_frames=container in ("mp4", "mov", "3gp", "matroska", "webm"),
        interlaced=frame.interlaced_frame and encoder in _INTERLACED,
    )


def _tags(first: Shown, context: VideoCodecContext, pixel_format: str) -> tuple[int, int, int, int]:
    """As the frame says, or else the stream; where RGB must become Y'CbCr, what it becomes."""
    frame = first.frame
    if frame.format.is_rgb and not av.VideoFormat(pixel_format).is_rgb:
        return 1, 1, int(frame.color_primaries), int(frame.color_trc)
    pairs = (
        (frame.color_range, context.color_range, 0),
        (frame.colorspace, context.colorspace, 2),
        (frame.color_primaries, context.color_primaries, 2),
        (frame.color_trc, context.color_trc, 2),
    )
    told = [int(a) if int(a) != unknown else int(b) for a, b, unknown in pairs]
    return told[0], told[1], told[2], told[3]


def _opens(plan: Plan) -> bool:
    """Whether the encoder takes the plan: some have smallest sizes, or want standard rates."""
    sides = sorted((plan.width, plan.height))
    if plan.encoder == "libx265" and (sides[0] < _BLOCK or sides[1] == _BLOCK):
        return False
    try:
        encoder_of(plan).open()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _told(recording: Recording, first: Shown, plan: Plan) -> list[str]:
    """What is not kept."""
    notes = []
    codec = av.Codec(plan.encoder, "w").canonical_name
    wanted = first.frame.format.name
    if codec != recording.codec:
        notes.append(f"the codec is {codec} instead of {recording.codec}")
    if loses(wanted, plan.pixel_format) > 0:
        notes.append(f"pixels are {plan.pixel_format} instead of {wanted}")
    if recording.stream.metadata.get("alpha_mode") == "1":
        notes.append("the transparency of this codec is not read, and not kept")
    if first.frame.interlaced_frame:
        notes.append("frames are interlaced, and were deblurred as if they were not")
    return notes + lost_hdr(plan.encoder, first.frame)
