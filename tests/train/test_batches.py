"""A share of synthetic pairs in every batch: the anchor."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.train.conftest import Two

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.train import run as run_module
from bluref.train.batches import Batch, Drawing, anchor_of, parts_of
from bluref.train.data import TrainingData
from bluref.train.metrics import describe
from bluref.train.recipe import Recipe
from bluref.train.run import train


def batch(items, seed, *, truth=False):
    generator = torch.Generator().manual_seed(seed)
    blurry, target = (torch.rand(items, 3, 16, 16, generator=generator) for _ in "ab")
    return Batch(blurry, target, torch.ones(items, 1, 16, 16), target / 2 if truth else None)


def test_the_parts_of_a_drawing_draw_what_the_whole_draws():
    whole = Drawing(seed=3, batch=8, crop=32)
    own, synthetic = whole.parted(0.25)
    assert (own.batch, synthetic.batch) == (6, 2)
    drawn = [g.initial_seed() for part in (own, synthetic) for g in part.generators(5)]
    assert drawn == [g.initial_seed() for g in whole.generators(5)]


@pytest.mark.parametrize(("share", "items"), [(0.0, 0), (0.2, 1), (0.5, 2), (1.0, 4)])
def test_the_share_is_rounded_to_items(share, items):
    assert Drawing(seed=0, batch=4, crop=32).parted(share)[1].batch == items


def data(*, picked, moves=True):
    """Two frames next to each other, or of two clips; the sharp one found or picked."""
    sharp, blurry = Frame("a", 0, Path("0.png")), Frame("a" if moves else "b", 1, Path("1.png"))
    picks = frozenset([sharp] if picked else [])
    return TrainingData([Sample(blurry, (sharp,), None)], [sharp], 0, picked=picks)


@pytest.mark.parametrize(
    ("settings", "found", "share"),
    [
        ({}, data(picked=False), 0.5),
        ({}, data(picked=True), 0.75),
        ({"batch": 4}, data(picked=True), 0.75),
        ({"batch": 3}, data(picked=True), 2 / 3),
        ({"batch": 2}, data(picked=True), 0.5),
        ({"batch": 1}, data(picked=True), 0.0),
        ({"still": 0}, data(picked=True), 0.5),
        ({"blur": "kernels"}, data(picked=True), 0.5),
        ({}, data(picked=True, moves=False), 0.5),
        ({"anchor": 0.3}, data(picked=True), 0.3),
        ({"supervised": True}, data(picked=True), 0.0),
        ({"supervised": True, "anchor": 0.3}, data(picked=True), 0.3),
        ({"pairs": True, "anchor": 0.3}, data(picked=False), 0.0),
    ],
)
def test_more_is_synthetic_where_sharp_frames_are_but_the_better_ones(settings, found, share):
    assert anchor_of(Recipe(**settings), found) == pytest.approx(share)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("items", range(1, 12))
def test_what_is_synthetic_by_itself_leaves_some_to_the_footage(items, processes):
    recipe, found = Recipe(batch=items), data(picked=True)
    own, synthetic = parts_of(recipe, found, processes=processes)
    assert own.batch >= 1
    assert synthetic.batch == min(3 * items // 4, items - 1)


def test_synthetic_pairs_teach_but_are_not_measured():
    own, synthetic = batch(3, 0, truth=True), batch(1, 1)
    both = own.anchored(synthetic)
    assert len(both.target) == 4
    assert both.synthetic == 1
    output = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    assert describe(both, output) == describe(own, output[:3])
    torch.testing.assert_close(both.own().blurry, own.blurry)


@pytest.mark.slow
def test_a_batch_without_an_own_item_is_refused(footage, recipe, tmp_path):
    with pytest.raises(UserError, match=r"anchor 0\.9 leaves no item of a batch of 2"):
        train(footage, tmp_path / "run", replace(recipe, anchor=0.9))


def test_processes_that_would_part_a_batch_otherwise_than_one_are_refused():
    three = Drawing(seed=0, batch=3, crop=32)
    assert three.parted(0.5)[1].batch == 2
    with pytest.raises(UserError, match="no whole number of the 3 items"):
        three.parted(0.5, processes=2)
    assert three.parted(1 / 3, processes=2)[1].batch == 1


def test_what_processes_cannot_part_is_refused_before_anything_is_written(
    footage, recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_module, "find_processes", lambda device: Two())
    with pytest.raises(UserError, match="no whole number of the 3 items"):
        train(footage, tmp_path / "run", replace(recipe, batch=3))
    assert not (tmp_path / "run" / "recipe.yaml").exists()
