"""`bluref pairs` and `bluref train --pairs`, as a user runs them."""

import json
import shlex

import pytest
import torch
import torch.nn.functional as F

from bluref.cli.main import main
from bluref.frames.crops import Crop
from bluref.media.picture import read_picture, write_picture
from bluref.pseudo.pairs.record import read_records
from bluref.report.page.page_facts import read_facts
from bluref.report.page.page_footage import RunFootage
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import recipe_from

pytestmark = pytest.mark.slow

SETTINGS = [
    *("--steps", "2", "--warm-start", "0", "--anchor", "0", "--batch", "1", "--crop", "32"),
    *("--refs", "2", "--matcher", "dis"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    strip = F.interpolate(torch.rand(1, 3, 20, 30, generator=generator), (80, 120), mode="bicubic")
    for index in range(5):
        sharp = strip[..., 4 * index : 4 * index + 80].clamp(0, 1)
        blurry = F.avg_pool2d(F.pad(sharp, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
        write_picture(sharp, root / "walk" / "sharp" / f"{index:06d}.png")
        write_picture(blurry, root / "walk" / "blur" / f"{index:06d}.png")
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", str(root), "-o", str(folder), *SETTINGS]) == 0
    return folder


@pytest.fixture(scope="module")
def pairs(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "of my walk"
    assert main(["pairs", str(run), "-o", str(out)]) == 0
    return out


def test_machines_are_told_what_the_pairs_are_worth(run, pairs, capsys):
    assert main(["pairs", str(run), "-o", str(pairs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= {"pairs", "coverage", "expected_psnr", "bytes"}
    assert (told["pairs"], told["made"], told["leaks"]) == (3, 0, [])
    assert 0 < told["coverage"] <= 1
    assert told["bytes"] == sum(p.stat().st_size for p in pairs.rglob("*") if p.is_file())


def test_a_person_is_told_what_to_do_with_them(run, pairs, tmp_path, capsys):
    assert main(["pairs", str(run), "-o", str(pairs)]) == 0
    said = capsys.readouterr().err
    assert "3 pairs, 0 of them new" in said
    command = shlex.split(said.splitlines()[-1].partition("bluref ")[2])
    command[command.index("RUN")] = str(tmp_path / "student")
    command[command.index("light")] = "small"
    assert main([*command, *SETTINGS]) == 0
    assert "learnt from the pairs" in _refusal(tmp_path / "student", tmp_path / "more", capsys)


def test_the_flag_may_stand_before_the_folder(pairs, tmp_path):
    command = ["train", "--pairs", str(pairs), "--backbone", "small", "-o", str(tmp_path / "run")]
    assert main([*command, *SETTINGS]) == 0


def test_mistakes_are_told_in_two_lines(run, tmp_path, capsys):
    assert "holds no run" in _refusal(tmp_path / "nowhere", tmp_path / "out", capsys)
    assert "keep is 0" in _refusal(run, tmp_path / "out", capsys, "--keep", "0")
    assert "keep is 1.5" in _refusal(run, tmp_path / "out", capsys, "--keep", "1.5")
    said = _refusal(run, tmp_path / "out", capsys, "--data", str(tmp_path / "gone"))
    assert "no longer in" in said
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("")
    assert "something else than pairs" in _refusal(run, tmp_path / "full", capsys)


def _refusal(run, out, capsys, *more):
    capsys.readouterr()
    assert main(["pairs", str(run), "-o", str(out), *more]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "\n  fix: " in said
    return said


def test_an_interrupt_says_how_to_go_on(run, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bluref.train.make_pairs.make_pairs", interrupted)
    assert main(["pairs", str(run), "-o", str(tmp_path / "pairs")]) == 130
    assert "the same command goes on" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--pairs"]])
def test_pairs_need_no_check_and_are_told_from_footage(pairs, more, capsys):
    assert main(["check", str(pairs), *more]) == 2
    said = capsys.readouterr().err
    assert "holds pairs" in said
    assert "bluref train" in said
    assert "--pairs" in said
    assert "--layout" not in said


def test_footage_is_not_checked_for_pairs(run, tmp_path, capsys):
    assert main(["check", str(tmp_path), "--pairs"]) == 2
    assert "holds no pairs" in capsys.readouterr().err


def test_the_page_of_a_student_shows_the_pairs_that_it_learnt_from(pairs, tmp_path):
    student = tmp_path / "student"
    assert main(["train", str(pairs), "-o", str(student), "--pairs", *SETTINGS]) == 0
    page = (student / "report.html").read_text("utf-8")
    assert "No pictures" not in page
    assert "Not judged" not in page
    assert page.count("<img") >= 3 * 4
    facts = read_facts(student)
    footage = RunFootage(
        student, recipe_from(facts.told["recipe"], Recipe, where=""), pairs, tmp_path / "scratch"
    )
    for record in read_records(pairs / "pairs.csv"):
        look = footage.look(
            footage.samples[f"blur/{record.clip}", record.index],
            Crop(0, 0, record.height, record.width),
        )
        trust = read_picture(record.file(pairs, "trust"))[:, :1]
        spoken = (trust > 0).expand(-1, 3, -1, -1)
        assert torch.equal(look.trust, trust)
        assert torch.equal(look.target[spoken], read_picture(record.file(pairs, "sharp"))[spoken])
