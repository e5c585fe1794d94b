import dataclasses
import math
from dataclasses import asdict, fields, replace
from importlib import resources
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.errors import UserError
from bluref.frames import layouts, references, split
from bluref.pseudo.strategy import STRATEGIES
from bluref.restore.networks.backbones import BACKBONES
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.recipe import (
    ABOVE_ZERO,
    AT_LEAST,
    CHOICES,
    SHARES,
    Recipe,
)
from bluref.train.recipe_file import (
    differences,
    read_recipe,
    read_run,
    read_run_recipe,
    recipe_from,
)


def possible(*, first_threshold, **values):
    """A recipe; what goes with no sequential strategy is left out there."""
    if values["strategy"] == "sequential":
        return Recipe(**values)
    return Recipe(first_threshold=first_threshold, **values)


OPEN = ("threshold", "first_threshold", "anchor", "hold_out")
"""Shares that may be left open."""

recipes = st.builds(
    possible,
    **{name: st.integers(least, 10**6) for name, least in AT_LEAST.items()},
    **{name: st.floats(0, 1) for name in SHARES if name not in OPEN},
    **{name: st.floats(1e-12, 1e3) for name in ABOVE_ZERO},
    **{name: st.sampled_from(choices) for name, choices in CHOICES.items()},
    **{name: st.none() | st.floats(0, 1) for name in OPEN},
    supervised=st.booleans(),
    seed=st.integers(-(2**63), 2**63 - 1),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(recipe=recipes)
def test_a_recipe_survives_yaml(recipe):
    text = yaml.safe_dump(asdict(recipe))
    assert recipe_from(yaml.safe_load(text), Recipe, where="there") == recipe


def test_a_recipe_is_read_from_a_file_and_the_rest_stays_default(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("delta: 5\nlearning_rate: 1e-3\nthreshold: 1\nsupervised: true\n")
    expected = Recipe(delta=5, learning_rate=1e-3, threshold=1.0, supervised=True)
    assert read_recipe(path, Recipe) == expected


@pytest.mark.parametrize("written", ["2e-4", "2.0e-4", "0.0002", "'2e-4'"])
def test_numbers_may_be_written_as_people_write_them(tmp_path, written):
    path = tmp_path / "my.yaml"
    path.write_text(f"learning_rate: {written}\n")
    assert read_recipe(path, Recipe).learning_rate == 2e-4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("detla: 5", "no such field 'detla'"),
        ("delta: five", "delta is 'five'"),
        ("delta: 1.5", "delta is 1.5"),
        ("delta: true", "delta is True"),
        ("delta:", "delta is None"),
        ("delta: [1]", r"delta is \[1\]"),
        ("learning_rate: fast", "learning_rate is 'fast'"),
        ("learning_rate: nan", "learning_rate is nan"),
        ("supervised: 1", "supervised is 1"),
        ("strategy: 3", "strategy is 3"),
        ("7: 7", "no such field 7"),
        ("refs: 0", "refs is 0"),
        ("strategy: best", "strategy is 'best'"),
    ],
)
def test_what_is_wrong_is_told_by_file_and_field(tmp_path, line, said):
    path = tmp_path / "my.yaml"
    path.write_text(f"steps: 10\n{line}\n")
    with pytest.raises(UserError, match=rf"my\.yaml: {said}"):
        read_recipe(path, Recipe)


def test_a_wrong_kind_is_answered_with_the_right_one():
    with pytest.raises(UserError) as told:
        recipe_from({"delta": "five"}, Recipe, where="there")
    assert told.value.fix == "it must be of type int"


@pytest.mark.parametrize(
    "content",
    [b"- 1\n- 2\n", b"", b"just words", b"a: [1\n", b"\xff\xfe", b"a: !!python/name:os.system"],
)
def test_a_file_that_is_no_recipe_is_told(tmp_path, content):
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"my\.yaml"):
        read_recipe(path, Recipe)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*missing\.yaml"):
        read_recipe(tmp_path / "missing.yaml", Recipe)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *[(name, least - 1) for name, least in AT_LEAST.items()],
        *[(name, value) for name in SHARES for value in (-0.01, 1.01, math.nan)],
        *[(name, value) for name in ABOVE_ZERO for value in (0.0, -1.0, math.nan)],
        *[(name, "other") for name in CHOICES],
        ("seed", 2**63),
    ],
)
def test_values_out_of_bounds_are_told_by_field(field, wrong):
    with pytest.raises(UserError, match=f"{field} is {wrong!r}"):
        replace(Recipe(), **{field: wrong})


@pytest.mark.parametrize(
    ("field", "least"),
    [*AT_LEAST.items(), *[(name, 0.0) for name in SHARES], *[(name, 1.0) for name in SHARES]],
)
def test_values_at_their_bounds_are_taken(field, least):
    assert getattr(replace(Recipe(), **{field: least}), field) == least


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().delta = 2


def write_run(run, recipe):
    run.mkdir()
    told = {"recipe": asdict(recipe), "data": {"folder": "x"}, "versions": {"bluref": "0"}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(told))
    return told


def test_a_run_gives_its_recipe_back(tmp_path):
    recipe = Recipe(delta=3, threshold=0.25, learning_rate=3e-5)
    told = write_run(tmp_path / "run", recipe)
    # What was not told yet by earlier versions is empty.
    assert read_run(tmp_path / "run") == told | {"processes": {}, "files": {}}
    assert read_run_recipe(tmp_path / "run", Recipe) == recipe


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["", "recipe: 1", "recipe: {}\ndata: {}", "a: [", "[1, 2]"])
def test_a_damaged_recipe_of_a_run_is_told(tmp_path, content):
    (tmp_path / "recipe.yaml").write_text(content)
    with pytest.raises(UserError, match=r"recipe\.yaml is damaged"):
        read_run(tmp_path)


def test_differences_are_lines_for_a_person():
    old, new = asdict(Recipe()), asdict(Recipe(delta=3, strategy="average"))
    assert differences(old, new) == ["delta: 1 -> 3", "strategy: robust -> average"]
    assert differences(old, old) == []
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 -> None", "b: None -> 2"]


def test_every_field_is_explained_and_checked():
    checked = {*AT_LEAST, *SHARES, *ABOVE_ZERO, *CHOICES, "seed"}
    names = {field.name for field in fields(Recipe)}
    assert checked <= names
    # True or false, which its type says; and what only the rooms of the networks can judge.
    targets = {"even", "refine", "sharper", "keep_sharp", "local_pooling"}
    switches = targets | {"supervised", "pairs", "compile", "weighted"}
    plain = switches | {"matcher", "init"}
    assert names - checked == plain


def test_the_choices_are_those_of_the_library():
    assert set(CHOICES["layout"]) == set(layouts.LAYOUTS)
    assert set(CHOICES["split"]) == set(split.SPLITS)
    assert set(CHOICES["choice"]) == set(references.CHOICES)
    assert set(CHOICES["backbone"]) == set(BACKBONES)
    assert set(CHOICES["strategy"]) == set(STRATEGIES)


@pytest.mark.parametrize("name", ["matcher-compact", "matcher-paper-1", "matcher-paper-2"])
def test_the_recipes_of_the_package_are_read_by_name(name):
    recipe = read_recipe(Path(name), MatcherRecipe)
    assert recipe.network == ("compact" if name.endswith("compact") else "pdcnet-plus")


@pytest.mark.parametrize("name", ["paper-gopro", "paper-rb2v", "paper-phonecraft"])
def test_the_papers_recipes_say_what_is_printed(name):
    recipe = read_recipe(Path(name), Recipe)
    assert recipe.layout == name.removeprefix("paper-")
    assert (recipe.refs, recipe.threshold, recipe.strategy) == (6, 0.7, "progressive")
    assert (recipe.backbone, recipe.crop, recipe.steps) == ("nafnet-w64", 256, 400_000)
    assert (recipe.learning_rate, recipe.final_rate) == (2e-4, 1e-6)
    # Learnt from the blurry frames and what matching makes of them, from nothing else.
    assert (recipe.warm_start, recipe.anchor, recipe.gate, recipe.reblur) == (0, 0.0, 0.0, 0.0)
    assert recipe.choice == ("random" if name.endswith("phonecraft") else "near")
    # Every frame, to the last step, by matches as they are found.
    assert (recipe.most, recipe.hold_out, recipe.patience) == (0, 0.0, 0)
    assert (recipe.matcher, recipe.refine, recipe.even) == ("compact-plain", False, False)
    assert (recipe.sharper, recipe.weighted) == (False, False)  # M of Sec. 3.4 is binary
    assert (recipe.keep_sharp, recipe.ramp, recipe.refresh_every) == (False, 0, 10_000)


@pytest.mark.parametrize("name", ["paper-gopro", "paper-rb2v", "paper-phonecraft"])
def test_the_papers_recipes_leave_nothing_to_our_defaults(name):
    """But for what plays no part in them, or changes no result."""
    told = yaml.safe_load((resources.files("bluref") / "recipes" / f"{name}.yaml").read_text())
    unused = {"init", "blur", "still", "exposure", "first_threshold", "validate_every", "delta"}
    kinds = {"supervised", "pairs", "split"}
    machine = {"seed", "compile", "precision", "log_every"}
    assert {field.name for field in fields(Recipe)} - told.keys() <= unused | kinds | machine
    if not name.endswith("phonecraft"):  # whose clips say which frames are sharp; no Delta either
        assert {"delta", "split"} <= told.keys()


def test_an_unknown_name_lists_the_recipes_there_are():
    with pytest.raises(UserError, match="no recipe file 'nothing'") as caught:
        read_recipe(Path("nothing"), MatcherRecipe)
    assert "matcher-compact" in caught.value.fix


def test_a_matchers_recipe_survives_yaml():
    recipe = MatcherRecipe(strength=(0.1, 1.0), init="somewhere", blur=False)
    text = yaml.safe_dump(asdict(recipe))
    assert recipe_from(yaml.safe_load(text), MatcherRecipe, where="there") == recipe


def test_a_threshold_that_changes_does_not_go_with_matching_by_it():
    with pytest.raises(UserError, match="first_threshold"):
        Recipe(strategy="sequential", first_threshold=0.9)
    assert Recipe(strategy="sequential").first_threshold is None
