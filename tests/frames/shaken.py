"""Tiny clips of a camera that pans over texture, each frame blurred by a length that is given."""

import av
import numpy as np
import torch
import torch.nn.functional as F

from bluref.media.pixels import to_array

SIZE = (128, 192)


def textured(height, width, seed=0):
    """Edges at all scales, as the world has them: overlapping boxes of random brightness."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 0.5, np.float32)
    for _ in range(height * width // 150):
        h, w = rng.integers(3, 40, 2)
        y, x = rng.integers(-20, height), rng.integers(-20, width)
        picture[max(0, y) : y + h, max(0, x) : x + w] = rng.uniform(0.1, 0.9)
    return torch.from_numpy(picture).expand(1, 3, height, width).contiguous()


def blurred(image, length):
    """Mean over so many pixels along x, an odd number."""
    pad = length // 2
    return F.avg_pool2d(F.pad(image, (pad, pad, 0, 0), mode="replicate"), (1, length), stride=1)


def panned(lengths, *, seed=0, step=2, size=SIZE, contrast=(1.0, 1.0)):
    """A frame for each length of blur, seen while the camera pans by `step` px a frame.

    The contrast of the scene falls or rises along the way.
    """
    height, width = size
    scene = textured(height, width + step * len(lengths), seed)
    scene = 0.5 + (scene - 0.5) * torch.linspace(*contrast, scene.shape[-1])
    noise = torch.Generator().manual_seed(seed)
    frames = []
    for place, length in enumerate(lengths):
        view = blurred(scene, length)[..., place * step : place * step + width]
        grain = torch.randn(view.shape, generator=noise) * 1.5 / 255
        frames.append((view + grain).clamp(0, 1))
    return frames


def filmed(path, images, *, rate=25, times=None, interlaced=False):
    """Write images as nearly lossless H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = images[0].shape[-2:]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "8", "preset": "ultrafast"}
        if interlaced:
            stream.options |= {"x264-params": "interlaced=1"}
            stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(to_array(image), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
