import shutil
from dataclasses import asdict

import pytest
import torch
from PIL import Image
from tests.media.films.films import Film
from tests.media.photos.pictures import (
    ICC,
    XMP,
    chunks_of,
    copied,
    exif,
    noise,
    pillow,
    png,
    smooth,
)
from tests.restore.work.batches import deblur_files, inverter, is_inverted, paint, tree

from bluref.media.films.encoders import SEGMENT
from bluref.media.picture import read_picture, write_picture
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.tiling.guard import GuardNote
from bluref.restore.tiling.tiles import TileReport
from bluref.restore.work import batch
from bluref.restore.work.ledger import Ledger
from bluref.restore.work.one_photo import PhotoOptions

pytestmark = pytest.mark.slow

TURNED = exif(6)[6:]


@pytest.fixture
def invert():
    return inverter()


def test_a_folder_keeps_its_tree_and_formats_and_passes_over_the_rest(tmp_path, invert):
    names = ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tif"]
    for name in names:
        paint(tmp_path / "in" / name)
    (tmp_path / "in" / "Thumbs.db").write_bytes(b"x")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.skipped, report.failed) == (4, 0, ())
    assert report.seconds > 0
    assert tree(tmp_path / "out") == sorted(names)
    assert all(is_inverted(tmp_path / "out" / name) for name in names)


def test_of_several_inputs_folders_keep_their_names(tmp_path, invert):
    for name in ("x/1.png", "y/1.png", "single.png"):
        paint(tmp_path / name)
    inputs = [tmp_path / "x", tmp_path / "y", tmp_path / "single.png"]
    assert deblur_files(inputs, tmp_path / "out", invert).done == 3
    assert tree(tmp_path / "out") == ["single.png", "x/1.png", "y/1.png"]


def test_one_bad_file_is_reported_and_the_rest_goes_on(tmp_path, invert):
    for name in ("a.png", "z.png"):
        paint(tmp_path / "in" / name)
    bad = tmp_path / "in" / "m.png"
    bad.write_text("no picture at all")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert report.done == 2
    (failure,) = report.failed
    assert failure.path == str(bad)
    assert "m.png" in failure.reason
    assert tree(tmp_path / "out") == ["a.png", "z.png"]


def test_named_inputs_that_are_no_pictures_are_failures(tmp_path, invert):
    good = paint(tmp_path / "good.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.png").mkdir()
    names = ["notes.txt", "missing.png", "empty", "folder.png"]
    report = deblur_files([tmp_path / n for n in names] + [good], tmp_path / "out", invert)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(tmp_path / n) for n in names]
    assert all(str(tmp_path / n) in f.reason for n, f in zip(names, report.failed, strict=True))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_a_picture_too_large_for_the_memory_is_a_failure_of_its_own(tmp_path, error):
    class Greedy(torch.nn.Module):
        def forward(self, x):
            if x.shape[-1] == 30:
                raise error
            return x

    paint(tmp_path / "in" / "big.png", size=(6, 30))
    paint(tmp_path / "in" / "small.png")
    deblurrer = Deblurrer(Greedy(), training_size=None, precision="fp32")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", deblurrer)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(tmp_path / "in" / "big.png")]


def test_a_bug_is_not_hidden(tmp_path):
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("shapes do not match")

    source = paint(tmp_path / "a.png")
    with pytest.raises(RuntimeError, match="shapes"):
        deblur_files([source], tmp_path / "out", Deblurrer(Broken(), training_size=None))


def test_a_full_disk_leaves_no_half_written_file(tmp_path, invert, monkeypatch):
    source = paint(tmp_path / "a.png")
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (failure,) = deblur_files([source], tmp_path / "out", invert).failed
    assert "10 are free" in failure.reason
    assert tree(tmp_path / "out") == []


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_network_sees_a_picture_upright(tmp_path, orientation):
    """A network that marks the top left corner of what it sees marks that of what people see."""
    seen = []

    class Mark(torch.nn.Module):
        def forward(self, x):
            seen.append(tuple(x.shape))
            x = x.clone()
            x[..., 0, 0] = 1
            return x

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (9, 6)).save(tmp_path / "a.png", exif=exif)
    deblurrer = Deblurrer(Mark(), training_size=None, precision="fp32")
    assert deblur_files([tmp_path / "a.png"], tmp_path / "out", deblurrer).done == 1
    shown = read_picture(tmp_path / "out" / "a.png")
    assert seen[-1] == tuple(shown.shape)  # before that its memory is measured
    assert shown.nonzero()[:, 2:].unique(dim=0).tolist() == [[0, 0]]


def test_inks_are_deblurred_all_four(tmp_path, invert):
    Image.new("CMYK", (9, 6), (10, 20, 30, 40)).save(tmp_path / "a.tif")
    assert deblur_files([tmp_path / "a.tif"], tmp_path / "out", invert).tiles == 2
    with Image.open(tmp_path / "out" / "a.tif") as picture:
        assert picture.mode == "CMYK"
        assert picture.getpixel((3, 3)) == (245, 235, 225, 215)


def test_what_the_guard_finds_is_told_with_the_path(tmp_path, invert, monkeypatch):
    note = GuardNote("already sharp", "input", tiles=3, share=0.4)
    report = TileReport(7, 64, 64, shrunk=2, guard=(note,))
    monkeypatch.setattr(batch, "deblur_photo", lambda *_: report)
    monkeypatch.setattr(Ledger, "finish", lambda *_: None)
    source = paint(tmp_path / "a.png")
    told = deblur_files([source], tmp_path / "out", invert)
    assert told.guard == ({"path": str(source), **asdict(note)},)
    assert (told.tiles, told.shrunk, told.engine) == (7, 2, "eager")
    assert told.peak_memory_bytes > 50 << 20


def test_tiles_of_a_films_frames_are_counted_and_memory_that_ran_out(tmp_path, invert, monkeypatch):
    source = Film("ffv1", size=(16, 24), frames=3).write(tmp_path / "a.mkv")

    def in_tiles(image, *, hear, **_):
        hear(TileReport(4, 8, 12, shrunk=1))
        return image

    monkeypatch.setattr(batch, "deblur_image", in_tiles)
    told = deblur_files([source], tmp_path / "out", invert)
    assert (told.tiles, told.shrunk) == (12, 3)


def test_what_the_guard_finds_in_a_film_is_told_after_an_interruption_too(tmp_path, invert):
    source = Film("ffv1", size=(16, 24), frames=SEGMENT + 2).write(tmp_path / "a.mkv")
    expected = batch.deblur_files([source], tmp_path / "whole", invert).guard
    assert sum(note["tiles"] for note in expected) > SEGMENT  # nearly every inverted frame
    assert {note["path"] for note in expected} == {str(source)}

    def interrupt(_film, behind, _total):
        if behind == SEGMENT + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.deblur_files([source], tmp_path / "out", invert, tell_frames=interrupt)
    told = batch.deblur_files([source], tmp_path / "out", invert)
    assert told.films[str(source)].resumed == SEGMENT
    assert told.guard == expected


def test_where_a_map_of_trust_is_not_made_it_is_said(tmp_path, invert):
    paint(tmp_path / "in" / "b.png")
    film = Film("ffv1", size=(16, 24), frames=2).write(tmp_path / "in" / "a.mkv")
    options = PhotoOptions(guard=False, trust=True)
    told = batch.deblur_files([tmp_path / "in"], tmp_path / "out", invert, options=options)
    assert "maps of trust are written of photographs only" in told.films[str(film)].notes
    assert tree(tmp_path / "out") == ["a.mkv", "b.png", "b.png.trust.png"]


class Corner:
    """Knows one picture, and paints its upper left corner as it is seen upright."""

    identity = "corner"

    def __init__(self, path):
        self.path = path

    def knows(self, place):
        return place == self.path

    def __call__(self, place, image, result):
        assert self.knows(place)
        assert torch.allclose(result, 1 - image, atol=0.01)
        result = result.clone()
        result[..., :3, :4] = 0.5
        return result


@pytest.mark.parametrize("orientation", [1, 6])
def test_whoever_knows_more_of_a_picture_has_the_last_word(tmp_path, invert, orientation):
    known, other = tmp_path / "in" / "a.png", paint(tmp_path / "in" / "b.png")
    write_picture(torch.full((1, 3, 20, 30), 0.25), known)
    with Image.open(known) as picture:
        exif = picture.getexif()
        exif[0x0112] = orientation
        picture.save(known, exif=exif)
    told = deblur_files([tmp_path / "in"], tmp_path / "out", invert, finish=Corner(known))
    assert told.done == 2
    assert is_inverted(tmp_path / "out" / other.name)
    result = read_picture(tmp_path / "out" / "a.png")
    assert result.shape[-2:] == ((20, 30) if orientation == 1 else (30, 20))
    assert (result[..., :3, :4] - 0.5).abs().max() < 0.01
    assert (result[..., 3:, :] - 0.75).abs().max() < 0.01
    again = deblur_files([tmp_path / "in"], tmp_path / "out", invert, finish=Corner(known))
    assert again.skipped == 2
    assert deblur_files([tmp_path / "in"], tmp_path / "out", invert).done == 2  # without: anew


def test_progress_is_told_from_nothing_to_all(tmp_path, invert):
    for name in ("a.png", "b.png"):
        paint(tmp_path / "in" / name)
    seen = []
    deblur_files([tmp_path / "in"], tmp_path / "o", invert, tell=lambda *now: seen.append(now))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_identity_through_the_whole_pipeline_loses_nothing(tmp_path):
    """Rows that nobody has changed give the same file."""
    folder = tmp_path / "in"
    folder.mkdir()
    for bits in (8, 16):
        for channels in (1, 2, 3, 4):
            png(
                folder / f"{channels}x{bits}.png", noise(channels, bits), chunks=[(b"eXIf", TURNED)]
            )
    pillow(folder / "inks.jpg", smooth(4), mode="CMYK")
    pillow(folder / "colour.jpg", smooth(), exif=exif(5), icc_profile=ICC, xmp=XMP)
    pillow(folder / "inks.tif", noise(4), mode="CMYK", compression="tiff_lzw")
    pillow(folder / "clear.webp", noise(4), lossless=True, exact=True, exif=exif(8))
    pillow(folder / "lossy.webp", smooth(), quality=60)
    pillow(folder / "turned.avif", smooth(4), exif=exif(7), icc_profile=ICC, xmp=XMP)
    report = deblur_files([folder], tmp_path / "out", Deblurrer.identity())
    assert (report.done, report.failed) == (14, ())
    for name in tree(folder):
        kept = copied(folder / name, tmp_path / f"kept-{name}")
        assert (tmp_path / "out" / name).read_bytes() == kept.read_bytes()
        if name.endswith(".png"):
            assert chunks_of(kept)[1] == (b"eXIf", TURNED)


@pytest.mark.parametrize("name", ["a.png", "a.mkv"])
def test_a_source_that_vanishes_meanwhile_fails_alone(tmp_path, name):
    vanishing = tmp_path / name
    if name == "a.png":
        paint(vanishing)
    else:
        Film(frames=2).write(vanishing)

    class Slow(torch.nn.Module):
        def forward(self, x):
            vanishing.unlink(missing_ok=True)
            return 1 - x

    slow = Deblurrer(Slow(), training_size=None, precision="fp32")
    good = paint(tmp_path / "c.png")
    report = deblur_files([vanishing, good], tmp_path / "out", slow)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(vanishing)]
    assert not (tmp_path / "out" / name).exists()
    assert is_inverted(tmp_path / "out" / "c.png")
