"""Clips that cannot be mended, and those that are not the ones that were begun with."""

import av
import numpy as np
import pytest
import torch
from tests.report.glide import HEIGHT, WIDTH, write_film

from bluref.errors import UserError
from bluref.frames.curate import curate
from bluref.frames.frame_table import read_table
from bluref.media.picture import write_picture
from bluref.media.video import stream_video
from bluref.report import mend as module
from bluref.report.mend import MendConfig, _refuse_other_clips, _refuse_other_frames, mend
from bluref.restore.work.inputs import Failure
from bluref.train.recipe import Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("clip") / "drive.mp4")


def test_footage_without_a_blurred_frame_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", pytest.fail)
    still = tmp_path / "still.mp4"
    with av.open(str(still), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(
                np.zeros((HEIGHT, WIDTH, 3), np.uint8), format="rgb24"
            )
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UserError, match="the clips show nothing"):
        mend([still], tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ((), "no clip given"),
        (("gone.mp4",), "does not exist"),
        (("a/x.mp4", "b/x.mp4"), "is taken"),
    ],
)
def test_what_cannot_be_mended_is_told_at_once(tmp_path, names, problem):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if name != "gone.mp4":
            path.write_bytes(b"film")
    with pytest.raises(UserError, match=problem):
        mend([tmp_path / name for name in names], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inside", ["mended", "far/below", "."])
def test_an_output_inside_a_clip_is_refused(tmp_path, inside):
    clip = tmp_path / "clip"
    write_picture(torch.rand(1, 3, 8, 8), clip / "0.png")
    with pytest.raises(UserError, match=r"the output \S* lies in the clip"):
        mend([clip], clip / inside)
    assert [path.name for path in clip.iterdir()] == ["0.png"]


def test_what_could_neither_be_looked_at_nor_deblurred_is_told_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    twice = [Failure(str(tmp_path / "a.png"), "broken"), Failure("a.png", "torn")]
    assert module._once([*twice, Failure("b.png", "x")]) == (twice[0], Failure("b.png", "x"))


def test_the_clip_itself_is_never_replaced(film, tmp_path):
    with pytest.raises(UserError, match="the clip itself"):
        mend([film], film.parent)


def test_a_folder_of_links_is_the_clip_that_it_was(film, tmp_path):
    """And what is a link itself; files may lie anywhere, as caches have them."""
    out, walk = tmp_path / "out", tmp_path / "walk"
    walk.mkdir()
    for frame in stream_video(film):
        path = tmp_path / "cache" / f"{frame.index}"
        write_picture(frame.image, path.with_suffix(".png"))
        (walk / f"{frame.index:06d}.png").symlink_to(path.with_suffix(".png"))
    (tmp_path / "link").symlink_to(walk)
    _refuse_other_clips([walk], out)
    curate([walk], out / "data")
    (out / "run").mkdir()
    (out / "run" / "recipe.yaml").write_text("begun: true")
    rows = read_table(out / "data")
    for named in (walk, tmp_path / "link", tmp_path / "cache" / ".." / "walk"):
        _refuse_other_clips([named], out)
        _refuse_other_frames(out, list(reversed(rows)))
    with pytest.raises(UserError, match="made from other clips"):
        _refuse_other_clips([tmp_path / "elsewhere"], out)
    with pytest.raises(UserError, match="begun with other frames"):
        _refuse_other_frames(out, rows[1:])


@pytest.mark.parametrize("field", ["pairs", "supervised"])
def test_a_film_has_no_pairs(film, tmp_path, field):
    with pytest.raises(UserError, match="no pairs"):
        mend([film], tmp_path / "out", MendConfig(recipe=Recipe(**{field: True})))
    assert not (tmp_path / "out").exists()
