"""`bluref study`, as a user runs it."""

import csv
import json

import pytest
import torch
import torch.nn.functional as F

from bluref.cli.main import main
from bluref.errors import UserError
from bluref.measure import ssim
from bluref.media.picture import write_picture
from bluref.report import study_watch
from bluref.restore.deblurrer import Deblurrer
from bluref.train.run import TrainResult
from bluref.train.studies import study as module

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    strip = F.interpolate(torch.rand(1, 3, 16, 24, generator=generator), (64, 96), mode="bicubic")
    for part in ("train", "test"):
        for index in range(4):
            sharp = strip[..., 4 * index : 4 * index + 64].clamp(0, 1)
            write_picture(sharp, root / part / "scene" / "sharp" / f"{index:06d}.png")
            blurry = F.avg_pool2d(F.pad(sharp, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
            write_picture(blurry, root / part / "scene" / "blur" / f"{index:06d}.png")
    return root


@pytest.fixture
def study(data, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(f"data: {data}\nrecipe: {{refs: 2}}\nrows: [identity, supervised]\n")
    return [str(file), "-o", str(tmp_path / "out")]


@pytest.fixture
def training(monkeypatch):
    """Trains nothing: stops where the test says so."""

    def train(data, run, recipe, **options):
        if train.outcome == "fail":
            raise UserError("the disk is full", "free some space")
        return TrainResult(run, 1, train.outcome == "finish", 1.0)

    train.outcome = "finish"
    monkeypatch.setattr(module, "train", train)
    for name in ("ssim", "ssim3d"):
        monkeypatch.setattr(ssim, name, lambda image, truth: torch.ones(1))
    monkeypatch.setattr(module, "read_metrics", lambda path: [])
    monkeypatch.setattr(Deblurrer, "from_pretrained", lambda path, device: Deblurrer.identity())
    return train


def test_a_study_tells_machines_rows_and_shares(training, study, tmp_path, capsys):
    assert main(["study", *study, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"rows", "shares"}
    asked = (  # by name, since machines read them
        *("method", "strategy", "delta", "refs", "backbone", "seed", "steps", "psnr_test"),
        *("ssim_test", "psnr_train_frames", "target_psnr", "coverage", "hours"),
    )
    assert [tuple(of_row) for of_row in told["rows"]] == [asked] * 3
    assert [of_row["method"] for of_row in told["rows"]] == ["identity", "robust", "supervised"]
    (share,) = told["shares"]
    assert (share["method"], share["delta"], share["spread"]) == ("robust", 1, None)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".lock", "runs", "table.csv", "shares.csv", "table.md", "table.png"}
    place = tmp_path / "out" / "runs" / "robust-d1-n2-small-s0"
    with (place / "scenes.csv").open(newline="") as file:
        scenes = list(csv.DictReader(file))
    assert [(scene["part"], scene["clip"]) for scene in scenes] == [
        ("test", "scene"),
        ("train", "scene"),
    ]
    assert (place / "worst.jpg").is_file()


def test_without_json_the_table_is_for_people_and_done_is_done(training, study, tmp_path, capsys):
    assert main(["study", *study]) == 0
    out, err = capsys.readouterr()
    assert out == (tmp_path / "out" / "table.md").read_text()
    assert "supervised-small-s0: 3 of 3" in err
    training.outcome = "fail"  # nothing is trained again
    assert main(["study", *study]) == 0
    again, err = capsys.readouterr()
    assert again == out
    assert err == ""


def test_the_command_line_gives_data_and_recipe(training, data, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("recipe: {base: paper-gopro, crop: 32}\n")
    (tmp_path / "own.yaml").write_text("steps: 3\nrefs: 4\n")
    arguments = [str(tmp_path / "mine.yaml"), "-o", str(tmp_path / "out"), "--json"]
    assert main(["study", *arguments]) == 2
    assert "--data" in capsys.readouterr().err
    arguments += ["--data", str(data), "--recipe", str(tmp_path / "own.yaml")]
    assert main(["study", *arguments]) == 0
    (of_row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (of_row["steps"], of_row["refs"], of_row["backbone"]) == (3, 4, "small")


def test_the_device_reaches_training_and_judging(study, monkeypatch):
    told = set()
    monkeypatch.setattr(
        module,
        "run_study",
        lambda *_, device, **__: told.add(device) or module.StudyResult((), True),
    )
    assert main(["study", *study, "--device", "cuda:1", "--json"]) == 0
    assert told == {"cuda:1"}


def test_a_failed_run_is_told_in_its_row_and_by_the_status(training, study, capsys):
    training.outcome = "fail"
    assert main(["study", *study, "--json"]) == 1
    out, err = capsys.readouterr()
    rows = {of_row["method"]: of_row for of_row in json.loads(out)["rows"]}
    assert "failed" not in rows["identity"]
    assert rows["robust"]["failed"] == "the disk is full; free some space"
    assert rows["robust"]["psnr_test"] is None
    assert "robust-d1-n2-small-s0 failed: the disk is full" in err


def test_a_stopped_study_says_how_to_go_on(training, study, capsys):
    training.outcome = "stop"
    assert main(["study", *study, "--json"]) == 1
    out, err = capsys.readouterr()
    assert [of_row["method"] for of_row in json.loads(out)["rows"]] == ["identity"]
    assert "the same command goes on" in err


def test_a_shipped_study_is_known_by_its_name(training, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(study_watch, "write_tables", lambda results, folder: None)
    arguments = ["-o", str(tmp_path / "out"), "--data", str(data), "--json"]
    assert main(["study", "fig-7", *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [r["delta"] for r in rows] == [None, 1, 10, 20]


@pytest.mark.parametrize("text", ["recipe: {stepps: 1}\n", "grid: {delta: 3}\n", "rows: [best]\n"])
def test_a_mistake_in_the_file_is_the_users_to_fix(data, tmp_path, capsys, text):
    (tmp_path / "mine.yaml").write_text(f"data: {data}\n{text}")
    assert main(["study", str(tmp_path / "mine.yaml"), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "mine.yaml" in err
    assert "fix:" in err
    assert not (tmp_path / "out").exists()
