"""Footage without truth: frames held back choose the checkpoint, and end what no longer helps."""

import csv
import hashlib
import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from bluref.degrade.motion import Motion
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.pseudo.target import PseudoSharp
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import load_network
from bluref.train import checkpoint, data
from bluref.train.metrics import read_metrics
from bluref.train.observe import Observer
from bluref.train.reblur import Reblur
from bluref.train.run import _seen_at_best, train
from bluref.train.validation import (
    Held,
    HeldOutValidation,
    Judging,
    Look,
    read_validation,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]

FRAMES, SIDE = 32, 80


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A folder of one clip: a camera that travels, and shakes every other frame."""
    root = tmp_path_factory.mktemp("clip")
    generator = torch.Generator().manual_seed(1)
    wide = SIDE + 3 * FRAMES
    coarse = torch.rand(1, 3, SIDE // 4, wide // 4, generator=generator)
    strip = F.interpolate(coarse, (SIDE, wide), mode="bicubic").clamp(0, 1)
    for index in range(FRAMES):
        image = strip[..., 3 * index : 3 * index + SIDE]
        if index % 2:
            image = F.avg_pool2d(F.pad(image, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
        write_picture(image, root / "walk" / f"{index:04d}.png")
    return root


@pytest.fixture(scope="module")
def footage_recipe(recipe):
    """A look after every second step, between checkpoints and at their steps."""
    return replace(
        recipe, validate_every=2, steps=6, warm_start=0, save_every=4, snapshot_every=100
    )


@pytest.fixture(scope="module")
def straight(thin, unchecked, clip, footage_recipe, tmp_path_factory):
    """An uninterrupted run, and what it returned."""
    run = tmp_path_factory.mktemp("straight") / "run"
    return run, train(clip, run, footage_recipe)


def everything(run):
    """Digests of all that a resumed run must leave alike."""
    names = [f"last/{n}" for n in ("model.safetensors", "training.safetensors", "optimizer.pt")]
    names += ["last/meta.json", "best/model.safetensors", "best/model.json", "validation.csv"]
    return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}


def test_a_single_clip_holds_back_frames_that_nothing_learns_from(
    clip, footage_recipe, tmp_path, monkeypatch
):
    seen = set()
    real = FrameStore.cut
    at_last = FrameStore(tmp_path / "store")
    found = data.find_training_data(clip, footage_recipe, at_last)
    held = {f for s in found.held for f in (s.blurry, *s.references)}
    learnt = {f for s in found.samples for f in (s.blurry, *s.references)} | set(found.sharp)
    assert held
    assert not held & learnt
    near = {(f.index + d) for f in held for d in (-1, 1)}
    assert not near & {f.index for f in learnt}

    def cut(store, frame, crop):
        if crop.height == footage_recipe.crop:  # what a batch is made of
            seen.add(frame)
        return real(store, frame, crop)

    monkeypatch.setattr(FrameStore, "cut", cut)
    train(clip, tmp_path / "run", footage_recipe)
    assert seen
    assert not seen & held


def test_the_best_checkpoint_is_that_of_the_highest_score(straight, footage_recipe):
    run, result = straight
    rows = read_validation(run / "validation.csv")
    assert {row.step for row in rows} == {2, 4, 6}
    looks = {step: Look([r for r in rows if r.step == step], 0.05) for step in (2, 4, 6)}
    scores = {step: look.score for step, look in looks.items()}
    best = max(scores, key=scores.__getitem__)
    kept = json.loads((run / "best" / "model.json").read_text())["meta"]
    assert kept["step"] == kept["best"]["step"] == best
    assert result.best.rows[0].step == best
    assert result.best.score == pytest.approx(scores[best], abs=1e-4)
    before, after = looks[best].agreement
    logged = {int(r["step"]): r for r in read_metrics(run / "metrics.csv")}
    assert float(logged[best]["validation_gain"]) == pytest.approx(after - before, abs=1e-3)
    assert float(logged[best]["validation_score"]) == pytest.approx(scores[best], abs=1e-3)


def test_columns_of_the_file_are_those_agreed(straight):
    with (straight[0] / "validation.csv").open() as file:
        assert next(csv.reader(file)) == [
            "step", "clip", "index", "agreement_before", "agreement_after", "coverage",
            "detail_before", "detail_after", "reblur_before", "reblur_after",
        ]  # fmt: skip


def test_no_figure_without_truth_is_called_a_psnr(straight):
    rows = read_metrics(straight[0] / "metrics.csv")
    assert {row["output_psnr_truth"] for row in rows} == {""}
    assert "psnr" not in (straight[0] / "validation.csv").read_text().lower()


def test_deblurring_and_further_training_take_the_best(straight, clip, footage_recipe, tmp_path):
    run = straight[0]
    best, last = (load_network(run / name).model.state_dict() for name in ("best", "last"))
    taken = load_network(run).model.state_dict()
    assert all(torch.equal(taken[name], best[name]) for name in best)
    network = tmp_path / "run" / "best"
    checkpoint.save_network(
        network, _moved(load_network(run).model), files=_files(footage_recipe), meta={}
    )
    (tmp_path / "run" / "last").mkdir()
    for file in (run / "last").iterdir():
        (tmp_path / "run" / "last" / file.name).write_bytes(file.read_bytes())
    image = torch.rand(1, 3, 40, 50)
    taken = Deblurrer.from_pretrained(tmp_path / "run")(image)
    assert not torch.equal(taken, Deblurrer.from_pretrained(run / "last")(image))
    assert torch.equal(taken, Deblurrer.from_pretrained(network)(image))
    further = replace(footage_recipe, init=str(tmp_path / "run"), steps=1, learning_rate=1e-12)
    train(clip, tmp_path / "further", further)
    started = load_network(tmp_path / "further").model.state_dict()
    expected = load_network(network).model.state_dict()
    assert all(torch.allclose(started[name], expected[name], atol=1e-6) for name in expected)
    assert not all(torch.allclose(started[name], last[name], atol=1e-6) for name in last)


def _moved(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    return model


def _files(recipe):
    from bluref.train.deblurring import DeblurringFiles

    return DeblurringFiles(recipe.crop)


class Killed(BaseException):
    """What kill -9 would be, if it could be raised."""


SLOW = [pytest.param(moment, marks=pytest.mark.slow) for moment in ("judged 4", "rows", "step 3")]


@pytest.mark.parametrize("moment", ["best", *SLOW])
def test_killed_around_a_verdict_and_resumed_it_decides_alike(
    moment, clip, footage_recipe, straight, tmp_path, monkeypatch
):
    class Deadly(Observer):
        def on_step(self, step, loss):
            if moment == f"step {step}":
                raise Killed

        def on_validation(self, step, columns, best):
            if moment == f"judged {step}":
                raise Killed

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        if moment == "best":  # half way through the second one that is kept
            _die_at(patch, checkpoint, "save_network", 2)
        if moment == "rows":  # what was seen is written down, what follows from it is not
            _die_after(patch, HeldOutValidation, "__call__", 2)
        with pytest.raises(Killed):
            train(clip, run, footage_recipe, observer=Deadly())
    assert train(clip, run, footage_recipe, resume=True).finished
    assert everything(run) == everything(straight[0])


def _die_at(patch, where, name, nth):
    real, calls = getattr(where, name), []

    def dying(*arguments, **options):
        calls.append(1)
        if len(calls) == nth:
            raise Killed
        return real(*arguments, **options)

    patch.setattr(where, name, dying)


def _die_after(patch, where, name, nth):
    real, calls = getattr(where, name), []

    def dying(*arguments, **options):
        calls.append(1)
        done = real(*arguments, **options)
        if len(calls) == nth:
            raise Killed
        return done

    patch.setattr(where, name, dying)


def worse_and_worse(patch):
    """Every look after the first finds less agreement."""
    real = HeldOutValidation.__call__

    def call(self, step, average):
        look = real(self, step, average)
        lost = 0.5 * abs(step - 2)
        rows = [replace(row, agreement_after=30 - lost, reblur_after=math.nan) for row in look.rows]
        self.rows[-len(rows) :] = rows
        return Look(rows, look.min_coverage)

    patch.setattr(HeldOutValidation, "__call__", call)


@pytest.fixture(scope="module")
def stopped(thin, unchecked, clip, footage_recipe, tmp_path_factory):
    """A run of eight steps that nothing makes better after the second, and what it returned."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    patient = replace(footage_recipe, patience=2, steps=8)
    with pytest.MonkeyPatch.context() as patch:
        worse_and_worse(patch)
        return run, patient, train(clip, run, patient)


def test_training_stops_where_nothing_improves_any_more(clip, stopped):
    run, patient, result = stopped
    assert (result.steps, result.finished) == (6, True)
    assert result.best.rows[0].step == 2
    kept = json.loads((run / "best" / "model.json").read_text())["meta"]
    assert kept["step"] == 2
    again = train(clip, run, patient, resume=True)
    assert (again.steps, again.finished) == (6, True)
    assert again.best.rows[0].step == 2


def test_an_interrupted_run_stops_where_it_would_have_stopped(clip, stopped, tmp_path, monkeypatch):
    class Interrupting(Observer):
        def on_step(self, step, loss):
            if step == 5:
                os.kill(os.getpid(), signal.SIGINT)

    worse_and_worse(monkeypatch)
    whole, patient, _ = stopped
    halved = train(clip, tmp_path / "run", patient, observer=Interrupting())
    assert (halved.steps, halved.finished) == (5, False)
    assert train(clip, tmp_path / "run", patient, resume=True).steps == 6
    assert everything(tmp_path / "run") == everything(whole)


def test_looking_changes_nothing_of_what_is_learnt(clip, footage_recipe, straight, tmp_path):
    seldom = replace(footage_recipe, validate_every=6)
    train(clip, tmp_path / "run", seldom)
    for name in ("training.safetensors", "optimizer.pt"):
        mine, others = (run / "last" / name for run in (tmp_path / "run", straight[0]))
        assert mine.read_bytes() == others.read_bytes()


def test_a_run_is_not_judged_by_the_faults_of_its_own_targets(clip, footage_recipe, tmp_path):
    """Whatever a run makes its targets by, those it is judged by are the same."""
    quick = replace(footage_recipe, steps=1, exposure=1.0)
    poor = {"strategy": "average", "threshold": 0.05, "gate": 0.0, "even": False, "anchor": 0.0}
    train(clip, tmp_path / "good", quick)
    train(clip, tmp_path / "poor", replace(quick, **poor))
    good, bad = (read_validation(tmp_path / n / "validation.csv") for n in ("good", "poor"))
    judged = [[(r.agreement_before, r.reblur_before, r.coverage) for r in rows]
              for rows in (good, bad)]  # fmt: skip
    assert judged[0] == judged[1]
    assert not any(math.isnan(row.reblur_before) for row in bad)


def test_a_paired_data_set_holds_nothing_back_unless_asked(footage, footage_recipe, tmp_path):
    found = data.find_training_data(footage, footage_recipe, FrameStore(tmp_path / "store"))
    assert not found.held
    assert len(found.samples) == 8


def test_clips_too_short_are_told(footage, footage_recipe, tmp_path):
    with pytest.raises(UserError, match=r"hold_out is 0\.1, but then the clips leave nothing"):
        train(footage, tmp_path / "run", replace(footage_recipe, hold_out=0.1))
    supervised = replace(footage_recipe, hold_out=0.1, supervised=True)
    with pytest.raises(UserError, match="--supervised has a truth"):
        train(footage, tmp_path / "run2", supervised)


def test_footage_too_short_trains_without_and_says_so(footage, recipe, tmp_path):
    class Listening(Observer):
        said = ""

        def on_message(self, text):
            Listening.said += text

    clips = footage / "train" / "scene0"  # two folders of eight frames
    plain = replace(recipe, steps=1, warm_start=1, anchor=0.0, layout="clips", blur="kernels",
                    gate=0.0)  # fmt: skip
    result = train(clips, tmp_path / "run", plain, observer=Listening())
    assert result.best is None
    assert not (tmp_path / "run" / "best").exists()
    assert "the last one is the result" in Listening.said


@pytest.mark.parametrize(
    "torn", ["4,a,3,2", "4,a,3,20,21,0.5,-30,-29,nan,", "4,a,3,20,21,.5,-3,-2,n,-"]
)
def test_a_torn_line_and_rows_of_steps_to_come_are_dropped(tmp_path, torn):
    held = HeldOutValidation(tmp_path, [], JUDGING, upto=0)
    assert held.rows == []
    with (tmp_path / "validation.csv").open("a") as file:
        for step in (1, 2, 3):
            file.write(f"{step},a,3,20,21,0.5,-30,-29,nan,nan\n")
        file.write(torn)
    assert [r.step for r in read_validation(tmp_path / "validation.csv")] == [1, 2, 3]
    assert [r.step for r in HeldOutValidation(tmp_path, [], JUDGING, upto=2).rows] == [1, 2]
    assert [r.step for r in read_validation(tmp_path / "validation.csv")] == [1, 2]


def test_a_table_that_was_removed_leaves_nothing_to_tell(tmp_path):
    trainer = SimpleNamespace(
        validation=HeldOutValidation(tmp_path, [], JUDGING, upto=9), best=SimpleNamespace(step=5)
    )
    assert _seen_at_best(trainer) is None


JUDGING = Judging(1, 0, 0.05, 32, torch.device("cpu"))


def test_a_network_that_does_nothing_agrees_as_its_input_does(tmp_path):
    from bluref.restore.networks.backbones import build_backbone

    blurry, target = torch.rand(2, 1, 3, 40, 40)
    ones = torch.ones(1, 1, 40, 40)
    frame = Frame("a", 3, Path("a/3.png"))
    held = Held(frame, Crop(0, 0, 40, 40), blurry, PseudoSharp(target, ones, ones), None)
    model = build_backbone("small")
    for parameter in model.ending.parameters():
        torch.nn.init.zeros_(parameter)
    look = HeldOutValidation(tmp_path, [held], JUDGING, upto=0)(5, model)
    assert look.rows[0].agreement_after == pytest.approx(look.rows[0].agreement_before, abs=1e-3)
    assert look.columns["validation_gain"] == pytest.approx(0, abs=1e-3)
    assert math.isnan(look.columns["validation_reblur"])
    # Read again it is the same to the last digit: a report rounds once.
    again = HeldOutValidation(tmp_path, [held], JUDGING, upto=5).look_at(5)
    assert again.agreement == look.agreement


@pytest.mark.parametrize(("sure", "tells"), [(0.0, False), (1.0, True)])
def test_a_frame_whose_motion_nobody_is_sure_of_tells_nothing(sure, tells):
    blurry, nothing = torch.rand(1, 3, 40, 40), torch.zeros(1, 1, 40, 40)
    still = torch.zeros(1, 2, 40, 40)
    reblur = Reblur(Motion(still, still), nothing + sure, 1.0)
    target = PseudoSharp(blurry, nothing, nothing)
    held = Held(Frame("a", 3, Path("a/3.png")), Crop(0, 0, 40, 40), blurry, target, reblur)
    assert held.tells(0.05) == tells


def test_where_nothing_moves_for_training_frames_held_back_are_judged_all_the_same(
    clip, footage_recipe, tmp_path
):
    """Their own motion is found beside their targets, of which none is lost."""
    recipe = replace(footage_recipe, gate=0.0, anchor=0.0, refs=4, steps=2)
    assert train(clip, tmp_path / "run", recipe).best is not None
