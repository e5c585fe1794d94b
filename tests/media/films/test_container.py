from pathlib import Path

import av
import pytest
from tests.media.films.films import Film

from bluref.errors import UserError
from bluref.media.films.container import container_for


@pytest.mark.parametrize(
    ("form", "source", "target", "expected"),
    [
        ("mp4", "a.mp4", "b.mp4", "mp4"),
        ("mp4", "a.MP4", "b.mp4", "mp4"),
        ("mov", "a.mov", "b.mov", "mov"),
        ("mov", "a.mp4", "b.mp4", "mov"),  # the suffix may lie
        ("matroska", "a.mkv", "b.mkv", "matroska"),
        ("matroska", "a.mp4", "b.mp4", "matroska"),
        ("matroska", "a.webm", "b.webm", "webm"),
        ("mpegts", "a.ts", "b.ts", "mpegts"),
        ("avi", "a.avi", "b.avi", "avi"),
        ("mp4", "a.mp4", "b.mkv", "matroska"),
        ("matroska", "a.mkv", "b.mov", "mov"),
    ],
)
def test_the_container_is_the_sources_or_what_the_target_asks_for(
    tmp_path, form, source, target, expected
):
    codec = "mpeg4" if form == "avi" else "libx264"
    path = Film(codec, frames=1).write(tmp_path / source, format=form)
    with av.open(str(path)) as container:
        assert container_for(container, path, Path(target)) == expected


def test_a_suffix_that_is_no_videos_is_refused(tmp_path):
    path = Film("libx264", frames=1).write(tmp_path / "a.mp4")
    with av.open(str(path)) as container, pytest.raises(UserError, match="no video's"):
        container_for(container, path, Path("b.txt"))
