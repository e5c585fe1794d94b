"""Rows and shares, against numbers worked out by hand."""

import statistics

import pytest

from bluref.train.recipe import Recipe
from bluref.train.studies.study_grid import BLUREF, Run
from bluref.train.studies.study_results import ROW, Measured, Result, at_the_end, row, shares


def result(psnr, kind=BLUREF, train_psnr=None, failed="", **recipe):
    """Of a data set whose input has 20 dB on the test scenes and 10 dB on training frames."""
    method = recipe.get("strategy", "robust") if kind == BLUREF else kind
    run = Run(f"{method}-{len(recipe)}", kind, method, Recipe(**recipe))
    if failed:
        return Result(run, None, failed)
    train_psnr = psnr - 10 if train_psnr is None else train_psnr
    network = {"input_psnr_test": 20.0, "input_psnr_train_frames": 10.0, "hours": 0.5}
    return Result(run, Measured(psnr, 0.9, 0.95, train_psnr, **network))


def test_shares_are_as_worked_out_by_hand():
    results = [
        result(23.0, train_psnr=12.0, seed=0),
        result(24.0, train_psnr=13.0, seed=1),
        result(24.5, "supervised", train_psnr=14.0, seed=0, supervised=True),
        result(25.5, "supervised", train_psnr=16.0, seed=1, supervised=True),
    ]
    (share,) = shares(results)
    # Supervised: 25 dB and 15 dB on average, so that 5 dB are to be gained either way.
    assert share.told() == {
        "method": "robust",
        "strategy": "robust",
        "delta": 1,
        "refs": 6,
        "backbone": "small",
        "seeds": 2,
        "share": pytest.approx((0.6 + 0.8) / 2),
        "spread": pytest.approx(0.2 / 2**0.5),
        "share_train_frames": pytest.approx((0.4 + 0.6) / 2),
        "spread_train_frames": pytest.approx(statistics.stdev([0.4, 0.6])),
        "psnr_test": 23.5,
        "psnr_test_spread": pytest.approx(0.5**0.5),
        "psnr_train_frames": 12.5,
        "psnr_train_frames_spread": pytest.approx(0.5**0.5),
        "hours": 0.5,
    }


def test_a_variant_of_true_pairs_is_a_bound_and_has_no_share():
    pairs = result(25.0, supervised=True)
    (share,) = shares([result(23.0), pairs])
    assert share.test.values == pytest.approx((0.6,))
    told = row(pairs)
    assert told["method"] == "robust"  # as the study names it
    assert told["strategy"] is told["delta"] is told["refs"] is None


def test_true_pairs_with_frames_blurred_here_beside_them_are_no_bound():
    results = [
        result(24.0, "supervised", supervised=True),
        result(25.0, supervised=True, anchor=0.5),
    ]
    (share,) = shares(results)
    assert share.test.values == pytest.approx((1.25,))


def test_one_seed_has_no_spread():
    (share,) = shares([result(23.0), result(24.0, "supervised")])
    assert share.told()["share"] == pytest.approx(0.75)
    assert share.told()["spread"] is None


def test_without_a_supervised_run_there_is_no_share():
    for others in ([], [result(0, "supervised", failed="no disk")]):
        (share,) = shares([result(23.0), *others])
        told = share.told()
        assert told["seeds"] == 1
        assert told["psnr_test"] == 23.0
        assert told["share"] is told["spread"] is told["share_train_frames"] is None


def test_where_pairs_gain_nothing_there_is_no_share():
    (share,) = shares([result(23.0), result(20.0, "supervised", train_psnr=11.0)])
    assert share.test.values == ()
    assert share.train_frames.values == pytest.approx((3.0,))


def test_a_run_worse_than_its_input_has_a_negative_share():
    (share,) = shares([result(19.0), result(22.0, "supervised")])
    assert share.test.mean == pytest.approx(-0.5)


def test_a_run_is_compared_with_the_bound_of_its_own_network():
    results = [
        result(21.0, backbone="small"),
        result(21.0, backbone="light"),
        result(22.0, "supervised", backbone="small"),
        result(24.0, "supervised", backbone="light"),
    ]
    assert [share.test.mean for share in shares(results)] == pytest.approx([0.5, 0.25])


def test_delta_n_and_strategy_each_have_a_share():
    results = [
        *(result(21.0, delta=delta, refs=refs) for delta in (1, 5) for refs in (4, 6)),
        result(21.0, strategy="average"),
        result(20.5, "warm-start", warm_start=5000),
        result(22.0, "supervised"),
        result(20.0, "identity"),
        result(15.0, "copy-neighbour"),
    ]
    told = [share.told() for share in shares(results)]
    assert [(t["method"], t["delta"], t["refs"]) for t in told] == [
        ("robust", 1, 4), ("robust", 1, 6), ("robust", 5, 4), ("robust", 5, 6),
        ("average", 1, 6), ("warm-start", None, None),
    ]  # fmt: skip


def test_students_of_different_targets_are_not_seeds_of_one():
    taught = [
        Result(
            Run(f"s{delta}", BLUREF, "s", Recipe(pairs=True), "t", Recipe(delta=delta, refs=4)),
            Measured(21.0, 0.9, 0.95, 11.0, 20.0, 10.0),
        )
        for delta in (1, 5)
    ]
    assert [row(r)["delta"] for r in taught] == [1, 5]
    assert {row(r)["refs"] for r in taught} == {4}
    found = shares([*taught, result(22.0, kind="supervised")])
    assert [(share.delta, share.test.values) for share in found] == [(1, (0.5,)), (5, (0.5,))]


def test_a_failed_seed_is_left_out():
    (share,) = shares(
        [result(23.0), result(0, failed="no disk", seed=1), result(24.0, "supervised")]
    )
    assert share.test.values == pytest.approx((0.75,))


def test_a_row_has_the_columns_that_machines_expect():
    told = row(result(23.0, delta=5, seed=2))
    assert tuple(told) == ROW
    assert told["delta"] == 5
    assert told["seed"] == 2
    assert told["steps"] == Recipe().steps
    assert told["psnr_train_frames"] == 13.0
    assert told["hours"] == 0.5


def test_a_choice_that_plays_no_part_is_none():
    assert row(result(20.0, "identity"))["backbone"] is None
    assert row(result(20.0, "copy-neighbour"))["delta"] == 1
    supervised = row(result(20.0, "supervised"))
    assert supervised["backbone"] == "small"
    assert supervised["strategy"] is supervised["delta"] is supervised["refs"] is None


def test_a_failed_run_says_why():
    told = row(result(0, failed="no disk"))
    assert told["failed"] == "no disk"
    assert told["psnr_test"] is None


def metrics(phases_and_values):
    return [
        {"step": str(step), "phase": phase, "x": value}
        for step, (phase, value) in enumerate(phases_and_values)
    ]


def test_the_end_is_the_last_tenth_of_the_rows():
    rows = metrics([("pseudo", "1")] * 18 + [("pseudo", "3"), ("pseudo", "6")])
    assert at_the_end(rows, "x") == 4.5
    assert at_the_end(rows[:11], "x") == 1
    assert at_the_end(rows[-1:], "x") == 6


def test_there_is_no_end_where_no_target_taught():
    assert at_the_end([], "x") is None
    assert at_the_end(metrics([("warm", "1")]), "x") is None
    assert at_the_end(metrics([("pseudo", "")]), "x") is None
    assert at_the_end(metrics([("pseudo", "nan")]), "x") is None
    assert at_the_end(metrics([("pseudo", "1")]), "y") is None
