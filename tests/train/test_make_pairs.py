"""From a trained run to pairs, and from pairs to a student."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
from bluref.media.picture import read_picture, write_picture
from bluref.pseudo.pairs import completion
from bluref.pseudo.pairs import folder as folder_module
from bluref.pseudo.pairs.record import read_records
from bluref.restore.deblurrer import Deblurrer
from bluref.train import make_pairs as module
from bluref.train.batches import Drawing
from bluref.train.found_pairs import find_pairs
from bluref.train.make_pairs import PairsConfig, make_pairs
from bluref.train.metrics import read_metrics
from bluref.train.observe import Observer
from bluref.train.pair_batches import PairBatches
from bluref.train.run import train
from bluref.train.run_targets import open_targets

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]


@pytest.fixture(scope="module")
def run(thin, unchecked, footage, recipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(footage, folder, recipe)
    return folder


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "pairs"
    return make_pairs(run, out, PairsConfig(shards=True))


@pytest.fixture
def pairs(made, tmp_path) -> Path:
    """A copy, to be harmed."""
    return shutil.copytree(made.out, tmp_path / "pairs")


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_blurry_frame_gives_a_pair(made, footage):
    records = read_records(made.out / "pairs.csv")
    assert made.pairs == made.made == len(records) == 8
    assert made.leaks == ()
    names = {record.name for record in records}
    for kind in ("blur", "sharp", "trust"):
        assert {p.stem for p in (made.out / kind).iterdir()} == names
    assert made.bytes == sum(map(len, content(made.out).values()))
    blurry = footage / "train" / "scene1" / "blur" / "000002.png"
    assert torch.equal(read_picture(made.out / "blur" / "scene1__000002.png"), read_picture(blurry))


def test_a_record_says_where_the_pair_comes_from(made, footage):
    record = {r.name: r for r in read_records(made.out / "pairs.csv")}["scene0__000004"]
    assert record.source == "train/scene0/blur/000004.png"
    assert record.references == ("scene0/000003", "scene0/000005")
    assert record.round == 2
    assert len(set(record.reference_hashes)) == 2
    trust = read_picture(record.file(made.out, "trust"))[:, :1]
    assert record.mean_trust == pytest.approx(trust.mean().item(), abs=2e-3)
    assert 0 < record.mean_trust < record.coverage <= 1
    share = (trust / completion.FULL).clamp(0, 1)
    assert record.completed == pytest.approx(1 - share.mean().item(), abs=4e-3)
    sharp = read_picture(record.file(made.out, "sharp"))
    assert record.expected_psnr == pytest.approx(
        completion.expected_psnr(sharp, trust), abs=0.1
    )  # both are rounded to 8 bits
    everything = b"".join(c for p, c in content(made.out).items() if p.suffix != ".png")
    assert str(footage).encode() not in everything  # names no machine


def test_pairs_are_the_targets_of_training_completed_by_the_network(made, run):
    targets = open_targets(run)
    sample = targets.found.samples[1]
    target = targets.target(sample)
    in_pieces = torch.cat(
        [
            targets.bank.target(targets.round, sample, Crop(top, 0, 24, 96)).image
            for top in range(0, 96, 24)
        ],
        dim=2,
    )
    torch.testing.assert_close(target.image, in_pieces)
    deblurred = Deblurrer.from_pretrained(run)(targets.store.image(sample.blurry))
    expected = completion.completed(target, deblurred).image
    name = sample.blurry.key.replace("/", "__")
    sharp = read_picture(made.out / "sharp" / f"{name}.png")
    assert (sharp - expected).abs().max() <= 0.5 / 255 + 1e-5


def test_called_again_nothing_is_made_and_every_byte_is_the_same(run, pairs):
    before = content(pairs)
    again = make_pairs(run, pairs, PairsConfig(shards=True))
    assert (again.made, again.pairs) == (0, 8)
    assert content(pairs) == before


def test_interrupted_it_goes_on_and_ends_with_the_same_bytes(run, made, tmp_path):
    class Impatient(Observer):
        def on_export(self, done, total):
            if done == 3:
                raise KeyboardInterrupt

    out = tmp_path / "pairs"
    with pytest.raises(KeyboardInterrupt):
        make_pairs(run, out, PairsConfig(shards=True), observer=Impatient())
    assert not (out / "pairs.csv").exists()
    (out / "sharp" / "scene0__000000.png").write_bytes(b"torn")
    assert make_pairs(run, out, PairsConfig(shards=True)).made == 6
    assert content(out) == content(made.out)


def test_the_best_share_is_kept_and_the_rest_goes(run, made, pairs):
    every = read_records(made.out / "pairs.csv")
    kept = make_pairs(run, pairs, PairsConfig(keep=0.5))
    records = read_records(pairs / "pairs.csv")
    assert (kept.pairs, kept.worse, len(records)) == (4, 4, 4)
    others = [r for r in every if r not in records]
    assert min(r.expected_psnr for r in records) >= max(r.expected_psnr for r in others)
    assert len(list((pairs / "blur").iterdir())) == 4
    assert not (pairs / "shards").exists()  # they were of other pairs
    make_pairs(run, pairs, PairsConfig(shards=True))
    assert content(pairs) == content(made.out)


def test_a_pair_that_shows_a_picture_of_validation_is_left_out(run, footage, made, tmp_path):
    seen = tmp_path / "validation" / "test" / "other"
    shutil.copytree(footage / "test" / "scene2", seen)
    reference = footage / "train" / "scene0" / "sharp" / "000003.png"
    shutil.copy(reference, seen / "sharp" / "000001.png")
    report = make_pairs(run, tmp_path / "pairs", PairsConfig(validation=tmp_path / "validation"))
    assert {leak.frame.key for leak in report.leaks} == {"scene0/000003"}
    left_out = {r.name for r in read_records(made.out / "pairs.csv")} - {
        r.name for r in read_records(tmp_path / "pairs" / "pairs.csv")
    }
    assert left_out == {"scene0__000000", "scene0__000002", "scene0__000004"}
    assert report.leaked == 3


def test_nothing_is_left_where_validation_is_the_footage_itself(run, footage, tmp_path):
    shutil.copytree(footage / "train", tmp_path / "same" / "test")
    with pytest.raises(UserError, match="every blurry frame"):
        make_pairs(run, tmp_path / "pairs", PairsConfig(validation=tmp_path / "same"))
    assert not (tmp_path / "pairs").exists()


def test_a_full_disk_is_told_before_anything_is_made(run, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match="8 pairs need about"):
        make_pairs(run, tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_a_full_disk_on_the_way_is_told_and_the_rest_goes_on(run, made, tmp_path, monkeypatch):
    written = []

    def full(values, path):
        if len(written) == 2:
            raise UserError(f"cannot write {path}: no space left on device", "free some disk space")
        written.append(path)
        return write_map(values, path)

    write_map = folder_module.write_map
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "write_map", full)
        with pytest.raises(UserError, match="no space"):
            make_pairs(run, tmp_path / "pairs")
    assert make_pairs(run, tmp_path / "pairs", PairsConfig(shards=True)).made == 6
    assert content(tmp_path / "pairs") == content(made.out)


def test_runs_without_targets_are_refused_with_what_to_do(footage, recipe, tmp_path):
    warm = replace(recipe, steps=2, warm_start=2, gate=0.0, blur="kernels", crop=32)
    train(footage, tmp_path / "warm", replace(warm, anchor=0.0))
    with pytest.raises(UserError, match="no targets yet") as raised:
        make_pairs(tmp_path / "warm", tmp_path / "pairs")
    assert "--resume" in raised.value.fix
    train(footage, tmp_path / "true", replace(recipe, steps=1, supervised=True))
    with pytest.raises(UserError, match="learnt from true pairs"):
        make_pairs(tmp_path / "true", tmp_path / "pairs")
    with pytest.raises(UserError, match="holds no run"):
        make_pairs(tmp_path / "nowhere", tmp_path / "pairs")


def test_footage_that_was_moved_is_found_where_it_is_said_to_be(
    footage, recipe, made, tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(footage, here)
    train(here, tmp_path / "run", replace(recipe, steps=4))
    here.rename(there)
    with pytest.raises(UserError, match="no longer in") as raised:
        make_pairs(tmp_path / "run", tmp_path / "pairs")
    assert "--data" in raised.value.fix
    assert make_pairs(tmp_path / "run", tmp_path / "pairs", data=there).pairs == 8
    (there / "train" / "scene0" / "blur" / "000004.png").unlink()
    (there / "train" / "scene0" / "sharp" / "000004.png").unlink()
    with pytest.raises(UserError, match="not what"):
        make_pairs(tmp_path / "run", tmp_path / "other", data=there)


def test_pairs_of_another_moment_of_the_run_are_not_mixed(footage, recipe, pairs, tmp_path):
    train(footage, tmp_path / "run", replace(recipe, steps=4))
    with pytest.raises(UserError, match="another run, or of another moment"):
        make_pairs(tmp_path / "run", pairs)


def test_a_batch_of_pairs_is_the_files_cut_alike(made, tmp_path):
    samples = find_pairs(made.out)
    store = FrameStore(tmp_path / "store")
    batch = PairBatches(samples, store, Drawing(seed=3, batch=3, crop=32))(5)
    assert batch.truth is None
    found = 0
    for item in range(3):
        for sample in samples:
            pictures = [read_picture(f.path) for f in (sample.blurry, *sample.references)]
            found += _cut_alike(pictures, batch, item)
    assert found == 3


def _cut_alike(pictures, batch, item):
    """Whether one box and flip of the three files gives the item."""
    blurry, sharp, trust = pictures
    for axes in ((), (-1,), (-2,), (-2, -1)):
        wanted = batch.blurry[item : item + 1].flip(axes) if axes else batch.blurry[item : item + 1]
        windows = blurry.unfold(2, 32, 1).unfold(3, 32, 1)[0, 0]
        hits = (windows - wanted[0, 0]).abs().amax(dim=(-1, -2)) == 0
        for top, left in hits.nonzero().tolist():
            box = (slice(None), slice(None), slice(top, top + 32), slice(left, left + 32))
            both = [x[item : item + 1] for x in (batch.target, batch.weight)]
            turned = [x.flip(axes) if axes else x for x in both]
            return torch.equal(turned[0], sharp[box]) and torch.equal(turned[1], trust[box][:, :1])
    return False


def test_a_student_learns_from_pairs_on_the_same_loop_and_resumes(made, recipe, tmp_path, digest):
    student = replace(recipe, pairs=True, steps=6, save_every=3, log_every=1)
    whole = train(made.out, tmp_path / "whole", student)
    assert whole.finished
    rows = read_metrics(tmp_path / "whole" / "metrics.csv")
    assert {row["phase"] for row in rows} == {"pairs"}
    assert float(rows[-1]["coverage"]) > 0.3
    assert not (tmp_path / "whole" / "bank").exists()

    class Stops(Observer):
        def on_step(self, step, loss):
            if step == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made.out, tmp_path / "torn", student, observer=Stops())
    train(made.out, tmp_path / "torn", student, resume=True)
    assert digest(tmp_path / "torn") == digest(tmp_path / "whole")


def test_pixels_without_trust_teach_nothing(made, recipe, tmp_path):
    """Another sharp picture where trust is zero gives the same network."""
    altered = shutil.copytree(made.out, tmp_path / "altered")
    for path in (altered / "sharp").iterdir():
        trust = read_picture(altered / "trust" / path.name)
        sharp = read_picture(path)
        changed = torch.where(trust > 0, sharp, 1 - sharp)
        assert not torch.equal(changed, sharp)
        write_picture(changed, path)
    student = replace(recipe, pairs=True, steps=3)
    for name, data in (("plain", made.out), ("other", altered)):
        train(data, tmp_path / name, student)
    first, second = (
        Deblurrer.from_pretrained(tmp_path / name).model.state_dict() for name in ("plain", "other")
    )
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_mistakes_with_pairs_are_told(made, pairs, footage, recipe, tmp_path):
    student = replace(recipe, pairs=True)
    with pytest.raises(UserError, match="holds no pairs") as raised:
        train(footage, tmp_path / "a", student)
    assert "bluref pairs RUN" in raised.value.fix
    with pytest.raises(UserError, match="holds pairs, no footage") as raised:
        train(made.out, tmp_path / "b", recipe)
    assert "--pairs" in raised.value.fix
    with pytest.raises(UserError, match="pairs is True"):
        replace(student, supervised=True)
    (pairs / "trust" / "scene0__000002.png").unlink()
    with pytest.raises(UserError, match=r"scene0__000002\.png is missing"):
        train(pairs, tmp_path / "c", student)
    text = (pairs / "pairs.csv").read_text("utf-8").splitlines()
    (pairs / "pairs.csv").write_text("\n".join(text[:1]), "utf-8")
    with pytest.raises(UserError, match="lists no pair"):
        train(pairs, tmp_path / "d", student)


def test_rows_removed_by_hand_are_no_pairs(pairs):
    with (pairs / "pairs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with (pairs / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows[:4])
    assert len(find_pairs(pairs)) == 3
    told = [json.loads(line) for line in (pairs / "metadata.jsonl").read_text().splitlines()]
    assert len(told) == 8
