"""What a study measures on, and copying references."""

import shutil

import pytest
import torch

from bluref.errors import UserError
from bluref.measure import ssim
from bluref.measure.psnr import psnr
from bluref.media.picture import read_picture, write_picture
from bluref.restore.deblurrer import Deblurrer
from bluref.train.evaluate import evaluate
from bluref.train.recipe import Recipe
from bluref.train.studies.study_file import Study
from bluref.train.studies.study_grid import expand
from bluref.train.studies.study_judge import Judge


@pytest.fixture
def no_ssim(monkeypatch):
    """Nine tenths of the time would go into it."""
    for name in ("ssim", "ssim3d"):
        monkeypatch.setattr(ssim, name, lambda image, truth: torch.ones(1))


def judge(data, recipe, **every):
    study = Study(data / "mine.yaml", data, recipe, {}, **every)
    return Judge(study, expand(study))


def frames(data, part, kind):
    """Pictures by (scene, frame number)."""
    paths = (data / part).glob(f"*/{kind}/*.png")
    return {(p.parent.parent.name, int(p.stem)): read_picture(p) for p in paths}


def mean_psnr(images, truths):
    values = [psnr(images[key], truths[key]).item() for key in images]
    return sum(values) / len(values)


@pytest.mark.slow
def test_the_identity_is_what_evaluate_says_and_gains_nothing(footage):
    found, parts = judge(footage, Recipe()).network(
        Deblurrer.identity(), Recipe(), tell=lambda done, total: None
    )
    assert [name for name, _ in parts] == ["test", "train"]
    assert [part.scores.psnr for _, part in parts] == [found.psnr_test, found.psnr_train_frames]
    told = evaluate(Deblurrer.identity(), footage, part="test")
    assert found.psnr_test == pytest.approx(told.scores.psnr)
    assert found.psnr_test == pytest.approx(found.input_psnr_test, abs=1e-4)
    assert found.ssim_test == pytest.approx(told.scores.ssim)
    assert found.ssim3d_test == pytest.approx(told.scores.ssim3d)


@pytest.mark.usefixtures("no_ssim")
def test_training_frames_are_the_blurry_half_of_the_split(footage):
    sharp, blurry = frames(footage, "train", "sharp"), frames(footage, "train", "blur")
    mine = {
        "alternating": {key: image for key, image in blurry.items() if key[1] % 2 == 0},
        "halves": {key: image for key, image in blurry.items() if key[1] < 4},
    }
    for split, images in mine.items():
        recipe = Recipe(split=split)
        found, _ = judge(footage, recipe, every_test=8).network(
            Deblurrer.identity(), recipe, tell=lambda done, total: None
        )
        assert found.psnr_train_frames == pytest.approx(mean_psnr(images, sharp), abs=1e-4)


@pytest.mark.usefixtures("no_ssim")
def test_every_nth_frame_of_each_clip_is_taken_and_counted(footage):
    told = []
    judge(footage, Recipe(), every_test=3, every_train=2).network(
        Deblurrer.identity(), Recipe(), tell=lambda done, total: told.append((done, total))
    )
    assert told == [(done, 3 + 2 * 2) for done in range(1, 8)]


@pytest.mark.parametrize("changed", ["train/*/sharp/*1.png", "train/*/blur/*2.png", "test"])
def test_the_fingerprint_changes_with_the_footage_wherever_it_lies(footage, tmp_path, changed):
    data = tmp_path / "data"
    shutil.copytree(footage, data)
    recipe = Recipe()

    def fingerprint(folder):
        return judge(folder, recipe, every_train=100).fingerprint(recipe)

    assert fingerprint(data) == fingerprint(footage)
    if changed == "test":
        scene = next((data / "test").iterdir())
        shutil.copytree(scene, scene.with_name("another"))
    else:  # another picture of that name
        write_picture(torch.zeros(1, 3, 96, 96), min(data.glob(changed)))
    assert fingerprint(data) != fingerprint(footage)


@pytest.mark.usefixtures("no_ssim")
@pytest.mark.parametrize(("most", "count"), [(None, 8), (0, 8), (3, 3)])
def test_a_run_on_few_frames_is_judged_on_those(footage, most, count):
    told = []
    recipe = Recipe(most=most)
    judge(footage, recipe, every_test=8).network(
        Deblurrer.identity(), recipe, tell=lambda done, total: told.append(total)
    )
    assert set(told) == {1 + count}


@pytest.mark.usefixtures("no_ssim")
def test_the_best_reference_is_copied(footage):
    recipe = Recipe(delta=2, refs=3)
    found = judge(footage, recipe).copies(recipe, tell=lambda done, total: None)
    sharp = frames(footage, "test", "sharp")
    best = [
        max(psnr(image, truth).item() for (_, j), image in sharp.items() if abs(i - j) in (2, 3))
        for (_, i), truth in sharp.items()
    ]
    # The nearest of the nearest is at distance 2 wherever a distance pays.
    assert found.psnr_test == pytest.approx(sum(best) / len(best), abs=0.2)
    near = Recipe(delta=1, refs=6)
    closer = judge(footage, near).copies(near, tell=lambda done, total: None)
    assert closer.psnr_test > found.psnr_test
    assert closer.psnr_train_frames > found.psnr_train_frames


@pytest.mark.usefixtures("no_ssim")
def test_of_more_candidates_no_more_are_copied_than_the_row_says(footage):
    def copied(recipe):
        return judge(footage, recipe).copies(recipe, tell=lambda done, total: None).psnr_test

    near, covering = (Recipe(delta=1, refs=2, choice=choice) for choice in ("near", "coverage"))
    assert copied(near) == copied(covering)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_nothing_is_judged_on_the_scenes_learnt_from(footage, tmp_path, missing):
    with pytest.raises(UserError, match=r"has no test/ and no train/"):
        judge(footage / "train", Recipe())
    shutil.copytree(footage, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / missing)
    with pytest.raises(UserError, match=f"has no {missing}/"):
        judge(tmp_path / "data", Recipe())


@pytest.mark.usefixtures("no_ssim")
def test_a_frame_without_a_reference_is_left_as_it_is(footage):
    recipe = Recipe(delta=7)  # of eight frames only the first and the last are so far apart
    found = judge(footage, recipe).copies(recipe, tell=lambda done, total: None)
    blurry, sharp = frames(footage, "test", "blur"), frames(footage, "test", "sharp")
    mixed = dict(blurry)
    mixed["scene2", 0], mixed["scene2", 7] = sharp["scene2", 7], sharp["scene2", 0]
    assert found.psnr_test == pytest.approx(mean_psnr(mixed, sharp), abs=1e-4)


def test_a_data_set_without_a_test_part_is_told_at_once(footage, tmp_path):
    shutil.copytree(footage / "train", tmp_path / "data" / "train")
    with pytest.raises(UserError, match=r"no test/"):
        judge(tmp_path / "data", Recipe())


def test_a_data_set_without_truth_is_told_at_once(footage, tmp_path):
    for part in ("train", "test"):
        for clip in sorted((footage / part).iterdir()):
            shutil.copytree(clip / "blur", tmp_path / part / clip.name)
    with pytest.raises(UserError, match="holds no pairs to measure on"):
        judge(tmp_path, Recipe())


@pytest.mark.usefixtures("no_ssim")
def test_copies_are_of_the_size_of_the_frame(footage, tmp_path):
    """Anywhere in the footage may be where references of another size are."""
    shutil.copytree(footage, tmp_path / "data")
    for part, scene in (("train", "scene0"), ("test", "scene1")):
        for path in sorted((footage / part).glob("*/*/*.png")):
            small = tmp_path / "data" / part / f"small-{scene}" / path.parent.name / path.name
            write_picture(read_picture(path)[..., :64, :], small)
    recipe = Recipe(choice="random", refs=3)
    found = judge(tmp_path / "data", recipe).copies(recipe, tell=lambda done, total: None)
    assert 0 < found.psnr_test < 99
