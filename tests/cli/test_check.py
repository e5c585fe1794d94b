"""`bluref check`, as a user runs it."""

import json

import pytest
import torch
import torch.nn.functional as F

from bluref.cli.main import main
from bluref.media.picture import write_picture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rough = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    strip = F.interpolate(rough, (96, 128), mode="bicubic").clamp(0, 1)
    for index in range(6):
        sharp = strip[..., 3 * index : 3 * index + 96]
        write_picture(sharp, root / "train" / "scene" / "sharp" / f"{index:06d}.png")
        moved = F.avg_pool2d(F.pad(sharp, (3, 3, 0, 0), mode="replicate"), (1, 7), stride=1)
        write_picture(moved, root / "train" / "scene" / "blur" / f"{index:06d}.png")
    return root


SETTINGS = ("--crop", "32", "--batch", "1", "--refs", "2", "--sample", "2")


def test_machines_get_one_object_with_every_key(data, capsys):
    assert main(["check", str(data), *SETTINGS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "thin"  # three blurry frames are few
    assert told["usable_blurry"] == 3
    assert 0.5 < told["coverage"] <= 1
    assert told["expected_hours"] > 0
    assert told["expected_disk_bytes"] > 6 * 3 * 96 * 96
    assert {"path", "problem", "fix"} <= set(told["problems"][0])


def test_a_person_reads_the_verdict_first_and_hopeless_is_a_status(data, tmp_path, capsys):
    for index in range(4):
        write_picture(torch.zeros(1, 3, 48, 48), tmp_path / "clip" / f"{index}.png")
    assert main(["check", str(tmp_path), *SETTINGS]) == 1
    out, _ = capsys.readouterr()
    assert out.startswith("hopeless: ")
    assert "    fix: " in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere"], "not a folder"), ([".", "--sample", "0"], "--sample is 0")],
)
def test_what_cannot_be_checked_is_told_in_a_line(arguments, words, capsys):
    assert main(["check", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_crop_larger_than_the_frames_is_told_before_training(data, capsys):
    assert main(["check", str(data), "--crop", "128", "--sample", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "hopeless"
    assert any("128" in problem["problem"] for problem in told["problems"])
