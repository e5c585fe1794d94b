"""A run's folder: held by one process, begun with one recipe and one set of frames."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

import bluref
from bluref.errors import UserError
from bluref.media.whole import write_text_whole
from bluref.train.named_files import replaced
from bluref.train.observe import Observer
from bluref.train.processes import Processes
from bluref.train.recipe_file import differences, read_run, refuse_other_version

# What runs on the same footage may share: decoded frames, and how they move.
LENDABLE = ("frames", "motion")
# What else is in the way of no run: left by one that died early, or that the check refused.
LOCK = ".lock"
HARMLESS = (LOCK, "check.json")


def settle(
    run: Path, told: dict[str, dict[str, Any]], processes: Processes, observer: Observer
) -> None:
    """Write recipe.yaml, or refuse to go on with another recipe or other footage.

    Args:
        run: the run folder.
        told: `recipe`; `data`, whose `fingerprint` changes when the frames do; and `files`, which
            a matcher that was trained anew in its place changes.
        processes: each draws a batch of its own, so that their number is one more setting.
        observer: is told of versions that changed.

    Raises:
        UserError: the run was started with other settings, other frames, another matcher, or by
            more or fewer processes.
    """
    path = run / "recipe.yaml"
    versions = {"bluref": bluref.__version__, "torch": str(torch.__version__)}
    versions["python"] = platform.python_version()
    if not path.exists():
        now = {**told, "processes": {"count": processes.count}, "versions": versions}
        write_text_whole(path, yaml.safe_dump(now, sort_keys=False))
        return
    before = read_run(run)
    refuse_other_version(run, before, told["recipe"].keys() ^ before["recipe"].keys())
    # As YAML gives it back, which knows lists but no tuples.
    changed = differences(before["recipe"], yaml.safe_load(yaml.safe_dump(told["recipe"])))
    if changed:
        raise UserError(
            f"{run} was started with other settings ({'; '.join(changed)})",
            "resume with the run's own settings, or start a new run in another folder",
        )
    if before["data"]["fingerprint"] != told["data"]["fingerprint"]:
        raise UserError(
            f"the footage in {told['data']['folder']} is not what {run} was started with",
            "bring the frames back, or start a new run in another folder; where no frame has"
            " changed, the version of BluRef has, and chooses them otherwise",
        )
    _refuse_replaced(run, before["files"], told)
    count = before["processes"].get("count", processes.count)
    if count != processes.count:
        raise UserError(
            f"{run} was begun by {count} processes with a batch each, not {processes.count}",
            f"go on with as many (accelerate launch --multi_gpu --num_processes {count})",
        )
    for line in differences(before["versions"], versions):
        observer.on_message(f"version changed since the run began, weights may differ: {line}")


def _refuse_replaced(run: Path, before: dict[str, str], told: dict[str, dict[str, Any]]) -> None:
    """Refuse to go on with another matcher, or to begin anew with other weights."""
    begun = (run / "last").is_dir()  # from there on it is of no account what it began with
    for field in replaced(before, told.get("files", {})):
        if field != "init" or not begun:
            raise UserError(
                f"{told['recipe'][field]} is not the {field} any more that {run} was started with",
                "bring its file back, or start a new run in another folder",
            )


@contextlib.contextmanager
def locked(run: Path, *, resume: bool) -> Iterator[None]:
    """Hold the run folder for this process alone; the lock dies with the process.

    Raises:
        UserError: the folder is not empty and not to be resumed, another process trains in it, or
            it cannot be written.
    """
    if resume and not (run / "recipe.yaml").is_file():
        raise UserError(
            f"{run} holds no run",
            "name the folder of a run; `bluref train DATA -o RUN`, without --resume, begins one",
        )
    if not resume and not _is_free(run):
        raise UserError(
            f"{run} is not an empty folder; runs are never overwritten",
            "name another folder, or go on with the run in it by --resume",
        )
    with held_alone(run):
        yield


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Hold a folder, made if it is not there, for this process alone.

    Raises:
        UserError: another process works in it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror}", "choose another folder"
        ) from None
    try:
        _lock(handle, folder)
        yield
    finally:
        os.close(handle)


def _is_free(run: Path) -> bool:
    """Whether nothing is there, or only what others lend it or a run leaves that died early."""
    if not run.exists():
        return True
    return run.is_dir() and {p.name for p in run.iterdir()} <= {*HARMLESS, *LENDABLE}


def _lock(handle: int, run: Path) -> None:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise UserError(
            f"another process is at work in {run}", "wait for it, or name another folder"
        ) from None
