"""Tiny films made with PyAV, and what is in one."""

from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from bluref.media.films.planes import planar


def paint(frame, seed):
    """Fill a planar frame with smooth shapes that move, and a little noise; limited range."""
    rng = np.random.default_rng(seed)
    bits = frame.format.components[0].bits
    dtype = np.dtype("<u2" if bits > 8 else "u1")
    for number, plane in enumerate(frame.planes):
        y, x = np.mgrid[: plane.height, : plane.width]
        waves = 0.5 + 0.3 * np.sin(x / 5 + seed / 3 + number) * np.cos(y / 4 - seed / 5)
        level = (16 + waves * 200 + rng.integers(-3, 4, waves.shape)) * 2 ** (bits - 8)
        view = np.ndarray(
            (plane.height, plane.width),
            dtype,
            buffer=plane,
            strides=(plane.line_size, dtype.itemsize),
        )
        view[:] = np.clip(level, 0, 2**bits - 1)
    return frame


@dataclass
class Film:
    """What to write; see `write`."""

    codec: str = "ffv1"
    pixel_format: str = "yuv420p"
    size: tuple = (48, 64)
    frames: int = 8
    rate: int = 25
    times: list | None = None  # ticks of `time_base`
    time_base: Fraction = Fraction(1, 25)
    options: dict = field(default_factory=dict)
    tags: tuple = (0, 2, 2, 2)  # range, matrix, primaries, transfer
    aspect: Fraction = Fraction(1)
    rotation: int | None = None
    matrix: tuple[int, int, int, int] | None = None
    sound: str | None = None
    subtitles: str | None = None
    chapters: bool = False
    metadata: dict = field(default_factory=dict)
    flags: int = 0

    def picture(self, index):
        height, width = self.size
        name = planar(self.pixel_format)
        frame = paint(av.VideoFrame(width, height, name), index)
        return frame if name == self.pixel_format else frame.reformat(format=self.pixel_format)

    def write(self, path, **how):
        """Make the file and return its path."""
        with av.open(str(path), "w", **how) as container:
            film = self._film_stream(container)
            sound = container.add_stream(self.sound, rate=48000) if self.sound else None
            words = container.add_mux_stream(self.subtitles) if self.subtitles else None
            container.metadata.update(self.metadata)
            if self.chapters:
                thousandth = Fraction(1, 1000)
                container.set_chapters(
                    [
                        {"id": i, "start": 100 * i, "end": 100 * (i + 1), "time_base": thousandth}
                        | {"metadata": {"title": f"Part {i}"}}
                        for i in (1, 2)
                    ]
                )
            for index in range(self.frames):
                frame = self.picture(index)
                frame.pts = index if self.times is None else self.times[index]
                frame.time_base = self.time_base
                container.mux(film.encode(frame))
                if words and index % 3 == 1:
                    container.mux(self._words(words, index))
            container.mux(film.encode())
            if sound:
                self._play(container, sound)
        return path

    def _film_stream(self, container):
        stream = container.add_stream(self.codec, rate=self.rate, options=self.options)
        stream.height, stream.width = self.size
        stream.pix_fmt = self.pixel_format
        stream.time_base = stream.codec_context.time_base = self.time_base
        context = stream.codec_context
        context.color_range, context.colorspace = self.tags[:2]
        context.color_primaries, context.color_trc = self.tags[2:]
        context.sample_aspect_ratio = self.aspect
        context.flags |= self.flags
        if self.rotation is not None:
            stream.set_display_rotation(self.rotation)
        if self.matrix is not None:
            a, b, c, d = (65_536 * value for value in self.matrix)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        return stream

    def _words(self, stream, index):
        text = f"line {index}".encode()
        text = len(text).to_bytes(2, "big") + text if self.subtitles == "mov_text" else text
        packet = av.Packet(text)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = index * 40
        packet.duration = 60
        return packet

    def _play(self, container, stream):
        frame_size = 960
        context = stream.codec_context
        for i in range(self.frames * 2):
            tone = np.sin(np.arange(frame_size) / 20 + i).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(
                np.stack([tone, tone]) / 4, format="fltp", layout="stereo"
            )
            frame.sample_rate, frame.pts = 48000, i * frame_size
            frame.time_base = Fraction(1, 48000)
            for piece in av.AudioResampler(context.format, context.layout, 48000).resample(frame):
                container.mux(stream.encode(piece))
        container.mux(stream.encode())


@dataclass
class Seen:
    """What a file shows: of each frame its time and samples; of each other packet its bytes."""

    times: list
    ticks: list
    time_base: Fraction
    samples: list
    formats: set
    tags: set
    rotations: set
    packets: dict
    stream: dict


def samples(frame):
    """The bytes of a frame without what pads its rows."""
    wide = 2 if frame.format.components[0].bits > 8 else 1
    wide = wide if frame.format.is_planar or len(frame.format.components) == 1 else 4 * wide
    rows = [
        np.ndarray(
            (plane.height, min(plane.width * wide, plane.line_size)),
            "u1",
            buffer=plane,
            strides=(plane.line_size, 1),
        ).tobytes()
        for plane in frame.planes
    ]
    return b"".join(rows)


def look(path):
    """Decode and demux all of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        told = {
            "codec": stream.codec_context.codec.canonical_name,
            "aspect": stream.sample_aspect_ratio,
            "rate": stream.average_rate,
            "chapters": container.chapters(),
            "metadata": dict(container.metadata),
            "time_base": stream.time_base,
            "duration": stream.duration,
        }
    with av.open(str(path)) as container:
        packets = {}
        others = [s for s in container.streams if s.type != "video"]
        for packet in container.demux(others) if others else ():
            if packet.size:
                told_of = (packet.pts, packet.duration, packet.time_base, bytes(packet))
                packets.setdefault(packet.stream.type, []).append(told_of)
    return Seen(
        times=[frame.pts * told["time_base"] for frame in frames],
        ticks=[frame.pts for frame in frames],
        time_base=told["time_base"],
        samples=[samples(frame) for frame in frames],
        formats={frame.format.name for frame in frames},
        tags={
            tuple(map(int, (f.color_range, f.colorspace, f.color_primaries, f.color_trc)))
            for f in frames
        },
        rotations={frame.rotation for frame in frames},
        packets=packets,
        stream=told,
    )


def trimmed(path, target):
    """Cut a film at its beginning without encoding it anew: an edit list leaves frames out."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                shift = int(12 / 25 / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                out.mux(packet)
    return target
