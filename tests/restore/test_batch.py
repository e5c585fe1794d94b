import os

import pytest
import torch

from bluref.errors import UserError
from bluref.media.picture import read_picture, write_picture
from bluref.restore import batch
from bluref.restore.batch import deblur_files
from bluref.restore.deblurrer import Deblurrer


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
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


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


def test_what_is_there_is_skipped_unless_asked_for(tmp_path, invert):
    source, out = paint(tmp_path / "a.png"), tmp_path / "out"
    deblur_files([source], out, invert)
    paint(out / "a.png", level=0.5)
    report = deblur_files([source], out, invert)
    assert (report.done, report.skipped) == (0, 1)
    assert not is_inverted(out / "a.png")
    report = deblur_files([source], out, invert, overwrite=True)
    assert (report.done, report.skipped) == (1, 0)
    assert is_inverted(out / "a.png")


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


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["in", "in/a.png", "link"])
def test_an_input_is_never_replaced(tmp_path, invert, name, overwrite):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    before = source.read_bytes()
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([tmp_path / name], tmp_path / "in", invert, overwrite=overwrite)
    assert source.read_bytes() == before


def test_an_input_hidden_behind_a_link_is_never_replaced(tmp_path, invert):
    source = paint(tmp_path / "in" / "a.png")
    (tmp_path / "out").mkdir()
    os.link(source, tmp_path / "out" / "a.png")
    with pytest.raises(UserError, match="would replace the input"):
        deblur_files([source], tmp_path / "out", invert, overwrite=True)


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
            if x.shape[-1] > 20:
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
    def full(_image, path):
        raise UserError(f"cannot write {path}: no space left on device", "free some disk space")

    source = paint(tmp_path / "a.png")
    monkeypatch.setattr(batch, "write_picture", full)
    (failure,) = deblur_files([source], tmp_path / "out", invert).failed
    assert "no space left" in failure.reason
    assert tree(tmp_path / "out") == []


def test_progress_is_told_from_nothing_to_all(tmp_path, invert):
    for name in ("a.png", "b.png"):
        paint(tmp_path / "in" / name)
    seen = []
    deblur_files([tmp_path / "in"], tmp_path / "o", invert, tell=lambda *now: seen.append(now))
    assert seen == [(0, 2), (1, 2), (2, 2)]
