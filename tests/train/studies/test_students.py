"""Runs of a study that learn from the pairs of another."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from bluref.restore.files import save_network
from bluref.restore.networks.backbones import build_backbone
from bluref.train.studies import study as module
from bluref.train.studies.study import run_study
from bluref.train.studies.study_file import Variant
from bluref.train.studies.study_results import row


@pytest.fixture
def taught(study):
    """A teacher and its student."""
    variants = (Variant("t", {}, {}), Variant("s", {"pairs": True}, {}, pairs_of="t"))
    return replace(study, variants=variants, grid={"seed": (0,)}, rows=())


def test_a_student_is_given_the_pairs_of_its_teacher(training, taught, tmp_path, monkeypatch):
    made = []

    def make_pairs(run, out, *, data, observer, device):
        assert (run / "frames").is_symlink()  # lent, so that nothing is decoded again
        made.append((run.name, out, data, device))

    monkeypatch.setattr(module, "make_pairs", make_pairs)
    done = run_study(taught, tmp_path / "study", device="meta")
    teacher, student = (result.run.name for result in done.results)
    pairs = tmp_path / "study" / "pairs" / teacher
    assert made == [(teacher, pairs, taught.data, "meta")]
    assert training.data == {teacher: taught.data, student: pairs}
    assert [row(result)["strategy"] for result in done.results] == ["robust", "robust"]
    assert not list((tmp_path / "study" / "runs").rglob("frames"))
    told = json.loads((tmp_path / "study" / "runs" / student / "result.json").read_text())
    assert told["pairs_of"] == teacher
    run_study(taught, tmp_path / "study")
    assert len(made) == len(training.calls) - 1 == 1


def test_a_student_does_not_stay_when_its_teacher_is_trained_anew(
    training, taught, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "make_pairs", lambda *_, **__: None)
    runs = tmp_path / "study" / "runs"
    teacher, student = "t-d2-n6-small-s0", "s-d2-n6-small-s0"

    def trained(seed):
        torch.manual_seed(seed)
        save_network(build_backbone("light"), runs / teacher / "last", training_size=32, meta={})

    trained(0)
    assert run_study(taught, tmp_path / "study").failed == []
    training.calls.clear()
    assert run_study(taught, tmp_path / "study").failed == []
    assert training.calls == []
    trained(1)
    (failed,) = run_study(taught, tmp_path / "study").failed
    assert failed.run.name == student
    assert "as it was before it was trained anew" in failed.failed
    shutil.rmtree(runs / student)
    assert run_study(taught, tmp_path / "study").failed == []


def test_without_a_teacher_there_is_no_student(training, taught, tmp_path):
    training.fails = {"t-d2-n6-small-s0"}
    done = run_study(taught, tmp_path / "study")
    assert [result.failed for result in done.results] == [
        "the disk is full; free some space",
        "t-d2-n6-small-s0, whose pairs it learns from, came to nothing; see why above",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_a_student_is_taught_for_real(taught, recipe, tmp_path):
    done = run_study(replace(taught, recipe=recipe, every_train=1), tmp_path / "study")
    assert done.failed == []
    assert all(result.measured.psnr_test > 20 for result in done.results)
    assert len(list((tmp_path / "study" / "pairs").glob("*/blur/*.png"))) == 8
