"""The frames that are shown of a curated clip."""

import av
import numpy as np
import pytest

from bluref.frames.frame_table import read_table
from bluref.report.frame_sheet import pick, read_frames


@pytest.fixture
def clip(tmp_path):
    """Each frame grey, by its number."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "gray"
        for index in range(50):
            grey = np.full((32, 32), 5 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "gray")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("timed", [True, False])
def test_frames_are_those_of_the_table_with_times_or_without(clip, timed):
    columns = ["clip", "index", "role", "file", "position", *["time"][: int(timed)]]
    lines = [f"a,{n},sharp,a.mkv,{n}" + (f",{n / 25:.3f}" if timed else "") for n in (3, 20, 40)]
    (clip.parent / "frames.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    images = read_frames(pick(read_table(clip.parent)))
    assert {index: round(image.mean().item() * 255) for (_, index), image in images.items()} == {
        3: 15,
        20: 100,
        40: 200,
    }
