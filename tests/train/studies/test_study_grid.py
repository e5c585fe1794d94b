"""From a study to its runs."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.errors import UserError
from bluref.train.recipe import Recipe
from bluref.train.studies.study_file import ROWS, Study, Variant, packaged_studies, read_study
from bluref.train.studies.study_grid import BLUREF, expand


def study(grid=None, variants=None, rows=(), **recipe):
    return Study(
        file=Path("mine.yaml"),
        data=Path("data"),
        recipe=Recipe(**recipe),
        grid=grid or {},
        variants=variants or (Variant("", {}, {}),),
        rows=tuple(rows),
    )


GRIDS = st.fixed_dictionaries(
    {},
    optional={
        "strategy": st.permutations(["average", "robust", "sequential"]).map(tuple),
        "delta": st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(tuple),
        "refs": st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True).map(tuple),
        "anchor": st.lists(st.floats(0, 1), min_size=1, max_size=3, unique=True).map(tuple),
        "seed": st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(tuple),
    },
)


@pytest.mark.slow
@settings(max_examples=50, deadline=None, database=None)
@given(grid=GRIDS, rows=st.sets(st.sampled_from(ROWS)))
def test_every_combination_is_a_run_of_its_own(grid, rows):
    runs = expand(study(grid, rows=[row for row in ROWS if row in rows]))
    own = [run.recipe for run in runs if run.kind == BLUREF]
    count = 1
    for values in grid.values():
        count *= len(values)
    assert len(own) == len(set(own)) == count
    assert len({run.name.casefold() for run in runs}) == len(runs)
    seeds = len(grid.get("seed", (0,)))
    copies = len(grid.get("delta", (1,))) * len(grid.get("refs", (6,)))
    expected = dict(zip(ROWS, (1, copies, seeds, seeds), strict=True))
    for row in ROWS:
        assert sum(run.kind == row for run in runs) == (expected[row] if row in rows else 0)


def test_the_order_of_the_fields_in_the_file_changes_nothing():
    grid = {"seed": (0, 1), "delta": (1, 5), "strategy": ("average", "robust")}
    backwards = dict(reversed(grid.items()))
    assert expand(study(grid, rows=ROWS)) == expand(study(backwards, rows=ROWS))


def test_seeds_stand_side_by_side_and_the_bounds_around():
    runs = expand(study({"seed": (0, 1), "strategy": ("average", "robust")}, rows=ROWS))
    assert [run.name for run in runs] == [
        "identity",
        "copy-neighbour-d1-n6",
        "warm-start-small-s0",
        "warm-start-small-s1",
        "average-d1-n6-small-s0",
        "average-d1-n6-small-s1",
        "robust-d1-n6-small-s0",
        "robust-d1-n6-small-s1",
        "supervised-small-s0",
        "supervised-small-s1",
    ]


def test_a_name_stays_when_the_study_grows_by_a_field():
    before = expand(study({"delta": (1, 5)}, rows=["supervised"]))
    after = expand(study({"delta": (1, 5), "anchor": (Recipe().anchor, 0.1)}, rows=["supervised"]))
    assert {(run.name, run.recipe) for run in before} < {(run.name, run.recipe) for run in after}
    assert "robust-anchor_0.1-d1-n6-small-s0" in {run.name for run in after}
    assert "robust, anchor 0.1" in {run.method for run in after}


def test_bounds_differ_from_a_run_only_in_what_they_are():
    grid = {"backbone": ("small", "light"), "strategy": ("average", "robust"), "delta": (5, 10)}
    runs = {run.name: run.recipe for run in expand(study(grid, rows=ROWS, steps=70))}
    first = Recipe(steps=70, backbone="small", strategy="average", delta=5)
    assert runs["supervised-small-s0"] == replace(first, supervised=True)
    assert runs["warm-start-light-s0"] == replace(first, backbone="light", warm_start=70)


@pytest.mark.parametrize(("share", "kept"), [(None, None), (0.0, 0.0), (0.2, None)])
def test_nothing_is_held_back_from_what_has_a_truth(share, kept):
    (*_, bound) = expand(study(rows=("supervised",), hold_out=share))
    assert bound.recipe.hold_out == kept


@pytest.mark.parametrize(("share", "kept"), [(None, None), (0.0, 0.0), (0.5, None)])
def test_the_bound_is_pairs_alone(share, kept):
    (*_, bound) = expand(study(rows=("supervised",), anchor=share))
    assert bound.recipe.anchor == kept


def test_a_run_of_other_crops_or_steps_has_a_bound_of_its_own():
    runs = expand(study({"crop": (64, 128), "anchor": (0.0, 0.25)}, rows=["supervised"]))
    bounds = [run for run in runs if run.kind == "supervised"]
    assert [(run.name, run.recipe.crop) for run in bounds] == [
        ("supervised-crop_64-small-s0", 64),
        ("supervised-crop_128-small-s0", 128),
    ]


def test_a_run_on_fewer_frames_has_bounds_of_its_own():
    runs = expand(study({"most": (0, 3)}, rows=ROWS))
    for kind in ROWS:
        assert [run.recipe.most for run in runs if run.kind == kind] == [0, 3]


def test_variants_are_multiplied_with_the_grid():
    variants = (
        Variant("old way", {"strategy": "average"}, {}),
        Variant("ours", {"anchor": 0.5}, {"delta": (1, 5)}),
    )
    runs = expand(study({"seed": (0, 1)}, variants))
    assert [(r.name, r.method) for r in runs] == [
        ("old_way-d1-n6-small-s0", "old way"),
        ("old_way-d1-n6-small-s1", "old way"),
        ("ours-d1-n6-small-s0", "ours"),
        ("ours-d1-n6-small-s1", "ours"),
        ("ours-d5-n6-small-s0", "ours"),
        ("ours-d5-n6-small-s1", "ours"),
    ]
    assert runs[2].recipe == Recipe(anchor=0.5)


def test_the_strategy_is_told_where_a_variant_comes_with_several():
    runs = expand(study({"strategy": ("average", "robust")}, (Variant("x", {}, {}),)))
    assert [run.method for run in runs] == ["x, average", "x, robust"]


def test_a_path_as_a_value_is_no_path_in_the_name_of_a_folder():
    runs = expand(study({"matcher": ("compact", "../my matchers/one")}))
    assert runs[1].name == "robust-matcher___my_matchers_one-d1-n6-small-s0"


@pytest.mark.parametrize(
    "variants",
    [
        (Variant("a", {}, {}), Variant("b", {}, {})),
        (Variant("a b", {}, {}), Variant("a_b", {"crop": 64}, {})),
        (Variant("a", {}, {}), Variant("A", {"crop": 64}, {})),
    ],
)
def test_two_runs_of_one_recipe_or_one_folder_are_refused(variants):
    with pytest.raises(UserError, match=r"mine\.yaml: .* are the same run"):
        expand(study({}, variants))


def test_a_study_of_too_many_runs_is_taken_for_a_mistake():
    with pytest.raises(UserError, match="asks for 1001 runs"):
        expand(study({"seed": tuple(range(1001))}))


@pytest.mark.parametrize("name", sorted(packaged_studies()))
def test_a_shipped_study_expands(name):
    runs = expand(read_study(Path(name), data=Path("there")))
    assert 3 <= len(runs) <= 30
    kinds = {run.kind for run in runs}
    assert "identity" in kinds
    assert "supervised" in kinds or name.startswith("fig")


# Of each table of the paper: strategies, distances, numbers of references and networks, each with
# each; and how many of its runs learn from the pairs of another one.
PAPER = {
    "table-2": (["progressive"], [1], [4, 6, 8, 10], ["nafnet-w64"], 0),
    "table-5": (["progressive"], [10], [6], ["nafnet-w64"], 0),
    "table-6": (["progressive"], [10], [6], ["nafnet-w64"], 1),
    "fig-7": (["progressive"], [1, 10, 20], [6], ["nafnet-w64"], 0),
}


@pytest.mark.parametrize("name", sorted(PAPER))
def test_the_tables_of_the_paper_have_its_rows(name):
    *fields, students = PAPER[name]
    runs = [r for r in expand(read_study(Path(name), data=Path("there"))) if r.kind == BLUREF]
    asked = {
        (r.recipe.strategy, r.recipe.delta, r.recipe.refs, r.recipe.backbone)
        for r in runs
        if not r.pairs_of
    }
    assert asked == set(product(*fields))
    assert sum(bool(run.pairs_of) for run in runs) == students
    assert {run.recipe.steps for run in runs} == {400_000}


def test_table_1_has_the_papers_rows():
    runs = expand(read_study(Path("table-1"), data=Path("there")))
    strategies = ("average", "sequential", "progressive")
    networks = [*(("nafnet-w64", name) for name in strategies), ("restormer", "progressive")]
    assert {
        (r.recipe.backbone, r.recipe.strategy, r.recipe.delta, r.recipe.refs)
        for r in runs
        if r.kind == BLUREF
    } == {(*network, delta, 6) for network, delta in product(networks, (1, 10, 20))}
    assert {r.recipe.backbone for r in runs if r.kind == "supervised"} == {
        "nafnet-w64",
        "restormer",
    }


def test_a_student_learns_from_the_run_with_its_seed(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "data: .\nrecipe: {backbone: small}\ngrid: {seed: [0, 1], delta: [1, 5]}\nvariants:\n"
        "- {name: teacher}\n- {name: student, pairs_of: teacher, backbone: light}\n"
        "rows: [supervised]\n"
    )
    runs = expand(read_study(tmp_path / "mine.yaml"))
    taught = {run.name: run.pairs_of for run in runs if run.pairs_of}
    assert taught == {
        f"student-d{d}-n6-light-s{s}": f"teacher-d{d}-n6-small-s{s}" for d in (1, 5) for s in (0, 1)
    }
    assert {run.recipe.pairs for run in runs if run.pairs_of} == {True}
    assert all(run.teacher.delta == run.recipe.delta for run in runs if run.pairs_of)
    assert not any(run.recipe.pairs for run in runs if not run.pairs_of)
    places = [run.name for run in runs]
    assert all(places.index(taught[name]) < places.index(name) for name in taught)


@pytest.mark.parametrize(
    ("variants", "complaint"),
    [
        ("[{name: s, pairs_of: t}, {name: t}]", "pairs_of names 't'"),
        ("[{name: t}, {name: s, pairs_of: x}]", "pairs_of names 'x'"),
        ("[{name: t}, {name: s, pairs_of: t}, {name: u, pairs_of: s}]", "pairs_of names 's'"),
        ("[{name: t, supervised: true}, {name: s, pairs_of: t}]", "pairs_of names 't'"),
        ("[{name: t}, {name: s, pairs_of: [t]}]", "pairs_of is"),
        ("[{name: t, refs: [2, 4]}, {name: s, pairs_of: t}]", "the pairs of 2 runs"),
    ],
)
def test_pairs_of_nobody_are_refused(tmp_path, variants, complaint):
    (tmp_path / "mine.yaml").write_text(f"data: .\ngrid: {{seed: [0]}}\nvariants: {variants}\n")
    with pytest.raises(UserError, match=complaint):
        expand(read_study(tmp_path / "mine.yaml"))
