import fractions
import pathlib
import pickle
import shlex
import sys
import zipfile

import pytest
import safetensors.torch
import torch

from bluref.errors import UserError
from bluref.weights.published import read_published

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.tensor([1.0, -1.0])}


class Touch:
    """Makes a file when somebody unpickles it."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def saved(path, what, **how):
    torch.save(what, path, **how)
    return path


def same(found, expected):
    return found.keys() == expected.keys() and all(
        torch.equal(found[k], expected[k]) for k in found
    )


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.pth.tar"])
@pytest.mark.parametrize("archive", [True, False])
def test_tensors_come_back_as_they_were_saved(tmp_path, name, archive):
    wrapped = {"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"step": 1}}}}
    path = saved(tmp_path / name, wrapped, _use_new_zipfile_serialization=archive)
    found = read_published(path)
    assert found["epoch"] == 3
    assert same(found["state_dict"], STATE)


def test_safetensors_are_read(tmp_path):
    safetensors.torch.save_file(STATE, tmp_path / "net.safetensors")
    assert same(read_published(tmp_path / "net.safetensors"), STATE)


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_is_never_run(tmp_path, archive):
    marker = tmp_path / "marker"
    evil = saved(
        tmp_path / "evil.pth", {"a": Touch(marker)}, _use_new_zipfile_serialization=archive
    )
    with pytest.raises(UserError, match=r"evil\.pth holds objects besides tensors"):
        read_published(evil)
    assert not marker.exists()
    torch.load(evil, weights_only=False)  # noqa: TID251 - else the test would prove nothing
    assert marker.exists()


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("name", ["it's $HOME; net.pth.tar", "net"])
def test_the_fix_for_a_constructor_object_works_as_it_is_printed(
    tmp_path, name, archive, monkeypatch
):
    holder = {"state_dict": {**STATE, "extra": 1}, "constructor": fractions.Fraction(1, 2)}
    path = saved(tmp_path / name, holder, _use_new_zipfile_serialization=archive)
    with pytest.raises(UserError, match="objects besides tensors") as caught:
        read_published(path)
    python, c, program, *arguments = shlex.split(caught.value.fix.split("result: ")[1])
    assert (python, c) == ("python", "-c")
    assert not set('$`!"') & set(program)  # within double quotes nothing else would be special
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    exec(program, {})
    assert path.read_bytes()[:1] in (b"P", b"\x80")  # the original is not overwritten
    assert same(read_published(pathlib.Path(arguments[1])), STATE)


def spoilt(folder):
    """Files that are no checkpoints, by name."""
    good = saved(folder / "good.pth", STATE).read_bytes()
    old = saved(folder / "old.pth", STATE, _use_new_zipfile_serialization=False).read_bytes()
    yield "empty.pth", b""
    yield "text.pth", b"hello world\n"
    yield "page.pth", b"<!DOCTYPE html>\n<html></html>"
    yield "bytes.pth", bytes(range(256)) * 10
    yield "pickle.pth", pickle.dumps({"a": 1}, 2)
    yield "half.pth", good[: len(good) // 2]
    yield "flipped.pth", good[:100] + b"\xff" * 60 + good[160:]
    for share in (0.01, 0.1, 0.3, 0.5, 0.9):
        yield f"old-{share}.pth", old[: int(share * len(old))]
    yield "old-short.pth", old[:-5]
    yield "text.safetensors", b"hello world, hello world"
    yield "empty.safetensors", b""
    tensors = safetensors.torch.save(STATE)
    yield "half.safetensors", tensors[:-4]


def test_files_that_are_no_checkpoints_are_the_users_to_fix(tmp_path):
    for name, content in spoilt(tmp_path):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            read_published(tmp_path / name)
        assert name in caught.value.problem
        assert "besides tensors" not in caught.value.problem


def test_archives_of_other_kinds_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.pth", "w") as archive:
        archive.writestr("a.txt", "hello")
    with zipfile.ZipFile(saved(tmp_path / "script.pt", STATE), "a") as archive:
        archive.writestr("script/constants.pkl", "")  # by which torch knows its TorchScript
    for name in ("photos.pth", "script.pt"):
        with pytest.raises(UserError, match=f"{name} is not a checkpoint"):
            read_published(tmp_path / name)


def test_missing_files_and_folders_are_named(tmp_path):
    (tmp_path / "folder.pth").mkdir()
    for name in ("missing.pth", "missing.safetensors", "folder.pth"):
        with pytest.raises(UserError, match=f"cannot read .*{name}"):
            read_published(tmp_path / name)


@pytest.mark.parametrize("content", [torch.ones(2), [torch.ones(2)], {0: torch.ones(2)}, 5])
def test_weights_without_names_are_refused(tmp_path, content):
    with pytest.raises(UserError, match="no named weights"):
        read_published(saved(tmp_path / "list.pth", content))


def test_files_larger_than_the_limit_are_not_read(tmp_path):
    path = saved(tmp_path / "net.pth", STATE)
    size = path.stat().st_size
    assert same(read_published(path, limit=size), STATE)
    with pytest.raises(UserError, match=f"holds {size} bytes, at most {size - 1}"):
        read_published(path, limit=size - 1)
    with (tmp_path / "huge.safetensors").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room on the disk
    with pytest.raises(UserError, match=f"holds {2**40} bytes"):
        read_published(tmp_path / "huge.safetensors")


def test_archives_that_would_unpack_beyond_the_limit_are_not_read(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data/0", bytes(10**6))
    assert path.stat().st_size < 10**4
    with pytest.raises(UserError, match=f"holds {10**6} bytes"):
        read_published(path, limit=10**5)
