"""A film that is easily mended."""

from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, FRAMES = 96, 128, 40


def write_film(path: Path, frames: int = FRAMES) -> Path:
    """A camera that glides along a photograph, in jerks; its shutter is nearly always open."""
    from skimage import data

    wall = data.astronaut()[100 : 100 + HEIGHT].astype(np.float64)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            times = index + np.linspace(-0.45, 0.45, 33)
            starts = np.round(20 + 7 * times + 10 * np.sin(2 * np.pi * times / 10)).astype(int)
            seen = np.mean([wall[:, s : s + WIDTH] for s in starts], axis=0)
            frame = av.VideoFrame.from_ndarray(np.round(seen).astype(np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
