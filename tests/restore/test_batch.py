import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.media.pictures import ICC, XMP, chunks_of, copied, exif, noise, pillow, png, smooth

from bluref.errors import UserError
from bluref.media.picture import read_picture, write_picture
from bluref.restore import batch
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.guard import GuardNote
from bluref.restore.ledger import NAME, Ledger
from bluref.restore.one_photo import PhotoOptions
from bluref.restore.tiles import TileReport

TURNED = exif(6)[6:]
# The guard would not let a picture be inverted.
UNGUARDED = PhotoOptions(guard=False)
deblur_files = partial(batch.deblur_files, options=UNGUARDED)


class Invert(torch.nn.Module):
    def forward(self, x):
        return 1 - x


@pytest.fixture
def invert():
    return Deblurrer(Invert(), training_size=None, precision="fp32")


def paint(path, level=0.25, size=(6, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(torch.full((1, 3, *size), level), path)
    return path


def is_inverted(path, level=0.25):
    return bool(((read_picture(path) - (1 - level)).abs() < 0.02).all())


def tree(folder):
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if name != NAME)


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


def test_what_is_there_for_an_unknown_reason_is_neither_reused_nor_replaced(tmp_path, invert):
    source, out = paint(tmp_path / "a.png"), tmp_path / "out"
    deblur_files([source], out, invert)
    edited = paint(out / "a.png", level=0.5).read_bytes()
    report = deblur_files([source], out, invert)
    assert (report.done, report.skipped) == (0, 0)
    (failure,) = report.failed
    assert "out/a.png is there, and not known to be made from" in failure.reason
    assert "--overwrite" in failure.reason
    report = deblur_files([source], out, invert, existing="skip")
    assert (report.done, report.skipped, report.failed) == (0, 1, ())
    assert report.kept == (str(out / "a.png"),)
    assert (out / "a.png").read_bytes() == edited
    report = deblur_files([source], out, invert, existing="overwrite")
    assert (report.done, report.skipped) == (1, 0)
    assert is_inverted(out / "a.png")


def test_a_source_that_has_changed_is_done_anew(tmp_path, invert):
    source, other = paint(tmp_path / "in" / "a.png"), paint(tmp_path / "in" / "b.png")
    deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    times = other.stat()
    paint(source, level=0.75)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))  # content counts, and not time
    os.utime(other)
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.skipped) == (1, 1)
    assert is_inverted(tmp_path / "out" / "a.png", 0.75)


class Scale(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return x * self.factor


def test_another_network_or_other_options_do_it_anew(tmp_path):
    source = paint(tmp_path / "a.jpg")

    def run(factor, size=8, precision="fp32", **how):
        deblurrer = Deblurrer(Scale(factor), training_size=size, precision=precision)
        report = deblur_files([source], tmp_path / "out", deblurrer, **how)
        assert report.failed == ()
        return report.done

    assert [run(0.5), run(0.5)] == [1, 0]
    assert [run(0.25), run(0.25)] == [1, 0]
    assert [run(0.25, size=16), run(0.25, size=16)] == [1, 0]
    assert [run(0.25, 16, "bf16"), run(0.25, 16, "bf16")] == [1, 0]
    finer = {"options": PhotoOptions(quality=77)}
    assert [run(0.25, 16, "bf16", **finer), run(0.25, 16, "bf16", **finer)] == [1, 0]
    limits = {"options": PhotoOptions(quality=77, max_pixels=10**6)}
    assert run(0.25, 16, "bf16", **limits) == 0


def test_a_run_that_dies_between_output_and_ledger_does_that_one_again(
    tmp_path, invert, monkeypatch
):
    source = paint(tmp_path / "a.png")

    def die(_self, _target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            deblur_files([source], tmp_path / "out", invert)
    assert tree(tmp_path / "out") == ["a.png"]
    report = deblur_files([source], tmp_path / "out", invert)
    assert (report.done, report.failed) == (1, ())


def test_interrupted_work_goes_on_where_it_was(tmp_path, invert):
    for i in range(4):
        paint(tmp_path / "in" / f"{i}.png")

    def interrupt(behind, _total):
        if behind == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deblur_files([tmp_path / "in"], tmp_path / "out", invert, tell=interrupt)
    assert tree(tmp_path / "out") == ["0.png", "1.png"]
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.skipped) == (2, 2)


def test_results_inside_the_input_folder_are_not_taken_as_inputs(tmp_path, invert):
    paint(tmp_path / "a.png")
    for _ in range(2):
        report = deblur_files([tmp_path], tmp_path / "deblurred", invert)
    assert (report.done, report.skipped) == (0, 1)
    assert tree(tmp_path / "deblurred") == ["a.png"]


def test_an_output_folder_above_the_inputs_is_fine(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    assert deblur_files([tmp_path / "in"], tmp_path, invert).done == 1
    assert tree(tmp_path) == ["a.png", "in/a.png"]


@pytest.mark.parametrize("existing", ["refuse", "skip", "overwrite"])
@pytest.mark.parametrize("name", ["in", "in/a.png", "link"])
def test_an_input_is_never_replaced(tmp_path, invert, name, existing):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = source.read_bytes()
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([tmp_path / name], tmp_path / "in", invert, existing=existing)
    assert source.read_bytes() == before


def test_an_input_hidden_behind_a_link_is_never_replaced(tmp_path, invert):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    os.link(source, tmp_path / "out" / "a.png")
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([source], tmp_path / "out", invert, existing="overwrite")


def test_two_inputs_never_share_an_output(tmp_path, invert):
    inputs = [paint(tmp_path / folder / "a.png") for folder in "xy"]
    with pytest.raises(UserError, match="would both become"):
        deblur_files(inputs, tmp_path / "out", invert)
    assert not (tmp_path / "out").exists()


def test_an_input_named_twice_is_done_once(tmp_path, invert):
    source = paint(tmp_path / "a.png")
    report = deblur_files([source, tmp_path / "." / "a.png"], tmp_path / "out", invert)
    assert (report.done, report.skipped, report.failed) == (1, 0, ())


def test_nothing_given_is_an_error(tmp_path, invert):
    with pytest.raises(UserError, match="no pictures given"):
        deblur_files([], tmp_path, invert)


def test_an_output_folder_that_cannot_be_is_found_out_first(tmp_path, invert):
    source = paint(tmp_path / "a.png")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write to .*out"):
        deblur_files([source], tmp_path / "out", invert)


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


def test_sidecars_and_rubbish_are_passed_over_and_unread_pictures_counted(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    names = ["Thumbs.db", ".DS_Store", "a.xmp", "a.AAE", "a.json", "a.txt", "._a.png", "b.CR2"]
    for name in [*names, "c.cr2", "d.gif"]:
        (tmp_path / "in" / name).write_bytes(b"rubbish")
    (tmp_path / "in" / ".hidden").mkdir()
    paint(tmp_path / "in" / ".hidden" / "a.png")
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.failed) == (1, ())
    assert report.passed_over == {".cr2": 2, ".gif": 1}


def test_a_picture_that_is_named_may_have_any_name(tmp_path, invert):
    paint(tmp_path / "a.png").rename(tmp_path / "a.bak")
    assert deblur_files([tmp_path / "a.bak"], tmp_path / "out", invert).done == 1
    assert tree(tmp_path / "out") == ["a.bak"]


def test_loops_of_links_end(tmp_path, invert):
    paint(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "loop.png").symlink_to(tmp_path / "in" / "loop.png")
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    inputs = [tmp_path / "in", tmp_path / "in" / "loop.png"]
    report = deblur_files(inputs, tmp_path / "out", invert)
    assert report.done == 1
    (failure,) = report.failed
    assert "symbolic links" in failure.reason


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, invert, monkeypatch):
    for name in ("x/a.png", "y/a.png"):
        paint(tmp_path / "in" / name)
    listed = Path.iterdir

    def refuse(folder):
        if folder.name == "x":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert report.done == 1
    assert [failure.path for failure in report.failed] == [str(tmp_path / "in" / "x")]


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


def test_progress_is_told_from_nothing_to_all(tmp_path, invert):
    for name in ("a.png", "b.png"):
        paint(tmp_path / "in" / name)
    seen = []
    deblur_files([tmp_path / "in"], tmp_path / "o", invert, tell=lambda *now: seen.append(now))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_identity_through_the_whole_pipeline_loses_nothing(tmp_path):
    """As `tests/media/test_photo.py` looks at: rows that nobody has changed give the same file."""
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
