"""Killed at any moment and resumed, a run ends in the same bits as one without interruption."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace

import pytest
import yaml
from tests.train.conftest import Two

from bluref.errors import UserError
from bluref.restore.networks.backbones import BACKBONES
from bluref.train.observe import Observer
from bluref.train.run import train
from bluref.train.run_folder import settle
from bluref.train.run_targets import open_targets

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]


class Killed(BaseException):
    """What kill -9 would be, if it could be raised."""


@pytest.fixture(scope="module")
def straight(thin, unchecked, footage, recipe, tmp_path_factory):
    """An uninterrupted run."""
    run = tmp_path_factory.mktemp("straight") / "run"
    train(footage, run, recipe)
    return run


def finish(footage, run, recipe) -> None:
    """Go on as a user would: by --resume, or anew where nothing is there to resume."""
    result = train(footage, run, recipe, resume=(run / "recipe.yaml").exists())
    assert result.finished


@pytest.mark.parametrize("nth", [3, 17, 40, 60])
def test_death_at_any_flush_to_disk_costs_nothing(
    digest, nth, footage, straight, recipe, tmp_path, monkeypatch
):
    # Checkpoints, teachers, bank entries and decoded frames all pass through fsync.
    calls = 0
    real = os.fsync

    def fsync(descriptor):
        nonlocal calls
        calls += 1
        if calls == nth:
            raise Killed
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(Killed):
        train(footage, tmp_path / "run", recipe)
    finish(footage, tmp_path / "run", recipe)
    assert digest(tmp_path / "run") == digest(straight)


KILL = """
    import os, signal, sys
    from pathlib import Path
    from bluref.restore.networks.backbones import BACKBONES
    from bluref.restore.networks.nafnet import NAFNetConfig
    from bluref.train import checkpoint
    from bluref.train.observe import Observer
    from bluref.train.recipe import Recipe
    from bluref.train.recipe_file import recipe_from
    from bluref.train.run import train
    import torch

    torch.set_num_threads(int(sys.argv[4]))
    BACKBONES["small"] = NAFNetConfig(**eval(sys.argv[6]))
    moment = sys.argv[3]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly(Observer):
        def on_step(self, step, loss):
            if moment == f"step {step}":
                die()
        def on_refresh(self, round_, done, total):
            if moment == f"refresh {round_}" and done > total // 2:
                die()

    flushed = 0
    real = checkpoint.flush
    def flush(path):
        global flushed
        flushed += 1
        if moment == f"flush {flushed}":
            die()
        real(path)
    checkpoint.flush = flush
    recipe = recipe_from(eval(sys.argv[5]), Recipe, where="test")
    train(Path(sys.argv[1]), Path(sys.argv[2]), recipe, observer=Deadly())
"""


@pytest.mark.parametrize("moment", ["step 7", "refresh 0", "refresh 1", "flush 9", "flush 14"])
def test_kill_9_and_resume_equals_uninterrupted(
    digest, moment, footage, straight, recipe, tmp_path
):
    import torch

    run = tmp_path / "run"
    arguments = [str(footage), str(run), moment, str(torch.get_num_threads())]
    settings = {k: v for k, v in recipe.__dict__.items() if v is not None}
    network = asdict(BACKBONES["small"])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILL), *arguments, repr(settings), repr(network)],
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    finish(footage, run, recipe)
    assert digest(run) == digest(straight)


def test_ctrl_c_finishes_the_step_saves_and_goes_on(digest, footage, straight, recipe, tmp_path):
    class Interrupting(Observer):
        def on_step(self, step, loss):
            if step == 6:
                os.kill(os.getpid(), signal.SIGINT)

    result = train(footage, tmp_path / "run", recipe, observer=Interrupting())
    assert not result.finished
    assert result.steps == 6
    finish(footage, tmp_path / "run", recipe)
    assert digest(tmp_path / "run") == digest(straight)


def test_ctrl_c_stops_a_refresh_and_keeps_what_is_matched(
    digest, footage, straight, recipe, tmp_path
):
    class Interrupting(Observer):
        def on_refresh(self, round_, done, total):
            if (round_, done) == (1, 3):
                os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    result = train(footage, run, recipe, observer=Interrupting())
    assert not result.finished
    assert result.steps == 7  # where round 1 begins
    assert len(list((run / "bank" / "round-0001").glob("*.safetensors"))) == 3
    finish(footage, run, recipe)
    assert digest(run) == digest(straight)


def test_lost_bank_entries_are_made_again_on_resume(digest, footage, straight, recipe, tmp_path):
    class Interrupting(Observer):
        def on_step(self, step, loss):
            if step == 9:
                os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    train(footage, run, recipe, observer=Interrupting())
    entries = sorted((run / "bank" / "round-0001").glob("*.safetensors"))
    entries[0].unlink()
    entries[1].write_bytes(entries[1].read_bytes()[:100])
    finish(footage, run, recipe)
    assert digest(run) == digest(straight)


def test_changed_settings_are_refused_with_the_difference(footage, straight, recipe):
    with pytest.raises(UserError, match="delta: 1 -> 2"):
        train(footage, straight, replace(recipe, delta=2), resume=True)


def test_a_run_of_another_version_is_refused_as_such(footage, straight, recipe, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    told = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    told["recipe"]["forgotten"] = told["recipe"].pop("even")
    (run / "recipe.yaml").write_text(yaml.safe_dump(told), "utf-8")
    with pytest.raises(UserError, match=r"version .* other settings \(even, forgotten\)"):
        train(footage, run, recipe, resume=True)


def test_other_processes_than_before_are_refused(footage, straight, recipe, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    told = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    assert told.pop("processes") == {"count": 1}
    (run / "recipe.yaml").write_text(yaml.safe_dump(told), "utf-8")
    assert train(footage, run, recipe, resume=True).finished  # of before they were counted
    settle(run, told | {"versions": {}}, Two(), Observer())
    told["processes"] = {"count": 2}
    (run / "recipe.yaml").write_text(yaml.safe_dump(told), "utf-8")
    with pytest.raises(UserError, match="begun by 2 processes") as caught:
        train(footage, run, recipe, resume=True)
    assert "--num_processes 2" in caught.value.fix


def test_changed_footage_is_refused(other_footage, straight, recipe):
    with pytest.raises(UserError, match=r"not what .* was started with"):
        train(other_footage, straight, recipe, resume=True)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("optimizer.pt", b""),
        ("optimizer.pt", b"garbage"),
        ("training.safetensors", b""),
        ("meta.json", b"[]"),
        ("meta.json", b"{"),
        ("model.json", b"[]"),
    ],
)
def test_a_damaged_checkpoint_is_told(footage, straight, recipe, tmp_path, name, held):
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    (run / "last" / name).write_bytes(held)
    with pytest.raises(UserError, match=r"last\S* (cannot be read|does not describe)"):
        train(footage, run, recipe, resume=True)


def test_a_torn_teacher_is_told_where_nobody_trains_on(straight, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight, run)
    targets = open_targets(run)
    next((run / "bank").glob("round-*/teacher/model.json")).unlink()
    with pytest.raises(UserError, match="network that made these targets is torn") as caught:
        targets.refresh(targets.found.samples, lambda done, total: None)
    assert "--resume" in caught.value.fix


def test_a_run_is_never_overwritten(digest, footage, straight, recipe):
    before = digest(straight)
    with pytest.raises(UserError, match="never overwritten"):
        train(footage, straight, recipe)
    assert digest(straight) == before


def test_resuming_what_is_no_run_is_refused(footage, recipe, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        train(footage, tmp_path, recipe, resume=True)


def test_two_processes_cannot_train_in_one_folder(footage, recipe, tmp_path):
    class Intruder(Observer):
        seen = ""

        def on_step(self, step, loss):
            if step == 2:
                with pytest.raises(UserError, match="another process") as caught:
                    train(footage, tmp_path / "run", recipe, resume=True)
                Intruder.seen = caught.value.problem

    train(footage, tmp_path / "run", recipe, observer=Intruder())
    assert "run" in Intruder.seen
