"""A file that a recipe names, replaced in its place, is noticed."""

import pytest
import torch
import yaml

from bluref.errors import UserError
from bluref.match.files import save_matcher
from bluref.match.pdcnet.config import COMPACT
from bluref.match.pdcnet.network import PDCNet
from bluref.restore.files import save_network
from bluref.restore.networks.backbones import build_backbone
from bluref.train.named_files import named_files, replaced
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.run_folder import settle


def deblurrer(folder, seed):
    torch.manual_seed(seed)
    save_network(build_backbone("light"), folder, training_size=32, meta={})


def matcher(folder, seed):
    torch.manual_seed(seed)
    save_matcher(PDCNet(COMPACT), folder, meta={})


def begin_or_go_on(run, recipe):
    told = {
        "recipe": {"matcher": recipe.matcher, "init": recipe.init},
        "data": {"folder": "footage", "fingerprint": "f"},
        "files": named_files(recipe),
    }
    settle(run, told, Alone(), Observer())


def test_weights_are_told_by_their_content(tmp_path):
    recipe = Recipe(matcher=f"{tmp_path / 'matcher'}+check", init=str(tmp_path / "start"))
    matcher(tmp_path / "matcher", seed=0)
    deblurrer(tmp_path / "start", seed=0)
    before = named_files(recipe)
    assert before.keys() == {"matcher", "init"}
    deblurrer(tmp_path / "start", seed=1)
    assert replaced(before, named_files(recipe)) == ["init"]
    matcher(tmp_path / "matcher", seed=1)
    assert replaced(before, named_files(recipe)) == ["init", "matcher"]
    matcher(tmp_path / "matcher", seed=0)
    deblurrer(tmp_path / "start", seed=0)
    assert named_files(recipe) == before


@pytest.mark.parametrize("name", ["official.pth", "official.ckpt", "official.safetensors"])
def test_a_published_file_is_told_by_its_own(tmp_path, name):
    (tmp_path / name).write_bytes(b"one")
    recipe = Recipe(init=str(tmp_path / name))
    before = named_files(recipe)
    (tmp_path / name).write_bytes(b"two")
    assert replaced(before, named_files(recipe)) == ["init"]


def test_what_is_not_there_or_not_asked_is_left_out(tmp_path):
    matcher(tmp_path / "matcher", seed=0)
    asked = str(tmp_path / "matcher")
    (tmp_path / "empty").mkdir()
    assert named_files(Recipe(matcher="compact", init=str(tmp_path / "gone"))) == {}
    assert named_files(Recipe(init=str(tmp_path / "empty"))) == {}
    assert named_files(Recipe(matcher="dis+check")) == {}
    assert named_files(Recipe(matcher=asked)).keys() == {"matcher"}
    assert named_files(Recipe(matcher=asked, supervised=True)) == {}
    assert named_files(Recipe(matcher=asked, pairs=True, anchor=0.5)) == {}
    beside = Recipe(matcher=asked, supervised=True, anchor=0.5)  # it tells how frames moved
    assert named_files(beside).keys() == {"matcher"}
    assert replaced({"init": "x"}, {}) == []


def test_a_run_does_not_go_on_with_another_matcher_of_that_name(tmp_path):
    matcher(tmp_path / "matcher", seed=0)
    recipe = Recipe(matcher=str(tmp_path / "matcher"))

    run = tmp_path / "run"
    run.mkdir()
    for _ in range(2):
        begin_or_go_on(run, recipe)
    matcher(tmp_path / "matcher", seed=1)
    with pytest.raises(UserError, match="is not the matcher any more"):
        begin_or_go_on(run, recipe)
    earlier = yaml.safe_load((run / "recipe.yaml").read_text("utf-8"))
    del earlier["files"]  # as runs of earlier versions have it
    (run / "recipe.yaml").write_text(yaml.safe_dump(earlier), "utf-8")
    begin_or_go_on(run, recipe)


def test_what_a_run_began_with_is_of_no_account_once_it_has_weights_of_its_own(tmp_path):
    deblurrer(tmp_path / "start", seed=0)
    recipe = Recipe(init=str(tmp_path / "start"))

    run = tmp_path / "run"
    run.mkdir()
    begin_or_go_on(run, recipe)
    deblurrer(tmp_path / "start", seed=1)
    with pytest.raises(UserError, match="is not the init any more"):
        begin_or_go_on(run, recipe)
    (run / "last").mkdir()
    begin_or_go_on(run, recipe)
