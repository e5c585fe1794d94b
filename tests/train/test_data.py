"""What a run learns from, and what shows how that moved."""

import shutil
from dataclasses import replace

import torch
from tests.train.conftest import FRAMES, write_scene

from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.train.data import TrainingData, find_training_data
from bluref.train.moving import motion_of
from bluref.train.recipe import Recipe


def plain_clip(root, scenes=1):
    """Scenes one after the other as one clip of blurry pictures: footage without truth."""
    (root / "clip").mkdir(parents=True)
    for scene in range(scenes):
        write_scene(root / "scene", scene)
        for path in sorted((root / "scene" / "blur").iterdir()):
            path.rename(root / "clip" / f"{scene * FRAMES + int(path.stem):06d}.png")
        shutil.rmtree(root / "scene")
    return root


def steps_of(found: TrainingData, bank, tmp_path):
    """How far away the neighbours of each frame lie that is learnt from."""
    motion = motion_of(found.learnt, tmp_path / "run", bank, beside=found.beside)
    return {
        sample.blurry: sorted(frame.index - sample.blurry.index for frame in sample.references)
        for sample in motion.samples
    }


def test_of_few_frames_motion_is_seen_between_true_neighbours(footage, recipe, bank, tmp_path):
    found = find_training_data(footage, replace(recipe, most=3), FrameStore(tmp_path / "store"))
    assert (len(found.samples), len(found.sharp)) == (3, 3)
    steps = steps_of(found, bank, tmp_path)
    assert set(steps) == set(found.learnt)
    inner = [frame for frame in steps if 0 < frame.index < FRAMES - 1]
    assert inner
    assert all(steps[frame] == [-1, 1] for frame in inner)
    assert set(found.beside) <= set(found.frames)
    assert not set(found.beside) & set(found.learnt)


def test_frames_of_neither_role_show_how_others_moved(tmp_path, bank):
    data = plain_clip(tmp_path / "data", scenes=3)
    recipe = Recipe(split="sharpness", refs=2, most=2, hold_out=0.0)
    found = find_training_data(data, recipe, FrameStore(tmp_path / "store"))
    for frame, steps in steps_of(found, bank, tmp_path).items():
        assert steps == [d for d in (-1, 1) if 0 <= frame.index + d < 3 * FRAMES]


def test_frames_held_back_have_true_neighbours_too(tmp_path):
    data = plain_clip(tmp_path / "data", scenes=5)
    recipe = Recipe(split="sharpness", refs=2, hold_out=0.2)
    found = find_training_data(data, recipe, FrameStore(tmp_path / "store"))
    around = {frame.index for frame in found.around}
    held = [sample.blurry.index for sample in found.held]
    assert held
    assert {index + d for index in held for d in (-1, 1)} <= around


def test_what_is_held_back_shows_nothing_of_what_is_learnt(tmp_path):
    data = plain_clip(tmp_path / "data", scenes=5)
    recipe = Recipe(split="sharpness", refs=2, hold_out=0.2)
    found = find_training_data(data, recipe, FrameStore(tmp_path / "store"))
    held = {frame for sample in found.held for frame in (sample.blurry, *sample.references)}
    assert held
    assert not held & {*found.learnt, *found.beside}


def test_all_frames_learnt_from_ask_for_no_others(footage, recipe, tmp_path):
    found = find_training_data(footage, recipe, FrameStore(tmp_path / "store"))
    assert not found.beside


def test_the_fingerprint_is_of_the_footage_wherever_it_lies(footage, recipe, tmp_path):
    shutil.copytree(footage, tmp_path / "data")

    def fingerprint(data):
        return find_training_data(data, recipe, FrameStore(tmp_path / "store")).fingerprint

    assert fingerprint(tmp_path / "data") == fingerprint(footage)
    picture = min((tmp_path / "data" / "train").rglob("sharp/*1.png"))
    write_picture(torch.zeros(1, 3, 96, 96), picture)  # another one of the same name
    assert fingerprint(tmp_path / "data") != fingerprint(footage)
