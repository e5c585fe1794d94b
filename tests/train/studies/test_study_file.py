"""Studies as files, read and checked."""

from pathlib import Path

import pytest

from bluref.errors import UserError
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_recipe
from bluref.train.studies.study_file import packaged_studies, read_study

PAPER = {"table-1", "table-2", "table-5", "table-6", "fig-7"}


def written(folder, text):
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


# Not chosen by memory: rows could not be compared, and a run would not be known again.
SIZED = {"batch": 8, "crop": 128}


def test_a_file_gives_recipe_grid_and_rows(tmp_path):
    text = (
        "data: footage\nrecipe: {steps: 7, learning_rate: 1e-3}\ngrid: {delta: [1, 5]}\n"
        "rows: [supervised, identity]\nevery_test: 2\n"
    )
    study = read_study(written(tmp_path, text))
    assert study.data == tmp_path / "footage"
    assert study.recipe == Recipe(steps=7, learning_rate=1e-3, **SIZED)
    assert study.grid == {"delta": (1, 5)}
    assert study.rows == ("identity", "supervised")
    assert (study.every_test, study.every_train) == (2, 1)


def test_an_empty_study_is_one_run_of_the_default_recipe(tmp_path):
    study = read_study(written(tmp_path, "{}"), data=Path("there"))
    assert study.recipe == study.base == Recipe(**SIZED)
    assert study.data == Path("there")


def test_a_base_is_a_recipe_of_the_package_or_a_file_beside_the_study(tmp_path):
    (tmp_path / "own.yaml").write_text("steps: 3\ncrop: 64\n")
    text = "data: d\nrecipe: {base: own.yaml, steps: 4}"
    assert read_study(written(tmp_path, text)).recipe == Recipe(steps=4, batch=8, crop=64)
    paper = read_study(written(tmp_path, "data: d\nrecipe: {base: paper-gopro}")).recipe
    assert paper.steps == 400_000


def test_the_command_lines_base_wins_over_the_files(tmp_path):
    (tmp_path / "other.yaml").write_text("crop: 96\n")
    file = written(tmp_path, "data: d\nrecipe: {base: paper-gopro, steps: 4}")
    study = read_study(file, base=tmp_path / "other.yaml")
    assert study.recipe == Recipe(batch=8, crop=96, steps=4)


def test_the_base_of_the_rows_is_the_first_combination(tmp_path):
    text = "data: d\nrecipe: {steps: 7}\ngrid: {delta: [5, 1], seed: [3, 4]}"
    study = read_study(written(tmp_path, text))
    assert study.base == Recipe(steps=7, delta=5, seed=3, **SIZED)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1, 2]", "is not a study"),
        ("a: [", "cannot be read as YAML"),
        ("data: d\ngird: {}", "no such key 'gird'"),
        ("grid: {}", "names no data set"),
        ("data: 3", "data is 3"),
        ("data: d\ngrid: [1]", r"grid is \[1\]"),
        ("data: d\nrecipe: 3", "recipe is 3"),
        ("data: d\nrecipe: {stepps: 3}", "recipe: no such field 'stepps'"),
        ("data: d\nrecipe: {steps: 0}", "recipe: steps is 0"),
        ("data: d\nrecipe: {base: 3}", "base is 3"),
        ("data: d\nrecipe: {base: nothing}", "no recipe file 'nothing'"),
        ("data: d\ngrid: {delta: 1}", "grid: delta is 1"),
        ("data: d\ngrid: {delta: []}", r"grid: delta is \[\]"),
        ("data: d\ngrid: {delta: [0]}", "grid: delta is 0"),
        ("data: d\ngrid: {delta: [1, 1]}", "grid: delta holds a value twice"),
        ("data: d\ngrid: {detla: [1]}", "grid: no such field 'detla'"),
        ("data: d\ngrid: {strategy: [best]}", "grid: strategy is 'best'"),
        ("data: d\nrows: supervised", "rows is 'supervised'"),
        ("data: d\nrows: [best]", "no such row 'best'"),
        ("data: d\nrows: 3", "rows is 3"),
        ("data: d\nvariants: {}", "variants is {}"),
        ("data: d\nvariants: [{steps: 3}]", "has no name"),
        ("data: d\nvariants: [{name: identity}]", "bears the name of a row"),
        ("data: d\nvariants: [{name: a}, {name: a}]", "two variants bear one name"),
        ("data: d\nvariants: [{name: a, stepps: 3}]", "variant a: no such field 'stepps'"),
        ("data: d\nvariants: [{name: a, steps: []}]", r"variant a: steps is \[\]"),
        ("data: d\ngrid: {delta: [1]}\nvariants: [{name: a, delta: 2}]", "varied by the grid"),
        ("data: d\nevery_test: 0", "every_test is 0"),
        ("data: d\nevery_train: yes", "every_train is True"),
    ],
)
def test_a_mistake_is_told_with_file_and_field(text, told, tmp_path):
    file = written(tmp_path, text)
    with pytest.raises(UserError, match=told) as caught:
        read_study(file)
    assert str(file) in caught.value.problem or "nothing" in text
    assert caught.value.fix


def test_a_file_that_is_not_there_is_told(tmp_path):
    for read in (read_study, lambda path: read_recipe(path, Recipe)):
        with pytest.raises(UserError, match=r"cannot read .*none\.yaml: no such file") as caught:
            read(tmp_path / "none.yaml")
        assert caught.value.fix == "check the path"


def test_an_unknown_name_lists_the_studies_there_are():
    with pytest.raises(UserError, match="no study 'table-9'") as caught:
        read_study(Path("table-9"))
    assert "table-1-small" in caught.value.fix


def test_the_papers_tables_are_shipped_at_two_scales():
    assert set(packaged_studies()) >= PAPER | {f"{name}-small" for name in PAPER}


@pytest.mark.parametrize("name", sorted(packaged_studies()))
def test_a_shipped_study_can_be_read(name):
    study = read_study(Path(name), data=Path("there"))
    assert study.recipe.steps == (400_000 if name in PAPER else study.recipe.steps)
    if name.endswith("-small"):
        assert study.recipe.steps <= 2400
        assert study.base.backbone == "small"
