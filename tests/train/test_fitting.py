"""Batch and crop fit into memory and into the frames, and stay what they were on resume."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from bluref.errors import UserError
from bluref.media.picture import write_picture
from bluref.restore.networks.backbones import build_backbone
from bluref.train import fitting
from bluref.train.data import TrainingData
from bluref.train.fitting import TRIED, choose_size, memory_for_training, step_bytes
from bluref.train.observe import Observer
from bluref.train.recipe import BATCH, CROP, Recipe
from bluref.train.run import train

OPEN = Recipe()
PLENTY = 2**50


@pytest.fixture(scope="module")
def measured():
    return step_bytes(build_backbone("small"))


def needed(batch, crop, measured):
    return int(measured[0] + batch * crop * crop * measured[1])


def test_with_plenty_it_is_the_usual_size():
    assert choose_size(OPEN, 480, PLENTY) == (BATCH, CROP)


@pytest.mark.parametrize("place", range(len(TRIED)))
def test_it_is_the_first_of_those_tried_that_fits(place, measured):
    batch, crop = TRIED[place]
    assert choose_size(OPEN, 480, needed(batch, crop, measured) + 1) == (batch, crop)


def test_what_is_tried_takes_less_and_less():
    sizes = [batch * crop * crop for batch, crop in TRIED]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)


def test_a_budget_too_small_for_anything_gives_the_smallest():
    assert choose_size(OPEN, 480, 1) == TRIED[-1]


def test_no_crop_is_larger_than_the_frames_allow():
    assert choose_size(OPEN, 100, PLENTY) == (8, 96)
    assert choose_size(OPEN, 10, PLENTY) == (8, 32)  # a run then says which frame is too small


def test_what_is_given_is_never_changed():
    assert choose_size(replace(OPEN, batch=64, crop=512), 100, 1) == (64, 512)
    assert choose_size(replace(OPEN, batch=3), 480, 1) == (3, 32)
    assert choose_size(replace(OPEN, crop=200), 480, 1) == (1, 200)


def test_wider_networks_take_more_than_narrow_ones(measured):
    wide = step_bytes(build_backbone("light"))
    assert wide[0] > measured[0]
    assert wide[1] > 1.5 * measured[1]


ONE_STEP = """
import sys
import torch
from bluref.restore.networks.backbones import build_backbone
from bluref.restore.tiling.memory import Peak

torch.set_num_threads(1)
model = build_backbone(sys.argv[1])
model.to(memory_format=torch.channels_last)
image = torch.rand(2, 3, 192, 192).contiguous(memory_format=torch.channels_last)
peak = Peak()
model(image).square().mean().backward()
print(peak.grown())
"""


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["small", "light", "restormer-small"])
def test_a_step_takes_what_was_foretold(backbone):
    """What the system tells of a process of its own: not more, and not half as much."""
    told = subprocess.run(
        [sys.executable, "-c", ONE_STEP, backbone], capture_output=True, check=True, timeout=200
    )
    took = int(told.stdout)
    fixed, per_pixel = step_bytes(build_backbone(backbone))
    gradients = fixed / 5  # there is no optimizer here, and the weights were there before
    foretold = per_pixel * 2 * 192 * 192 + gradients
    assert 0.55 * foretold < took < foretold


def test_memory_is_some_and_not_all_of_it():
    import psutil

    assert 0 < memory_for_training(torch.device("cpu")) < psutil.virtual_memory().total


class Listening(Observer):
    def __init__(self):
        self.said = ""

    def on_message(self, text):
        self.said += text + "\n"


@pytest.fixture
def tight(monkeypatch, measured):
    monkeypatch.setattr(fitting, "memory_for_training", lambda device: needed(2, 64, measured) + 1)


@pytest.fixture
def open_recipe(recipe):
    return replace(recipe, batch=None, crop=None, steps=2, warm_start=0, anchor=0.0, gate=0.0)


@pytest.mark.slow
def test_a_run_writes_down_what_fits_says_so_and_keeps_it_when_resumed(
    footage, open_recipe, tmp_path, tight, monkeypatch
):
    run, heard = tmp_path / "run", Listening()
    train(footage, run, replace(open_recipe, steps=1), observer=heard)
    told = yaml.safe_load((run / "recipe.yaml").read_text())["recipe"]
    assert (told["batch"], told["crop"]) == (2, 64)
    assert "each step takes 2 crops of 64 pixels" in heard.said
    monkeypatch.setattr(fitting, "memory_for_training", lambda device: PLENTY)
    train(footage, run, replace(open_recipe, steps=1), resume=True)
    with pytest.raises(UserError, match="batch: 2 -> 5"):
        train(footage, run, replace(open_recipe, steps=1, batch=5), resume=True)


@pytest.mark.slow
def test_frames_smaller_than_the_usual_crop_are_trained_on(footage, open_recipe, tmp_path):
    run = tmp_path / "run"
    train(footage, run, replace(open_recipe, steps=1, batch=1))  # frames of 96 pixels
    told = yaml.safe_load((run / "recipe.yaml").read_text())["recipe"]
    assert (told["batch"], told["crop"]) == (1, 96)


def test_random_kernels_need_room_around_a_crop(open_recipe, tmp_path):
    from bluref.frames.clip import Frame
    from bluref.frames.references import Sample
    from bluref.frames.store import FrameStore

    frames = []
    for clip in "ab":
        write_picture(torch.rand(1, 3, 100, 130), tmp_path / f"{clip}.png")
        frames.append(Frame(clip, 0, tmp_path / f"{clip}.png"))
    lone = TrainingData([Sample(frames[0], (), None)], frames[1:], 0)
    beside = TrainingData([Sample(replace(frames[0], index=1), (), None)], frames[:1], 0)
    store = FrameStore(tmp_path / "store")
    synthetic = replace(open_recipe, warm_start=5)
    assert fitting._largest_crop(synthetic, lone, store)[0] == 100 - 32
    assert fitting._largest_crop(open_recipe, lone, store)[0] == 100
    assert fitting._largest_crop(synthetic, beside, store)[0] == 100
    assert fitting._largest_crop(replace(synthetic, blur="kernels"), beside, store)[0] == 100 - 32
    write_picture(torch.rand(1, 3, 64, 64), tmp_path / "small.png")
    small = replace(lone, sharp=[Frame("b", 0, tmp_path / "small.png")])
    assert fitting._largest_crop(synthetic, small, store) == (64 - 32, small.sharp[0])
    # Of sharp frames that nobody blurs nothing is cut.
    assert fitting._largest_crop(open_recipe, small, store) == (100, frames[0])
    assert fitting._largest_crop(replace(synthetic, supervised=True), small, store)[0] == 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"crop": 512}, "--crop to 96 or less"),
        ({"crop": 80, "blur": "kernels"}, "--crop to 64 or less, or set --warm-start 0"),
        ({"anchor": 1.0}, "lower --anchor"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_written(
    footage, recipe, tmp_path, wrong, told
):
    asked = replace(recipe, **{"warm_start": 1, **wrong})
    with pytest.raises(UserError) as caught:
        train(footage, tmp_path / "run", asked)
    assert told in caught.value.fix
    train(footage, tmp_path / "run", recipe)  # the folder is as good as new
