"""The film as a file again: new pictures, and everything else of the source packet by packet."""

import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Discard, Disposition, Stream
from av.video.stream import VideoStream

from bluref.errors import UserError
from bluref.media.films.clock import Clock
from bluref.media.films.encoders import Plan, prepare
from bluref.media.films.segment import joined, read_memory
from bluref.media.video import Packet, main_stream, open_container
from bluref.media.whole import is_of_the_place, whole_file

_STALE = ("BPS", "DURATION", "NUMBER_OF_", "_STATISTICS", "ENCODER", "ALPHA_MODE")
"""Beginnings of the tags that tell of the pictures as they were."""

_BEGINNING = 32  # packets
APART = Fraction(1, 1000)  # s between two packets of one time: a tick may be none to the writer

Copies = dict[int, Stream]
"""Streams of the new file by the index of the source's."""


def write_film(target: Path, source: Path, plan: Plan, segments: Sequence[Path]) -> list[str]:
    """Join segments with everything else that the source holds, and look that all frames are there.

    Sound, subtitles, other pictures and data are copied packet by packet; chapters, tags, names,
    languages and dispositions go with them.

    Args:
        target: the file to write, whole.
        source: the film that the segments were made from.
        plan: how the segments were encoded.
        segments: their files, in order.

    Returns:
        What the container could not take, one line each.

    Raises:
        UserError: `target` cannot be written, or the container lost a frame.
    """
    with open_container(source) as old:
        time_base = _ticks(main_stream(source, old))
    with whole_file(target) as partial:
        try:
            try:
                notes = _write(partial, source, plan, segments, data=True)
            except ValueError:  # data of a kind that the container knows only from other writers
                notes = _write(partial, source, plan, segments, data=False)
            notes += _checked(partial, target, plan, segments, time_base)
        except av.FFmpegError as error:
            number = error.errno or 0
            if is_of_the_place(number):  # `whole_file` knows what to tell
                raise OSError(number, os.strerror(number), str(partial)) from error
            raise UserError(
                f"cannot write {target} as {plan.container}: {error.strerror}",
                "choose another --codec, or put the film into .mkv first",
            ) from error
    return notes


def _write(
    partial: Path, source: Path, plan: Plan, segments: Sequence[Path], *, data: bool
) -> list[str]:
    with open_container(source) as old:
        main = main_stream(source, old)
        options = _muxer_options(plan.container, old, _ticks(main))
        # An absolute path begins with no protocol, whatever it is called.
        with av.open(
            str(partial.absolute()),
            "w",
            format=plan.container,
            container_options=options,
            metadata_errors="surrogateescape",
        ) as new:
            copies, notes = _streams(new, old, main, plan, data=data)
            _add_covers(new, old, source)
            new.metadata.update(_lasting(old.metadata))
            new.set_chapters(old.chapters())
            ahead = _read_late(source) if plan.container == "avi" else 0
            for packet in _merged(_pictures(segments, plan, main), _others(old, main, copies)):
                if packet.stream is None:
                    packet.stream = copies[main.index]
                    packet.pts, packet.dts = (packet.pts or 0) - ahead, (packet.dts or 0) - ahead
                else:
                    packet.stream = copies[packet.stream.index]
                new.mux_one(packet)
            new.start_encoding()  # where there was no packet at all
    return notes


def _muxer_options(container: str, old: InputContainer, time_base: Fraction) -> dict[str, str]:
    """So that times are written as they were."""
    if container in ("mp4", "mov", "3gp"):
        # Tags with a dot are Apple's own, and have their own place in the file.
        more = "+use_metadata_tags" if any("." in key for key in old.metadata) else ""
        options = {"movflags": "+faststart" + more}
        if time_base.numerator == 1:
            options["video_track_timescale"] = str(time_base.denominator)
        return options
    return {}


def _streams(
    new: OutputContainer, old: InputContainer, main: VideoStream, plan: Plan, *, data: bool
) -> tuple[Copies, list[str]]:
    copies: Copies = {}
    notes = []
    for stream in old.streams:
        if stream.index == main.index:
            copy: Stream = _encoded_stream(new, main, plan)
        elif _is_made_anew(stream, plan.container):
            continue
        elif stream.type in ("data", "attachment") and not data:
            notes.append(f"stream {stream.index} ({stream.type}) is left out")
            continue
        else:
            try:
                copy = new.add_stream_from_template(stream, opaque=True)
            except ValueError:
                notes.append(f"{plan.container} cannot hold stream {stream.index} ({stream.type})")
                continue
        copy.metadata.update(_lasting(stream.metadata))
        copy.disposition = stream.disposition
        if plan.container == "mpegts":
            copy.id = stream.id
        copies[stream.index] = copy
    return copies, notes


def _encoded_stream(new: OutputContainer, main: VideoStream, plan: Plan) -> VideoStream:
    """A stream whose header is written by an encoder like the one that wrote the segments."""
    stream = new.add_stream(plan.encoder, rate=Fraction(*plan.rate))
    if not isinstance(stream, VideoStream):
        raise TypeError(f"{plan.encoder} is no encoder of video")
    prepare(stream.codec_context, plan)
    stream.time_base = _ticks(main)
    tag = main.codec_context.codec_tag
    if tag == "hvc1" and plan.encoder == "libx265":  # what Apple's players insist on
        stream.codec_context.codec_tag = tag
    if plan.matrix is not None:
        stream.set_display_matrix(plan.matrix)
    return stream


def _is_made_anew(stream: Stream, container: str) -> bool:
    """Whether the writer makes this stream itself: from chapters, a time code or a cover."""
    if stream.type == "data" and container in ("mp4", "mov"):
        return stream.discard == Discard.all or "timecode" in stream.metadata
    return _is_cover(stream) and container == "matroska"


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _add_covers(new: OutputContainer, old: InputContainer, source: Path) -> None:
    """In Matroska a cover is an attachment."""
    if new.format.name != "matroska":
        return
    for stream in old.streams:
        if _is_cover(stream):
            with open_container(source) as again:
                packets = again.demux(again.streams[stream.index])
                picture = next((bytes(p) for p in packets if p.size), b"")
            name = stream.metadata.get("filename", "cover")
            kind = stream.metadata.get("mimetype", "image/jpeg")
            new.add_attachment(name, kind, picture)


def _pictures(segments: Sequence[Path], plan: Plan, main: VideoStream) -> Iterator[Packet]:
    time_base = _ticks(main)
    delay = max(read_memory(path).delay for path in segments)
    step = max(1, round(Fraction(plan.rate[1], plan.rate[0]) / time_base))
    return joined(segments, time_base, delay, step)


def _read_late(source: Path) -> int:
    """By how many ticks a film is shown later than it is stored.

    AVI knows only when a frame is stored, and readers add to that what they think right for the
    codec; so it has to be taken off when it is written again.
    """
    with open_container(source) as film:
        packets = islice(film.demux(main_stream(source, film)), _BEGINNING)
        late = [p.pts - p.dts for p in packets if p.pts is not None and p.dts is not None]
    return min(late, default=0)


def _others(old: InputContainer, main: VideoStream, copies: Copies) -> Iterator[Packet]:
    """Packets of the streams that are copied, but for the pictures."""
    wanted = [s for s in old.streams if s.index in copies and s.index != main.index]
    if not wanted:
        return
    last: dict[int, int] = {}
    copied = {stream.index for stream in wanted}
    clock = Clock(old.format.name)  # all is read, as it was for the pictures: it is theirs
    try:
        for packet in old.demux():
            clock.set(packet)
            if packet.size == 0 or packet.stream.index not in copied:
                continue
            _store(packet, last)
            if clock.jumps:  # two recordings may overlap a little, which writers refuse
                _store_later(packet, last)
            last[packet.stream.index] = packet.dts or 0
            yield packet
    except av.FFmpegError:  # the file breaks off; whoever read the pictures has told
        return


def _store(packet: Packet, last: Mapping[int, int]) -> None:
    """Give a packet a time of storage where it has none: when it is shown, or that of the last."""
    if packet.dts is None:
        packet.dts = last.get(packet.stream.index, 0) if packet.pts is None else packet.pts


def _store_later(packet: Packet, last: Mapping[int, int]) -> None:
    """Move a packet of sound or pictures to after the one before it, if it is not.

    Subtitles and data may share a time.

    Args:
        packet: of a stream that is copied; has a time of storage.
        last: time of storage of the packet before it by stream, in its ticks.
    """
    before = last.get(packet.stream.index)
    timed = packet.stream.type in ("video", "audio")
    if before is None or packet.dts is None or not timed or packet.dts > before:
        return
    packet.dts = before + max(1, round(APART / packet.time_base))
    if packet.pts is not None:
        packet.pts = max(packet.pts, packet.dts)


def _ticks(main: VideoStream) -> Fraction:
    return main.time_base or Fraction(1, 90_000)


def _merged(pictures: Iterator[Packet], others: Iterator[Packet]) -> Iterator[Packet]:
    """Both in the order of their times of storage, so that no writer has to hold many back."""
    waiting = next(pictures, None)
    for packet in others:
        while waiting is not None and _time(waiting) <= _time(packet):
            yield waiting
            waiting = next(pictures, None)
        yield packet
    while waiting is not None:
        yield waiting
        waiting = next(pictures, None)


def _time(packet: Packet) -> Fraction:
    return (packet.dts or 0) * Fraction(packet.time_base)


def _lasting(tags: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in tags.items() if not k.upper().startswith(_STALE)}


def _checked(
    partial: Path, target: Path, plan: Plan, segments: Sequence[Path], time_base: Fraction
) -> list[str]:
    """Read the new film's packets, and tell what of times and shape is not as it was.

    Raises:
        UserError: there are fewer frames than in the source, or more.
    """
    written = wanted = differ = 0
    with open_container(partial) as film:
        stream = main_stream(partial, film)
        packets = (packet for packet in film.demux(stream) if packet.size)
        tick = _ticks(stream)
        for path in segments:
            times = read_memory(path).times
            found = [packet.pts for packet in islice(packets, len(times))]
            wanted, written = wanted + len(times), written + len(found)
            pairs = zip(sorted(pts for pts in found if pts is not None), times, strict=False)
            differ += any(abs(new * tick - old * time_base) > tick / 2 for new, old in pairs)
        written += sum(1 for _ in packets)
        aspect = stream.sample_aspect_ratio or Fraction(1)
    if written != wanted:
        raise UserError(
            f"{target} would hold {written} frames instead of {wanted}",
            "choose another --codec, or put the film into .mkv first",
        )
    notes = []
    if differ:
        notes.append(f"{plan.container} cannot keep the times of the frames exactly")
    if aspect != Fraction(*plan.aspect):
        notes.append(f"samples of shape {Fraction(*plan.aspect)} are shown as {aspect}")
    return notes
