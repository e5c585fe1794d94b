"""Films for tests, of arrays that are told apart."""

import av
import numpy as np

HEIGHT, WIDTH = 48, 64


def corner(colour=(255, 0, 0), height=HEIGHT, width=WIDTH):
    """Black, with the top left quarter in one colour."""
    array = np.zeros((height, width, 3), np.uint8)
    array[: height // 2, : width // 2] = colour
    return array


def noisy(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(count)]


def write_video(
    path, arrays, *, times=None, codec="libx264", colourspace=None, options=None, rate=25
):
    """Nearly lossless, without chroma subsampling; times in ticks, `rate` a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = arrays[0].shape[:2]
        stream.pix_fmt = "yuv444p" if codec == "libx264" else "yuv420p"
        stream.options = {"crf": "1", **(options or {})}
        if colourspace is not None:
            stream.codec_context.colorspace = {"ITU709": 1, "ITU601": 5}[colourspace]
        for i, array in enumerate(arrays):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=colourspace)
            frame.pts = i if times is None else times[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def squares(count):
    """Blocks of one colour each, another in every frame."""
    blocks = np.random.default_rng(0).integers(
        0, 256, (count, HEIGHT // 8, WIDTH // 8, 3), np.uint8
    )
    return [np.kron(block, np.ones((8, 8, 1), np.uint8)) for block in blocks]


def panned(count):
    """A camera that goes round: most of a picture can be built on the one before."""
    (scene,) = noisy(1)
    return [np.ascontiguousarray(np.roll(scene, -i, axis=1)) for i in range(count)]
