"""Full disks, closed places, sources that change, and misuse: nothing half-made is left behind."""

import errno
import os
import subprocess
import sys

import pytest
from tests.media.photos.pictures import SUFFIXES, copied, made, noise

from bluref.errors import UserError
from bluref.media.photos import photo_sink, vips
from bluref.media.photos.photo import open_photo


def test_too_little_room_is_found_out_first(tmp_path, monkeypatch):
    path = made(tmp_path, "png")
    usage = photo_sink.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(photo_sink.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="bytes are needed") as caught:
        copied(path)
    assert "free some disk space" in caught.value.fix
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from bluref.errors import UserError
from tests.media.photos.pictures import copied

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that a limit on files stands for a full disk
for name in sys.argv[1:]:
    path = Path(name)
    size = path.stat().st_size
    for limit in (1000, 36_000, size - 300, size + 300):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            copied(path, rows=96)
            print("done", limit > size)
        except UserError as error:
            out = path.with_name("out" + path.suffix)
            print(error.problem, "|", out.read_text() == "old", len(list(path.parent.iterdir())))
"""


@pytest.mark.slow
def test_a_disk_that_fills_leaves_the_old_file_and_nothing_else(tmp_path):
    names = []
    for suffix in SUFFIXES:
        folder = tmp_path / suffix
        folder.mkdir()
        options = {"lossless": True} if suffix == "webp" else {"quality": 98}
        names.append(str(made(folder, suffix, noise(height=96, width=128), **options)))
        (folder / f"out.{suffix}").write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *names], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    told = done.stdout.splitlines()
    refused = [line for line in told if line != "done True"]
    assert len(told) == 4 * len(SUFFIXES)
    assert len(refused) >= 3 * len(SUFFIXES) - 4
    assert all("cannot write" in line and line.endswith("| True 2") for line in refused)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path, monkeypatch, code):
    path = made(tmp_path, "png")
    opened = type(path).open

    def refuse(self, mode="r", *arguments, **options):
        if "w" in mode:
            raise OSError(code, os.strerror(code), str(self))
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(UserError, match="cannot write"):
        copied(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_source_that_changes_meanwhile_is_found_out(tmp_path):
    path = made(tmp_path, "png")

    def change(rows):
        made(tmp_path, "png", noise(height=90))
        return rows

    with pytest.raises(UserError, match="has changed meanwhile"):
        copied(path, rows=24, change=change)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def write(photo, target, *parts, quality=None):
    with photo.rewrite(target, quality) as sink:
        for part in parts:
            sink.write(part)


def test_rows_must_all_be_there_and_fit(tmp_path):
    with open_photo(made(tmp_path, "png")) as photo:
        with pytest.raises(ValueError, match="1 to 24"):
            photo.read(25)
        rows = photo.read(24)
        with pytest.raises(ValueError, match="1 to 0"):
            photo.read(1)
        for wrong in (rows[:, :, :23], rows.repeat(2, 1, 1, 1), rows[..., :39]):
            with pytest.raises(ValueError, match=r"picture of 24|must fit"):
                write(photo, tmp_path / "out.png", wrong)
        with pytest.raises(ValueError, match="picture of 24"):
            write(photo, tmp_path / "out.png", rows, rows[:, :, :1])
        with pytest.raises(ValueError, match="got 101"):
            write(photo, tmp_path / "out.png", rows, quality=101)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_block_leaves_nothing(tmp_path, error):
    path = made(tmp_path, "png")

    def stop(_rows):
        raise error

    with pytest.raises(error):
        copied(path, change=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_source_that_vanishes_meanwhile_is_found_out(tmp_path):
    path = made(tmp_path, "png")

    def vanish(rows):
        path.unlink()
        return rows

    with pytest.raises(UserError, match="has changed meanwhile"):
        copied(path, rows=24, change=vanish)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_source_that_vanishes_while_it_is_encoded_is_found_out(tmp_path, monkeypatch, suffix):
    path, run = made(tmp_path, suffix), vips.run_stoppably

    def vanish(image, work):
        run(image, work)
        path.unlink()

    monkeypatch.setattr(vips, "run_stoppably", vanish)
    with pytest.raises(UserError, match="has changed meanwhile"):
        copied(path)
    assert list(tmp_path.iterdir()) == []
