"""The whole check on footage small enough for a test, matched for real."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bluref.errors import UserError
from bluref.frames.store import FrameStore
from bluref.media.picture import read_picture, write_picture
from bluref.train.checking import check as module
from bluref.train.checking.check import check
from bluref.train.checking.check_cost import Cost, measure_cost
from bluref.train.observe import Observer
from bluref.train.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin")]


@pytest.fixture(autouse=True)
def priced(monkeypatch):
    """What a run costs is measured elsewhere."""
    cost = Cost(step=1.0, pair=0.1, teacher=0.1, entry=1000.0, parameters=1000)
    monkeypatch.setattr(module, "measure_cost", lambda *arguments: cost)


@pytest.fixture
def report_of(recipe, tmp_path):
    def report_of(data, **changes):
        return check(data, replace(recipe, **changes), FrameStore(tmp_path / "store"), sample=3)

    return report_of


def unpaired(root, blurry_from, sharp_from):
    """Blurry frames of one scene and sharp ones of another, as separate clips."""
    for role, kind, scene in (("blurry", "blur", blurry_from), ("sharp", "sharp", sharp_from)):
        for path in (scene / kind).iterdir():
            write_picture(read_picture(path), root / role / f"{role}-clip" / path.name)
    return root


def problems(report):
    return " | ".join(f"{p.weight} {p.path} {p.problem}" for p in report.problems)


def test_neighbouring_frames_are_found_and_a_short_clip_is_thin(footage, report_of):
    report = report_of(footage)
    assert report.verdict == "thin", problems(report)
    assert "only 8 frames" in problems(report)
    assert report.coverage > 0.7
    assert report.usable_blurry == report.blurry == 8
    assert report.sharp == 8
    assert report.sampled == 3
    assert report.expected_hours > 0
    assert report.expected_disk_bytes > 16 * 3 * 96 * 96


def test_sharp_frames_of_another_scene_are_hopeless(footage, other_footage, report_of, tmp_path):
    data = unpaired(
        tmp_path / "data", footage / "train" / "scene0", other_footage / "train" / "other"
    )
    report = report_of(data)
    assert report.verdict == "hopeless"
    assert report.coverage < 0.05
    assert report.usable_blurry == 0
    assert "other scenes" in report.problems[0].problem
    assert report.expected_hours is None


def test_a_sharp_set_that_holds_the_truth_is_told(footage, report_of, tmp_path):
    scene = footage / "train" / "scene0"
    report = report_of(unpaired(tmp_path / "data", scene, scene))
    assert "one in the blurry set, one in the sharp set" in problems(report)


def test_a_test_part_that_training_sees_is_told(footage, report_of, tmp_path):
    for part, scene in (("train", "scene0"), ("test", "copied")):
        for path in sorted((footage / "train" / "scene0").glob("*/*.png")):
            image = read_picture(path)
            write_picture(image, tmp_path / "data" / part / scene / path.parent.name / path.name)
    report = report_of(tmp_path / "data")
    assert "which training sees" in problems(report)
    assert "which training sees" not in problems(report_of(footage))


def test_a_torn_file_that_training_needs_is_hopeless_and_named(footage, report_of, tmp_path):
    data = unpaired(tmp_path / "data", *[footage / "train" / "scene0"] * 2)
    torn = data / "blurry" / "blurry-clip" / "000003.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    report = report_of(data)
    assert report.verdict == "hopeless"
    assert [p.path for p in report.problems if p.weight == "hopeless"] == [str(torn)]
    assert report.coverage > 0, "the others are looked at all the same"


def test_a_file_that_nobody_looked_at_before_it_is_matched_is_told_in_the_report(
    footage, report_of, monkeypatch
):
    def torn(*arguments, **options):
        raise UserError("film.mp4 ends before frame 7", "copy it again")

    monkeypatch.setattr(module, "match_sample", torn)
    report = report_of(footage)
    assert report.verdict == "hopeless"
    assert "hopeless a sample film.mp4 ends before frame 7" in problems(report)


def test_two_cameras_of_different_size_in_one_clip_are_told(footage, report_of, tmp_path):
    clip = tmp_path / "data" / "clip"
    for n, path in enumerate(sorted((footage / "train" / "scene0" / "sharp").iterdir())):
        image = read_picture(path)
        write_picture(image if n < 6 else image[..., :64], clip / path.name)
    report = report_of(tmp_path / "data")
    assert report.verdict == "hopeless"
    assert "2 of 8 are odd" in problems(report)


def test_a_black_clip_is_hopeless(report_of, tmp_path):
    for n in range(12):
        write_picture(torch.zeros(1, 3, 96, 96), tmp_path / "data" / "clip" / f"{n:03}.png")
    report = report_of(tmp_path / "data")
    assert report.verdict == "hopeless"
    assert "black" in problems(report)


def test_a_single_frame_is_hopeless_not_an_error(footage, report_of, tmp_path):
    image = read_picture(footage / "train" / "scene0" / "sharp" / "000000.png")
    write_picture(image, tmp_path / "data" / "clip" / "000.png")
    report = report_of(tmp_path / "data")
    assert report.verdict == "hopeless"
    assert "no frame is left" in problems(report)


def test_a_clip_that_is_sharp_throughout_has_nothing_to_learn_from(report_of, tmp_path):
    rough = torch.rand(1, 3, 110, 150, generator=torch.Generator().manual_seed(0))
    strip = F.interpolate(rough, (220, 300), mode="bicubic").clamp(0, 1)
    for n in range(6):
        sharp = strip[..., 3 * n : 3 * n + 220]
        write_picture(sharp, tmp_path / "sharp" / "clip" / f"{n}.png")
        moved = F.avg_pool2d(F.pad(sharp, (4, 4, 0, 0), mode="replicate"), (1, 9), stride=1)
        write_picture(moved if n % 2 == 0 else sharp, tmp_path / "mixed" / "clip" / f"{n}.png")
    report = report_of(tmp_path / "sharp", split="alternating")
    assert report.verdict == "hopeless"
    assert report.blur == "none"
    assert "nothing to learn" in problems(report)
    mixed = report_of(tmp_path / "mixed", split="alternating")
    assert mixed.blur == "motion"
    assert mixed.blurred > 0.9
    assert "nothing to learn" not in problems(mixed)


def test_no_folder_is_an_error(report_of, tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        report_of(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no clips"):
        report_of(tmp_path / "empty")


def test_a_full_disk_is_told_beforehand(footage, report_of, monkeypatch):
    room = type("Usage", (), {"free": 900_000})()  # enough for the frames of the sample
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: room)
    assert "thin the disk a run needs about" in problems(report_of(footage))


def test_true_pairs_need_no_references(footage, report_of):
    report = report_of(footage, supervised=True)
    assert report.coverage is None
    assert report.usable_blurry == 8


def test_footage_without_a_truth_is_hopeless_for_who_wants_true_pairs(
    footage, report_of, monkeypatch, tmp_path
):
    monkeypatch.setattr(module, "measure_cost", measure_cost)
    scene = footage / "train" / "scene0"
    report = report_of(unpaired(tmp_path / "data", scene, scene), supervised=True)
    assert report.verdict == "hopeless"
    assert report.usable_blurry == 0
    (told,) = [p for p in report.problems if p.weight == "hopeless"]
    assert "no blurry frame has a true sharp version" in told.problem
    assert "omit --supervised" in told.fix


def test_a_run_that_cannot_work_is_refused_and_may_be_forced(
    footage, other_footage, recipe, tmp_path
):
    data = unpaired(
        tmp_path / "data", footage / "train" / "scene0", other_footage / "train" / "other"
    )
    run = tmp_path / "run"
    with pytest.raises(UserError, match="cannot work: the sharp frames: they show") as caught:
        train(data, run, recipe, check=True)
    assert "--no-check" in caught.value.fix
    assert json.loads((run / "check.json").read_text())["verdict"] == "hopeless"
    assert train(data, run, replace(recipe, steps=1), check=False).finished


def test_a_run_keeps_what_the_check_found_and_does_not_ask_again(footage, recipe, tmp_path):
    class Ears(Observer):
        def __init__(self):
            self.heard = []

        def on_check(self, what, done, total):
            self.heard.append(what)

    run, ears = tmp_path / "run", Ears()
    train(footage, run, replace(recipe, steps=2), check=True, observer=ears)
    told = json.loads((run / "check.json").read_text())
    assert told["verdict"] == "thin"
    assert set(ears.heard) == {"looking at files", "matching a sample"}
    again = Ears()
    train(footage, run, replace(recipe, steps=2), check=True, resume=True, observer=again)
    assert again.heard == []
