"""What a run learns from, and what shows how that moved."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.train.conftest import FRAMES, write_scene

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.train.data import TrainingData, _serves, find_training_data
from bluref.train.moving import motion_of
from bluref.train.recipe import Recipe
from bluref.train.run_targets import RunTargets


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


def test_a_full_disk_is_not_taken_for_a_picture_that_does_not_serve(tmp_path, monkeypatch):
    def full(*told, **options):
        raise UserError("the disk is full", "free some space")

    monkeypatch.setattr(FrameStore, "_write", full)
    store = FrameStore(tmp_path / "store")
    frames = [Frame("a", index, tmp_path / f"{index}.png") for index in range(3)]
    for frame in frames[:2]:
        write_picture(torch.rand(1, 3, 8, 8), frame.path)
    frames[2].path.write_bytes(frames[0].path.read_bytes()[:60])
    assert _serves(frames[1], frames[0], store)
    assert not _serves(frames[2], frames[0], store)


def test_what_is_blurred_here_counts_in_the_fingerprint():
    frames = [Frame("a", index, Path(__file__)) for index in range(4)]
    sample = Sample(frames[0], (frames[1],), None)
    sharp = [TrainingData([sample], [frames[1], *more], 0) for more in ([], [frames[2]])]
    around = [TrainingData([sample], [], 0, around=[frame]) for frame in frames[2:]]
    assert len({found.fingerprint for found in (*sharp, *around)}) == 4


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_a_share_that_leaves_nothing_to_learn_from_is_told(tmp_path, share):
    data = plain_clip(tmp_path / "data", scenes=3)
    recipe = Recipe(split="sharpness", refs=2, hold_out=share)
    with pytest.raises(UserError, match="nothing to hold back or to learn from") as caught:
        find_training_data(data, recipe, FrameStore(tmp_path / "store"))
    assert "another share" in caught.value.fix


def test_frames_that_nothing_could_be_said_of_are_not_held_back(tmp_path):
    """A slice that is held back is shorter than the distance of references."""
    data = plain_clip(tmp_path / "data", scenes=7)
    near = Recipe(split="sharpness", refs=2, hold_out=0.2)
    store = FrameStore(tmp_path / "store")
    assert find_training_data(data, near, store).held
    far = replace(near, delta=9)
    with pytest.raises(UserError, match=r"hold_out is 0\.2, but no frame .* 9 frames from it"):
        find_training_data(data, far, store)
    usual = find_training_data(data, replace(far, hold_out=None), store)
    none = find_training_data(data, replace(far, hold_out=0.0), store)
    assert usual.fingerprint == none.fingerprint
    assert not usual.held
    assert not usual.around


def test_what_is_held_back_is_not_what_is_learnt_from(tmp_path, bank):
    """Held frames of a scene without sharp ones take their references from those of training."""
    walk, photos = tmp_path / "data" / "blurry" / "walk", tmp_path / "data" / "sharp" / "photos"
    for scene in range(6):
        write_scene(tmp_path / "scene", scene)
        for kind, folder in (("blur", walk), ("sharp", photos)):
            for path in sorted((tmp_path / "scene" / kind).iterdir()):
                place = folder / f"{scene * FRAMES + int(path.stem):06d}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                path.rename(place)
        shutil.rmtree(tmp_path / "scene")
    recipe = Recipe(refs=2, hold_out=0.2)
    found = find_training_data(tmp_path / "data", recipe, FrameStore(tmp_path / "store"))
    assert found.held
    assert {f for s in found.held for f in s.references} & {*found.sharp}
    targets = RunTargets(tmp_path / "data", recipe, found, bank, 0, None)
    assert set(targets.held_back) == {sample.blurry for sample in found.held}
    assert not set(targets.held_back) & {f for s in found.samples for f in s.references}


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
