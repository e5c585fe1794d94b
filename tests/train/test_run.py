"""Runs, small and whole."""

import errno
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
import torch
import yaml

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.store import FrameStore
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import load_network
from bluref.restore.networks.restormer import Restormer
from bluref.train import checkpoint
from bluref.train import run as module
from bluref.train.evaluate import evaluate
from bluref.train.metrics import read_metrics
from bluref.train.moving import find_moving
from bluref.train.observe import Observer
from bluref.train.run import train
from bluref.weights import device

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin")]


def test_a_run_leaves_everything_one_needs(footage, recipe, tmp_path):
    run = tmp_path / "run"
    result = train(footage, run, recipe)
    assert result.finished
    assert result.steps == recipe.steps
    told = yaml.safe_load((run / "recipe.yaml").read_text())
    assert told["recipe"]["strategy"] == "robust"
    assert told["data"]["blurry_frames"] == 8
    assert set(told["versions"]) == {"bluref", "torch", "python"}
    rows = read_metrics(run / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8, 10, 12]
    assert {row["phase"] for row in rows} == {"warm", "pseudo"}
    assert all(0 <= float(row["coverage"]) <= 1 for row in rows)
    assert Deblurrer.from_pretrained(run)(torch.rand(1, 3, 40, 50)).shape == (1, 3, 40, 50)


def test_a_restormer_learns_from_synthetic_and_then_from_pseudo_sharp_targets(
    footage, recipe, tmp_path
):
    run, image = tmp_path / "run", torch.rand(1, 3, 40, 50)
    train(footage, run, replace(recipe, backbone="restormer-small", steps=2, warm_start=1))
    rows = read_metrics(run / "metrics.csv")
    assert {row["phase"] for row in rows} == {"pseudo"}
    assert isinstance(load_network(run).model, Restormer)
    assert not torch.equal(Deblurrer.from_pretrained(run)(image), image)


def test_the_network_sees_the_blurry_frame_itself(footage, recipe, tmp_path, monkeypatch):
    from bluref.train.loop import Trainer

    seen = []
    real = Trainer.update

    def update(self, batch):
        seen.append((self.source.phase(self.step), batch.own().blurry.clone()))
        return real(self, batch)

    monkeypatch.setattr(Trainer, "update", update)
    train(footage, tmp_path / "run", recipe)
    store = FrameStore(tmp_path / "store")
    frames = []
    for path in sorted((footage / "train").glob("*/blur/*.png")):
        image = store.image(Frame(path.parts[-3], int(path.stem), path))
        frames += [image, image.flip(-1), image.flip(-2), image.flip((-1, -2))]
    for phase, blurry in seen:
        if phase == "pseudo":
            for crop in blurry:
                assert any(_contains(frame[0], crop) for frame in frames)


def _contains(image: torch.Tensor, crop: torch.Tensor) -> bool:
    """Whether the crop stands somewhere in the image, bit for bit."""
    h, w = crop.shape[-2:]
    windows = image.unfold(1, h, 1).unfold(2, w, 1)  # 3 y x h w
    first = (windows[..., 0, 0] == crop[:, None, None, 0, 0]).all(dim=0)
    return any(
        torch.equal(image[:, y : y + h, x : x + w], crop) for y, x in first.nonzero().tolist()
    )


def test_training_without_pairs_never_uses_the_truth(
    digest, footage, recipe, tmp_path, monkeypatch
):
    train(footage, tmp_path / "with", recipe)
    from bluref.train import data

    real = data.choose_references

    def without(found, rule, **how):
        return [replace(sample, truth=None) for sample in real(found, rule, **how)]

    monkeypatch.setattr(data, "choose_references", without)
    train(footage, tmp_path / "without", recipe)
    assert digest(tmp_path / "with") == digest(tmp_path / "without")
    rows = read_metrics(tmp_path / "without" / "metrics.csv")
    assert {row["target_psnr_truth"] for row in rows} == {""}


def test_supervised_runs_on_the_same_loop(footage, recipe, tmp_path):
    run = tmp_path / "run"
    train(footage, run, replace(recipe, supervised=True))
    assert not (run / "bank").exists()
    assert {row["phase"] for row in read_metrics(run / "metrics.csv")} == {"supervised"}
    assert not (run / "motion").exists(), "nobody asked what moves"


def test_true_pairs_have_frames_blurred_here_beside_them(footage, recipe, tmp_path, monkeypatch):
    """The first items stay those of true pairs alone, the others are those of a run without."""
    from bluref.train.loop import Trainer

    seen = {}
    real = Trainer.update

    def update(self, batch):
        seen[self.folder.name, self.step] = batch
        return real(self, batch)

    monkeypatch.setattr(Trainer, "update", update)
    recipe = replace(recipe, batch=4, anchor=0.5, steps=2, warm_start=0, exposure=1.2)
    for name, differs in (
        ("anchored", {"supervised": True}),
        ("pairs", {"supervised": True, "anchor": None}),
        ("ours", {}),
    ):
        train(footage, tmp_path / name, replace(recipe, **differs))
    assert len(seen) == 6
    for step in (0, 1):
        both, pairs, ours = (seen[name, step] for name in ("anchored", "pairs", "ours"))
        assert both.synthetic == ours.synthetic == 2
        assert torch.equal(both.own().blurry, pairs.blurry[:2])
        assert torch.equal(both.own().target, pairs.target[:2])
        assert torch.equal(both.blurry[2:], ours.blurry[2:])
        assert torch.equal(both.target[2:], ours.target[2:])
    assert not (tmp_path / "anchored" / "bank").exists()
    rows = read_metrics(tmp_path / "anchored" / "metrics.csv")
    assert {row["target_psnr_truth"] for row in rows} == {""}, "they are the truth"


def test_a_matcher_that_is_gone_is_told_before_the_folder_is_taken(footage, recipe, tmp_path):
    for differs in ({}, {"supervised": True, "anchor": 0.5}):
        with pytest.raises(UserError, match="unknown matcher"):
            train(footage, tmp_path / "run", replace(recipe, matcher="gone/matcher", **differs))
        assert not (tmp_path / "run" / "recipe.yaml").exists()
    alone = replace(recipe, matcher="gone/matcher", supervised=True, steps=1)
    assert train(footage, tmp_path / "run", alone).finished


def test_supervised_without_truth_is_refused(footage, recipe, tmp_path):
    clips = footage / "train" / "scene0"
    with pytest.raises(UserError, match="no blurry frame has a true sharp version"):
        train(clips / "sharp", tmp_path / "run", replace(recipe, supervised=True))


@pytest.mark.parametrize("strategy", ["average", "sequential", "progressive"])
def test_every_strategy_trains(strategy, footage, recipe, tmp_path):
    train(footage, tmp_path / "run", replace(recipe, strategy=strategy, warm_start=0, steps=4))
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert float(rows[-1]["coverage"]) > 0.3


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
    footage, recipe, tmp_path, monkeypatch
):
    from bluref.train import deblurring

    real = deblurring.masked_loss
    calls = []

    def poisoned(*arguments, **options):
        calls.append(1)
        loss = real(*arguments, **options)
        return loss * float("nan") if len(calls) == 8 else loss

    monkeypatch.setattr(deblurring, "masked_loss", poisoned)
    with pytest.raises(UserError, match="at step 7"):
        train(footage, tmp_path / "run", recipe)
    meta = json.loads((tmp_path / "run" / "last" / "meta.json").read_text())
    assert meta["step"] == 7  # saved where the last round began, before the poisoned step


def test_a_full_disk_during_a_save_keeps_the_checkpoint_before(
    footage, recipe, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    real = checkpoint.save_file

    def full(tensors, path):
        real(tensors, path)
        if (run / "last").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match="cannot save the checkpoint") as caught:
        train(footage, run, recipe)
    assert "--resume" in caught.value.fix
    monkeypatch.setattr(checkpoint, "save_file", real)
    assert train(footage, run, recipe, resume=True).finished


def test_a_run_folder_that_cannot_be_written_is_told(footage, recipe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="file"):
        train(footage, tmp_path / "file" / "run", recipe)


def test_frames_smaller_than_the_crop_are_told(footage, recipe, tmp_path):
    with pytest.raises(UserError, match=r"but crops of \d+ need \d+ pixels each way"):
        train(footage, tmp_path / "run", replace(recipe, crop=128))


def test_snapshots_show_the_same_crops_each_time(footage, recipe, tmp_path):
    class Album(Observer):
        def __init__(self):
            self.pictures = []

        def on_snapshot(self, snapshot):
            self.pictures.append(snapshot)

    album = Album()
    train(footage, tmp_path / "run", recipe, observer=album)
    assert [p.step for p in album.pictures] == [6, 12]
    first, last = album.pictures
    assert torch.equal(first.blurry, last.blurry)
    assert not torch.equal(first.output, last.output)
    assert last.trust.max() > 0


def test_watching_changes_nothing(digest, footage, recipe, tmp_path):
    from bluref.report.watch import Watch

    train(footage, tmp_path / "alone", recipe)
    with Watch() as watch:
        train(footage, tmp_path / "watched", recipe, observer=watch)
    assert digest(tmp_path / "alone") == digest(tmp_path / "watched")
    sheets = sorted(p.name for p in (tmp_path / "watched" / "sheets").iterdir())
    assert sheets == ["step-000006.jpg", "step-000012.jpg"]
    assert (tmp_path / "watched" / "curves.png").stat().st_size > 1000


def test_evaluating_the_identity_gives_the_identity_row(footage):
    found = evaluate(Deblurrer.identity(), footage, part="test")
    assert found.images == 8
    assert found.scores.psnr == pytest.approx(found.identity.psnr, abs=1e-4)
    assert found.scores.ssim == pytest.approx(found.identity.ssim, abs=1e-5)
    assert 15 < found.identity.psnr < 40


def test_evaluating_a_perfect_network_is_capped_at_99_db(footage):
    truth = {}
    for path in sorted((footage / "test" / "scene2" / "sharp").iterdir()):
        from bluref.media.picture import read_picture

        blurry = read_picture(path.parent.parent / "blur" / path.name)
        truth[blurry.sum().item()] = read_picture(path)
    found = evaluate(lambda image: truth[image.sum().item()], footage)
    assert found.scores.psnr == 99
    assert found.scores.ssim == pytest.approx(1)


def test_an_unknown_matcher_is_told_before_anything_is_decoded(footage, recipe, tmp_path):
    with pytest.raises(UserError, match="unknown matcher 'sift'"):
        train(footage, tmp_path / "run", replace(recipe, matcher="sift"))
    assert not (tmp_path / "run").exists()


# A process of its own: the compiler cannot see through the checks of shapes that tests run under.
COMPILE = """
import copy, sys
from pathlib import Path
import torch
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.train import run
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_recipe
from torch._dynamo.utils import counters

whole = torch.nn.Module.compile
torch.nn.Module.compile = lambda self: whole(self, backend="aot_eager")  # all but the C++ compiler
little = NAFNet(NAFNetConfig(width=4, middle=0, encoder=(1,), decoder=(0,)))
run.build_backbone = lambda _name: copy.deepcopy(little)
footage, out = map(Path, sys.argv[1:])
for name in ("plain", "compiled"):
    assert not counters["stats"]["unique_graphs"]
    run.train(footage, out / name, read_recipe(out / f"{name}.yaml", Recipe))
assert counters["stats"]["unique_graphs"]
"""


def test_a_compiled_network_learns_the_same(footage, recipe, tmp_path):
    """Loss by loss, and what is saved are weights as ever."""
    plain = replace(recipe, precision="fp32", log_every=1, steps=5)
    for name, settings in (("plain", plain), ("compiled", replace(plain, compile=True))):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(asdict(settings)))
    subprocess.run([sys.executable, "-c", COMPILE, footage, tmp_path], check=True)
    told = [read_metrics(tmp_path / name / "metrics.csv") for name in ("plain", "compiled")]
    losses = [[float(row["loss"]) for row in rows] for rows in told]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert len(losses[0]) == 5
    networks = [load_network(tmp_path / name).model for name in ("plain", "compiled")]
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()


def test_no_compiler_is_told_before_training(footage, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(device.shutil, "which", lambda _name: None)
    with pytest.raises(UserError, match=r"C\+\+ compiler"):
        train(footage, tmp_path / "run", replace(recipe, compile=True))
    assert not (tmp_path / "run").exists()


def test_what_is_done_before_the_first_step_counts_as_time_of_the_run(
    footage, recipe, tmp_path, monkeypatch
):
    def slow(*arguments):
        time.sleep(1.5)
        return find_moving(*arguments)

    monkeypatch.setattr(module, "find_moving", slow)
    train(footage, tmp_path / "run", replace(recipe, steps=2, log_every=1))
    first, second = (float(r["seconds"]) for r in read_metrics(tmp_path / "run" / "metrics.csv"))
    assert first > 1.5
    assert second - first < first
