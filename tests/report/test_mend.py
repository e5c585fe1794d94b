"""A film is mended with nothing but itself."""

import json
import math
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from bluref.cli.main import main
from bluref.errors import UserError
from bluref.media.pixels import to_array
from bluref.media.video import stream_video
from bluref.report import mend as module
from bluref.report.mend import MendConfig, mend
from bluref.restore.deblurrer import Deblurrer
from bluref.train.recipe import Recipe
from bluref.train.with_references import prepare_references

HEIGHT, WIDTH, FRAMES = 96, 128, 40
RECIPE = Recipe(
    steps=4,
    warm_start=2,
    refresh_every=2,
    refs=2,
    batch=1,
    crop=48,
    matcher="dis-fast",
    save_every=2,
    snapshot_every=4,
    log_every=1,
)


def write_film(path: Path, frames: int = FRAMES) -> Path:
    """A camera that glides along a photograph and is shaken every ten frames."""
    from skimage import data

    wall = data.astronaut()[100 : 100 + HEIGHT].astype(np.float64)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            blur = 1 + round(6 * (1 + math.cos(2 * math.pi * index / 10)))
            starts = [3 * index + d for d in range(blur)]
            seen = np.mean([wall[:, s : s + WIDTH] for s in starts], axis=0)
            frame = av.VideoFrame.from_ndarray(np.round(seen).astype(np.uint8), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("clip") / "drive.mp4")


@pytest.fixture(scope="module")
def mended(film, tmp_path_factory):
    out = tmp_path_factory.mktemp("mended") / "out"
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    return out, mend([film], out, config)


def frames_of(path):
    return [
        torch.from_numpy(to_array(frame.image).astype(np.float32)) for frame in stream_video(path)
    ]


def test_one_call_gives_film_network_and_page(film, mended):
    out, report = mended
    assert report.outputs == (out / "drive.mp4",)
    assert len(frames_of(out / "drive.mp4")) == FRAMES
    assert (out / "data" / "frames.csv").is_file()
    assert Deblurrer.from_pretrained(report.run).multiple >= 1
    assert report.report.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert report.from_references[str(out / "drive.mp4")] > 0


def test_references_have_a_word_on_blurred_frames_alone(film, mended, tmp_path):
    out, _ = mended
    network = Deblurrer.from_pretrained(out / "run")
    finish = prepare_references(out / "run", film, network)
    shown = frames_of(film)
    assert 0 < len(finish.samples) < FRAMES
    number = next(iter(finish.samples))
    image = next(f.image for f in stream_video(film) if f.index == number)
    result = network(image)
    changed = finish(number, image, result)
    assert (changed - result).abs().max() > 0.02
    sharp = next(n for n in range(FRAMES) if n not in finish.samples)
    assert torch.equal(finish(sharp, image, result), result)
    # A frame that is not what was matched under its number is left to the network.
    other = torch.from_numpy(255 - shown[number].numpy()).permute(2, 0, 1)[None] / 255
    assert torch.equal(finish(number, other, result), result)


def test_what_references_say_changes_with_the_network(film, mended):
    out, _ = mended
    first = prepare_references(out / "run", film, Deblurrer.from_pretrained(out / "run"))
    again = prepare_references(out / "run", film, Deblurrer.from_pretrained(out / "run"))
    assert first.identity == again.identity
    other = prepare_references(out / "run", film, Deblurrer.identity())
    assert other.identity != first.identity


def test_the_same_call_again_finds_all_done(film, mended, monkeypatch):
    out, first = mended
    written = (out / "drive.mp4").stat().st_mtime_ns
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    again = mend([film], out, config)
    assert (out / "drive.mp4").stat().st_mtime_ns == written
    assert again.deblurred[0].skipped == 1
    assert again.agreement_after == first.agreement_after


def test_without_references_the_film_is_the_networks_own(film, mended, tmp_path):
    out, _ = mended
    plain = tmp_path / "plain.mp4"
    Deblurrer.from_pretrained(out / "run").video(film, plain)
    pairs = zip(frames_of(plain), frames_of(out / "drive.mp4"), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) > 5


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
    with pytest.raises(UserError, match="than its neighbours"):
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


def test_the_clip_itself_is_never_replaced(film, tmp_path):
    with pytest.raises(UserError, match="the clip itself"):
        mend([film], film.parent)


def test_another_recipe_in_the_same_folder_is_refused(film, mended):
    out, _ = mended
    with pytest.raises(UserError, match="steps"):
        mend([film], out, MendConfig(recipe=replace(RECIPE, steps=6), check=False))


def test_the_command_tells_machines_where_all_is(film, mended, capsys):
    out, report = mended
    given = ["--steps 4 --warm-start 2 --refresh-every 2 --refs 2 --batch 1 --crop 48"]
    given += ["--matcher dis-fast --save-every 2 --snapshot-every 4 --log-every 1"]
    words = " ".join(given).split()
    status = main(["mend", str(film), "-o", str(out), "--with-references", "--json", *words])
    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert told["outputs"] == [str(out / "drive.mp4")]
    assert told["run"] == str(out / "run")
    assert told["report"] == str(report.report)
    assert told["agreement_after"] == report.agreement_after
