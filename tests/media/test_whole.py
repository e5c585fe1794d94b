import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bluref.errors import UserError
from bluref.media.whole import (
    append_text,
    decimal_bytes,
    remove_leftovers,
    whole_file,
    whole_lines,
    write_text_whole,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupt(path, error):
    with whole_file(path) as partial:
        partial.write_text("half")
        raise error


def failing(code, filename=None):
    def fail(*_arguments, **_options):
        raise OSError(code, os.strerror(code), filename)

    return fail


def test_the_file_appears_only_when_the_block_has_ended(tmp_path):
    path = tmp_path / "out.txt"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out.txt"]


def test_the_temporary_file_is_hidden_beside_the_target_with_its_suffix(tmp_path):
    with whole_file(tmp_path / "a.png") as partial:
        assert partial.parent == tmp_path
        assert partial.name.startswith(".")
        assert partial.suffix == ".png"
        partial.write_bytes(b"")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_interrupted_block_leaves_the_old_file_and_no_rubbish(tmp_path, error):
    path = tmp_path / "out.txt"
    path.write_text("old")
    with pytest.raises(error):
        interrupt(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out.txt"]


def test_missing_parents_are_made(tmp_path):
    write_text_whole(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_text_is_utf8_with_line_ends_as_given(tmp_path):
    write_text_whole(tmp_path / "t", "ä\r\n\n")
    assert (tmp_path / "t").read_bytes() == b"\xc3\xa4\r\n\n"


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "line\nbreak", "Übung 写真", "-o"])
def test_any_file_name_works(tmp_path, name):
    write_text_whole(tmp_path / name, "x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("call", ["fsync", "write"])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path, monkeypatch, call, old):
    path = tmp_path / "out.txt"
    if old is not None:
        path.write_text(old)
    if call == "fsync":
        monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    else:
        monkeypatch.setattr(Path, "write_bytes", failing(errno.ENOSPC))
    with pytest.raises(UserError) as caught:
        write_text_whole(path, "new")
    assert str(path) in caught.value.problem
    assert "no space left" in caught.value.problem
    assert "free some disk space" in caught.value.fix
    assert names(tmp_path) == ([] if old is None else ["out.txt"])
    assert old is None or path.read_text() == old


def test_data_is_flushed_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    path, calls = tmp_path / "out.txt", []
    fsync, replace = os.fsync, Path.replace

    def note_flush(descriptor):
        calls.append("flush folder" if path.exists() else "flush file")
        fsync(descriptor)

    def note_rename(source, target):
        calls.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", note_flush)
    monkeypatch.setattr(Path, "replace", note_rename)
    write_text_whole(path, "x")
    assert calls == ["flush file", "rename", "flush folder"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_a_user_error(tmp_path, code):
    path = tmp_path / "out.txt"
    with pytest.raises(UserError) as caught, whole_file(path) as partial:
        failing(code, str(partial))()
    assert str(path) in caught.value.problem
    assert caught.value.fix


def test_a_parent_that_cannot_be_made_is_a_user_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", failing(errno.EROFS, str(tmp_path / "new")))
    with pytest.raises(UserError, match="read-only"), whole_file(tmp_path / "new" / "x"):
        pass


def test_a_place_where_the_system_makes_no_folders_is_a_user_error():
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    with pytest.raises(UserError, match="/proc/new cannot be made"):
        write_text_whole("/proc/new/out.txt", "x")


def test_a_parent_that_is_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="parent is a folder"):
        write_text_whole(tmp_path / "file" / "out.txt", "x")


def test_what_is_not_a_regular_file_is_never_replaced(tmp_path):
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"  # a pipe stands for every device
    folder.mkdir()
    os.mkfifo(pipe)
    for path in (folder, pipe):
        with pytest.raises(UserError, match="not a file"):
            write_text_whole(path, "x")
    assert folder.is_dir()
    assert pipe.is_fifo()


def test_a_name_that_is_too_long_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="shorter name"):
        write_text_whole(tmp_path / ("x" * 300), "x")


def test_an_unreadable_input_inside_the_block_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(PermissionError), whole_file(tmp_path / "out"):
        failing(errno.EACCES, "/some/input")()


def leave(folder, target):
    """What a writer of `target` leaves behind that is killed, as `photo_sink` names it."""
    script = f"""
import os, signal
from bluref.media.whole import whole_file
with whole_file({str(folder / target)!r}) as partial:
    for path in (partial, partial.with_suffix(".values"), partial.with_suffix(".encoded")):
        path.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", script], check=False)


def test_lines_are_added_and_a_torn_one_is_not_read(tmp_path):
    path = tmp_path / "log.csv"
    for line in ("a\n", "bö\n"):
        append_text(path, line)
    assert path.read_bytes().decode() == whole_lines(path) == "a\nbö\n"
    append_text(path, "c,")
    assert whole_lines(path) == "a\nbö\n"
    path.write_bytes("a\nbö".encode()[:-1])  # within a letter
    assert whole_lines(path) == "a\n"
    path.write_bytes(b"torn")
    assert whole_lines(path) == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_full_disk_is_told_where_lines_are_added():
    with pytest.raises(UserError, match=r"cannot write /dev/full: no space left"):
        append_text(Path("/dev/full"), "line\n")


def test_other_errors_of_adding_lines_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        append_text(tmp_path / "nowhere" / "log.csv", "line\n")


def test_what_killed_writers_left_a_day_ago_is_removed(tmp_path):
    leave(tmp_path, "a.png")
    leave(tmp_path, "no suffix")
    left = names(tmp_path)
    assert len(left) == 6
    others = [".hidden", "a.partial.png", ".0123456789abcdef.png", ".0123.partial.png", "x.values"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".0123456789abcdef.partial").mkdir()
    others.append(".0123456789abcdef.partial")
    old = time.time() - 25 * 3600
    for name in (*left[1:], *others):
        os.utime(tmp_path / name, (old, old))
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted([left[0], *others])


def test_folders_that_cannot_be_listed_have_no_leftovers(tmp_path):
    (tmp_path / "file").touch()
    for name in ("file", "missing", "x" * 300):
        remove_leftovers(tmp_path / name)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0.0 kB"), (999, "1.0 kB"), (82_000, "82 kB"), (3_250_000, "3.2 MB"),
        (64 * 10**6, "64 MB"), (999_900_000, "1,000 MB"), (2 * 10**9, "2.0 GB"),
        (42 * 10**11, "4,200 GB"),
    ],
)  # fmt: skip
def test_bytes_are_told_as_people_say_them(count, said):
    """A small set must not seem to need nothing."""
    assert decimal_bytes(count) == said
