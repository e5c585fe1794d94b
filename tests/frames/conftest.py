"""Small footage on disk: empty files where names suffice, real pictures and videos where not."""

import av
import pytest
import torch

from bluref.media.picture import write_picture
from bluref.media.pixels import to_array


@pytest.fixture(scope="session")
def touch():
    """Empty files: what a reader sees that only looks at names."""

    def make(folder, *names):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).touch()
        return folder

    return make


@pytest.fixture(scope="session")
def noise():
    """A picture that no other seed gives."""

    def make(seed, height=24, width=36):
        return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))

    return make


@pytest.fixture(scope="session")
def write_clip(noise):
    """A folder of pictures, each of its own."""

    def make(folder, numbers, *, size=(24, 36), seed=0):
        for number in numbers:
            write_picture(noise(1000 * seed + number, *size), folder / f"{number:06d}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def write_video():
    """A lossless video of flat grey frames whose levels are given."""

    def make(path, levels, *, size=(24, 36), times=None):
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuv444p"
            stream.options = {"qp": "0"}
            for index, level in enumerate(levels):
                grey = to_array(torch.full((1, 3, *size), level))
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame = frame.reformat(format="yuv444p")
                frame.pts = index if times is None else times[index]
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
