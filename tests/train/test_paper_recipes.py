"""The recipes of the paper, for a step each on footage of their own layout."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bluref.train.metrics import read_metrics
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_recipe
from bluref.train.run import train


@pytest.fixture
def layouts(footage, tmp_path):
    """The same pictures as each of the paper's data sets lays them out."""
    scene = footage / "train" / "scene0"
    rb2v, phonecraft = tmp_path / "rb2v", tmp_path / "phonecraft"
    for role, pictures in (("blur", "blur"), ("sharp", "sharp")):
        shutil.copytree(scene / pictures, rb2v / role / "clip")
    shutil.copytree(scene / "blur", phonecraft / "blurry" / "one")
    shutil.copytree(scene / "sharp", phonecraft / "sharp" / "other")
    return {"gopro": footage, "rb2v": rb2v, "phonecraft": phonecraft}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("gopro", {}),  # the paper's network itself; the others with one that is quicker to save
        ("rb2v", {"backbone": "small"}),
        ("phonecraft", {"backbone": "small"}),
    ],
)
def test_a_step_of_each_is_run(layouts, tmp_path, name, changes):
    recipe = replace(
        read_recipe(Path(f"paper-{name}"), Recipe),
        steps=1,
        batch=1,
        crop=64,
        log_every=1,
        **changes,
    )
    result = train(layouts[name], tmp_path / "run", recipe)
    assert result.finished
    (row,) = read_metrics(tmp_path / "run" / "metrics.csv")
    assert (row["phase"], row["round"]) == ("pseudo", "0")
    # Separate clips have no truth, and Fig. 7 nothing to draw.
    assert ("target_psnr_truth" in row and row["target_psnr_truth"] != "") == (name != "phonecraft")
