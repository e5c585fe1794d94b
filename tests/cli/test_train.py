"""`bluref train`, `eval` and `deblur` together, as a user runs them."""

import json
import shutil
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml

from bluref.cli.main import main
from bluref.cli.training import command_to_go_on
from bluref.media.picture import read_picture, write_picture
from bluref.pseudo.strategy import STRATEGIES
from bluref.report.worst_sheet import SIDE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]

SETTINGS = [
    "--no-check",
    *("--steps", "4", "--warm-start", "1", "--refresh-every", "2", "--batch", "1", "--crop", "32"),
    *("--refs", "2", "--save-every", "2", "--log-every", "1", "--snapshot-every", "4"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    strip = F.interpolate(torch.rand(1, 3, 20, 30, generator=generator), (80, 120), mode="bicubic")
    for part in ("train", "test"):
        for index in range(5):
            sharp = strip[..., 4 * index : 4 * index + 80].clamp(0, 1)
            write_picture(sharp, root / part / "scene" / "sharp" / f"{index:06d}.png")
            blurry = F.avg_pool2d(F.pad(sharp, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
            write_picture(blurry, root / part / "scene" / "blur" / f"{index:06d}.png")
    return root


@pytest.fixture(scope="module")
def run(thin, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(data), "-o", str(folder), *SETTINGS]) == 0
    return folder


def test_train_tells_machines_what_it_did(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert main(["train", str(data), "-o", str(folder), *SETTINGS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(folder)
    assert told["steps"] == 4
    assert told["seconds"] > 0


def test_footage_is_checked_first_unless_one_says_otherwise(data, run, tmp_path, capsys):
    assert not (run / "check.json").exists()
    folder, settings = tmp_path / "run", [*SETTINGS[1:], "--steps", "1"]
    assert main(["train", str(data), "-o", str(folder), *settings]) == 0
    assert json.loads((folder / "check.json").read_text())["verdict"] == "thin"
    assert "thin: training will run" in capsys.readouterr().err


def test_resume_alone_knows_the_settings_of_the_run(data, run):
    assert main(["train", str(data), "-o", str(run), "--resume"]) == 0


def test_a_run_of_another_version_is_told_as_such(data, run, tmp_path, capsys):
    old = tmp_path / "old"
    shutil.copytree(run, old)
    told = yaml.safe_load((old / "recipe.yaml").read_text("utf-8"))
    told["recipe"]["forgotten"] = 1
    (old / "recipe.yaml").write_text(yaml.safe_dump(told), "utf-8")
    assert main(["train", str(data), "-o", str(old), "--resume"]) == 2
    assert "begun by a version of BluRef with other settings (forgotten)" in capsys.readouterr().err


def test_the_same_command_is_understood_with_resume_behind_it(data, tmp_path, capsys):
    """Switches too, whose options are others where they are on already."""
    line = ["train", str(data), "-o", str(tmp_path / "run"), *SETTINGS]
    line += ["--supervised", "--no-local-pooling"]
    assert main(line) == 0
    assert main([*line, "--resume"]) == 0
    told = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text("utf-8"))["recipe"]
    assert (told["supervised"], told["local_pooling"]) == (True, False)
    assert main([*line[:4], "--resume", "--no-supervised"]) == 2
    assert "supervised: true -> false" in capsys.readouterr().err.casefold()


def test_resume_with_another_setting_is_refused_with_the_difference(data, run, capsys):
    assert main(["train", str(data), "-o", str(run), "--resume", "--seed", "5"]) == 2
    message = capsys.readouterr().err
    assert "seed: 0 -> 5" in message
    assert "fix:" in message


def test_an_interrupt_before_the_first_step_says_how_to_go_on(data, tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("bluref.train.run.find_moving", interrupted)
        assert main(["train", str(data), "-o", str(folder), *SETTINGS]) == 130
    said = capsys.readouterr().err
    assert f"go on with: bluref train {data} -o {folder} --resume\n" in said
    assert main(["train", str(data), "-o", str(folder), "--resume"]) == 0


def test_what_goes_on_is_a_command_that_does(monkeypatch):
    there = Path("my clips"), Path("run")
    assert command_to_go_on("train", [there[0]], there[1], "cuda:1") == (
        "bluref train 'my clips' -o run --resume --device cuda:1"
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert command_to_go_on("train", [there[0]], there[1], "cpu") == (
        "accelerate launch --multi_gpu --num_processes 2 -m bluref train 'my clips' -o run --resume"
    )


def test_resume_knows_the_run_however_it_is_named(data, run):
    assert main(["train", str(data), f"-o{run}", "--resume"]) == 0


def test_a_second_run_into_the_same_folder_is_refused(data, run, capsys):
    assert main(["train", str(data), "-o", str(run), *SETTINGS]) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_options_win_over_the_recipe_file(data, tmp_path):
    (tmp_path / "mine.yaml").write_text("steps: 9\nwarm_start: 1\ncrop: 32\nbatch: 1\nrefs: 2\n")
    arguments = ["--recipe", str(tmp_path / "mine.yaml"), "--steps", "2"]
    assert main(["train", str(data), "-o", str(tmp_path / "run"), *arguments]) == 0
    text = (tmp_path / "run" / "recipe.yaml").read_text()
    assert "steps: 2" in text
    assert "crop: 32" in text


def test_every_choice_of_the_papers_tables_has_an_option(monkeypatch):
    asked = []
    monkeypatch.setattr("bluref.cli.train.run", lambda options: asked.append(options.recipe) or 0)
    table = product(STRATEGIES, (4, 6, 8, 10), (1, 10, 20), ("alternating", "halves"))
    for strategy, refs, delta, split in table:
        words = ["--strategy", strategy, "--refs", str(refs), "--delta", str(delta)]
        assert main(["train", "footage", "-o", "run", *words, "--split", split]) == 0
        recipe = asked.pop()
        chosen = (recipe.strategy, recipe.refs, recipe.delta, recipe.split)
        assert chosen == (strategy, refs, delta, split)


def test_a_recipe_with_a_mistake_names_file_and_field(data, tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text("stepps: 9\n")
    arguments = ["-o", str(tmp_path / "run"), "--recipe", str(tmp_path / "mine.yaml")]
    assert main(["train", str(data), *arguments]) == 2
    assert "stepps" in capsys.readouterr().err


def test_eval_prints_the_identity_beside_the_model(data, run, capsys):
    assert main(["eval", str(data), "--model", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 5
    assert set(told["identity"]) == {"psnr", "ssim", "ssim3d"}
    assert set(told["protocol"]) >= {"psnr", "ssim", "ssim3d"}
    assert abs(told["psnr"] - told["identity"]["psnr"]) < 3
    assert main(["eval", str(data), "--model", str(run)]) == 0
    assert "blurry input > output of the model" in capsys.readouterr().out


def test_eval_shows_where_the_model_fails(data, run, tmp_path, capsys):
    picture = tmp_path / "worst.jpg"
    line = ["eval", str(data), "--model", str(run), "--worst", str(picture), "--json"]
    assert main(line) == 0
    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert clip["clip"] == "scene"
    assert 0 <= clip["below_input"] <= 5
    assert clip["gain"] == pytest.approx(clip["psnr"] - clip["input_psnr"], abs=0.011)
    assert read_picture(picture).shape[-1] >= 3 * SIDE


def test_a_picture_that_could_not_be_written_is_told_before_measuring(data, run, capsys):
    assert main(["eval", str(data), "--model", str(run), "--worst", "worst.txt"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert ".jpg" in err


def test_eval_without_truth_says_so(data, run, capsys):
    sharp = data / "train" / "scene" / "sharp"
    assert main(["eval", str(sharp), "--model", str(run)]) == 2
    assert "no pairs" in capsys.readouterr().err


def test_a_trained_run_deblurs_pictures(data, run, tmp_path, capsys):
    picture = data / "test" / "scene" / "blur" / "000002.png"
    arguments = [str(picture), "-o", str(tmp_path), "--model", str(run), "--json"]
    assert main(["deblur", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == 1
    assert read_picture(tmp_path / "000002.png").shape == (1, 3, 80, 80)


def test_one_plain_clip_is_enough_and_machines_are_told_what_frames_held_back_say(
    data, tmp_path, capsys
):
    strip = F.interpolate(torch.rand(1, 3, 20, 50), (80, 200), mode="bicubic").clamp(0, 1)
    for index in range(36):
        picture = strip[..., 3 * index : 3 * index + 80]
        if index % 2:
            picture = F.avg_pool2d(picture, 3, stride=1, padding=1)
        write_picture(picture, tmp_path / "clips" / "walk" / f"{index:04d}.png")
    settings = [*SETTINGS, "--matcher", "dis", "--validate-every", "2", "--json"]
    folder = tmp_path / "run"
    assert main(["train", str(tmp_path / "clips"), "-o", str(folder), *settings]) == 0
    output = capsys.readouterr()
    told = json.loads(output.out)
    assert told["best_step"] in (2, 4)
    assert told["agreement_before"] > 0
    assert told["agreement_after"] > 0
    assert "held back, after 2 steps" in output.err
    assert (folder / "best" / "model.safetensors").is_file()
    arguments = [str(tmp_path / "clips"), "-o", str(folder), "--resume"]
    assert main(["train", *arguments]) == 0
    assert "on frames held back, agreement with the references went from" in capsys.readouterr().err


def test_of_pairs_nothing_is_held_back(data, run, capsys):
    assert main(["train", str(data), "-o", str(run), "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best_step"] is None
