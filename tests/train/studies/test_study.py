"""A study carried out, interrupted, and gone on with."""

import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
import yaml
from tests.train.studies.conftest import FakeJudge

from bluref.errors import UserError
from bluref.restore.files import save_network
from bluref.restore.networks.backbones import build_backbone
from bluref.train.studies import study as module
from bluref.train.studies.study import StudyObserver, run_study
from bluref.train.studies.study_file import Study
from bluref.train.studies.study_results import row

NAMES = [
    f"{name}-s{seed}" for name in ("robust-d2-n6-small", "supervised-small") for seed in (0, 1)
]


def test_every_run_is_trained_once_and_has_a_row(training, study, tmp_path):
    done = run_study(study, tmp_path / "study")
    assert done.finished
    assert training.calls == [(name, False) for name in NAMES]
    rows = [row(result) for result in done.results]
    assert [r["method"] for r in rows] == [
        "identity", "copy-neighbour", "robust", "robust", "supervised", "supervised",
    ]  # fmt: skip
    assert [r["seed"] for r in rows] == [None, None, 0, 1, 0, 1]
    assert [r["psnr_test"] for r in rows] == [20.5, 17, 20.5, 21.5, 20.5, 21.5]
    assert rows[2]["target_psnr"] == 26.5
    assert rows[2]["coverage"] == 0.5
    assert rows[2]["hours"] == 0.5
    assert rows[0]["hours"] is rows[0]["steps"] is None


def test_networks_are_trained_and_judged_where_one_says(training, study, tmp_path):
    run_study(study, tmp_path / "study", device="meta")
    assert training.devices == {"meta"}
    with pytest.raises(UserError, match="nowhere"):
        run_study(study, tmp_path / "other", device="nowhere")


def test_two_processes_do_not_share_a_study(training, study, tmp_path, monkeypatch):
    def train(*arguments, **options):
        with pytest.raises(UserError, match="another process"):
            run_study(study, tmp_path / "study")
        return training(*arguments, **options)

    monkeypatch.setattr(module, "train", train)
    assert run_study(study, tmp_path / "study").finished


def test_a_study_under_a_launcher_is_refused(training, study, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="by one process"):
        run_study(study, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_study_that_died_before_its_first_run_can_begin(training, study, tmp_path):
    (tmp_path / ".lock").touch()
    assert run_study(study, tmp_path).finished


def test_a_finished_study_does_nothing_again_and_tells_the_same(training, study, tmp_path):
    first = run_study(study, tmp_path / "study")
    training.calls.clear()
    assert run_study(study, tmp_path / "study") == first
    assert training.calls == []


def test_an_interrupted_study_goes_on_where_it_was(training, study, tmp_path):
    training.stops = {NAMES[1]}
    done = run_study(study, tmp_path / "study")
    assert not done.finished
    assert [result.run.name for result in done.results][2:] == NAMES[:1]
    training.stops, training.calls = set(), []
    assert run_study(study, tmp_path / "study").finished
    assert training.calls == [(NAMES[1], True), (NAMES[2], False), (NAMES[3], False)]


def test_a_run_that_fails_is_reported_and_the_rest_goes_on(training, study, tmp_path):
    training.fails = {NAMES[0]}
    done = run_study(study, tmp_path / "study")
    assert done.finished
    assert len(training.calls) == 4
    (failed,) = done.failed
    assert failed.run.name == NAMES[0]
    assert row(failed)["failed"] == "the disk is full; free some space"
    training.fails, training.calls = set(), []
    assert run_study(study, tmp_path / "study").failed == []
    assert training.calls == [(NAMES[0], True)]


def test_an_interrupt_while_judging_stops_the_study_in_order(
    training, study, tmp_path, monkeypatch
):
    def impatient(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FakeJudge, "network", impatient)
        done = run_study(replace(study, rows=()), tmp_path / "study")
    assert not done.finished
    assert training.calls == [(NAMES[0], False)]
    assert run_study(replace(study, rows=()), tmp_path / "study").finished


def test_an_interrupt_while_pictures_are_drawn_stops_it_with_the_figures(training, study, tmp_path):
    class Impatient(StudyObserver):
        def on_judged(self, place, parts):
            raise KeyboardInterrupt

    @contextmanager
    def watch():
        yield Impatient()

    done = run_study(replace(study, rows=()), tmp_path / "study", watch=watch)
    assert not done.finished
    assert [result.run.name for result in done.results] == NAMES[:1]
    assert training.calls == [(NAMES[0], False)]


def test_what_is_known_stays_in_the_table_while_an_earlier_run_is_done_again(
    training, study, tmp_path
):
    run_study(study, tmp_path / "study")
    (tmp_path / "study" / "runs" / NAMES[0] / "result.json").unlink()
    training.stops = {NAMES[0]}
    done = run_study(study, tmp_path / "study")
    assert not done.finished
    assert NAMES[0] not in {result.run.name for result in done.results}
    assert {*NAMES[1:]} < {result.run.name for result in done.results}


def test_a_run_that_failed_can_be_gone_on_with_by_itself(training, study, tmp_path):
    training.fails = {NAMES[1]}
    run_study(study, tmp_path / "study")
    assert {path.name for path in (tmp_path / "study" / "runs" / NAMES[1]).iterdir()} == {
        "recipe.yaml"
    }


def test_a_file_is_no_folder_of_a_study(training, study, tmp_path):
    (tmp_path / "study").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        run_study(study, tmp_path / "study")


def test_a_bug_in_training_is_not_hidden(training, study, tmp_path, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "train", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run_study(study, tmp_path / "study")


@pytest.mark.parametrize("finished", [True, False])
def test_another_recipe_for_a_run_that_was_begun_is_refused(training, study, tmp_path, finished):
    training.stops = set() if finished else {NAMES[0]}
    run_study(study, tmp_path / "study")
    training.calls.clear()
    other = replace(study, recipe=replace(study.recipe, ema=0.9))
    with pytest.raises(UserError, match=r"robust-d2-n6-small-s0 was .* \(ema: 0.999 -> 0.9\)"):
        run_study(other, tmp_path / "study")
    assert training.calls == []


def test_a_network_replaced_in_its_place_is_another_recipe(training, study, tmp_path):
    start = tmp_path / "start"
    save_network(build_backbone("light"), start, training_size=32, meta={})
    begun = replace(study, recipe=replace(study.recipe, init=str(start)))
    run_study(begun, tmp_path / "study")
    assert run_study(begun, tmp_path / "study").finished
    save_network(build_backbone("light"), start, training_size=32, meta={})  # drawn anew
    with pytest.raises(
        UserError, match=r"robust-d2-n6-small-s0 was .* \(init: another file of that name\)"
    ):
        run_study(begun, tmp_path / "study")


def test_frames_to_judge_on_that_have_changed_are_judged_anew(
    training, study, tmp_path, monkeypatch
):
    run_study(study, tmp_path / "study")
    training.calls.clear()
    monkeypatch.setattr(FakeJudge, "fingerprint", lambda self, recipe: "a scene more")
    run_study(study, tmp_path / "study")
    assert training.calls == [(name, True) for name in NAMES]


def test_judging_on_other_frames_trains_nothing_but_asks_each_run(training, study, tmp_path):
    before = run_study(study, tmp_path / "study")
    training.calls.clear()
    after = run_study(replace(study, every_test=1), tmp_path / "study")
    assert training.calls == [(name, True) for name in NAMES]
    assert after.results[0].measured.psnr_test != before.results[0].measured.psnr_test


def test_a_study_that_grows_trains_what_is_new(training, study, tmp_path):
    run_study(study, tmp_path / "study")
    training.calls.clear()
    assert run_study(replace(study, grid={"seed": (0, 1, 2)}), tmp_path / "study").finished
    assert training.calls == [("robust-d2-n6-small-s2", False), ("supervised-small-s2", False)]


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"format": 1, "measured": {}}'])
def test_a_damaged_result_is_measured_anew(training, study, tmp_path, damage):
    first = run_study(study, tmp_path / "study")
    file = tmp_path / "study" / "runs" / NAMES[0] / "result.json"
    file.write_text(damage)
    training.calls.clear()
    assert run_study(study, tmp_path / "study") == first
    assert training.calls == [(NAMES[0], True)]
    assert json.loads(file.read_text())["measured"]["psnr_test"] > 0


def test_a_result_that_cannot_be_written_leaves_none(training, study, tmp_path, monkeypatch):
    def full(path, text):
        raise UserError("the disk is full", "free some space")

    monkeypatch.setattr(module, "write_text_whole", full)
    done = run_study(study, tmp_path / "study")
    assert len(done.failed) == len(done.results)
    assert list((tmp_path / "study").rglob("result.json")) == []


def test_a_folder_of_something_else_is_left_alone(training, study, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds something else"):
        run_study(study, tmp_path)
    assert training.calls == []


def test_a_folder_of_runs_and_frames_that_no_study_made_is_left_alone(training, study, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "holiday.png").write_bytes(b"precious")
    with pytest.raises(UserError, match="holds something else"):
        run_study(study, tmp_path)
    assert (tmp_path / "frames" / "holiday.png").is_file()


def test_a_study_that_lost_its_hidden_files_is_gone_on_with(training, study, tmp_path):
    run_study(study, tmp_path)
    (tmp_path / ".lock").unlink()
    (tmp_path / "table.md").write_text("what a study says")
    training.calls.clear()
    assert run_study(study, tmp_path).finished
    assert training.calls == []


def test_each_run_is_watched_by_an_observer_of_its_own(training, study, tmp_path):
    told = []

    class Listening(StudyObserver):
        def on_run(self, name, place, of):
            told.append((name, place, of))

        def on_judged(self, place, parts):
            assert (place / "result.json").is_file()  # whatever comes of pictures
            told.append((place.name, [name for name, _ in parts]))

        def on_results(self, results):
            told.append(len(results))

    @contextmanager
    def watch():
        yield Listening()

    run_study(replace(study, grid={}, rows=("identity",)), tmp_path / "study", watch=watch)
    name = "robust-d2-n6-small-s0"
    assert told == [("identity", 1, 2), 1, (name, 2, 2), (name, ["test"]), 2]


def lent_to(training, monkeypatch, lent):
    """Where what is lent to each run really lies, as they are trained."""
    seen = []

    def train(data, run, recipe, **options):
        seen.append((run / lent).resolve())
        return training(data, run, recipe, **options)

    monkeypatch.setattr(module, "train", train)
    return seen


@pytest.mark.parametrize("lent", ["frames", "motion"])
def test_what_was_made_of_the_footage_is_shared_and_gone_at_the_end(
    training, study, tmp_path, monkeypatch, lent
):
    seen = lent_to(training, monkeypatch, lent)
    run_study(study, tmp_path / "study")
    assert set(seen) == {(tmp_path / "study" / lent).resolve()}
    assert list((tmp_path / "study").rglob(lent)) == []


@pytest.mark.parametrize("lent", ["frames", "motion"])
def test_a_study_that_was_moved_half_way_shares_from_where_it_is_now(
    training, study, tmp_path, monkeypatch, lent
):
    seen = lent_to(training, monkeypatch, lent)
    first = tmp_path / "study" / "runs" / NAMES[0]
    first.mkdir(parents=True)
    (first / lent).symlink_to(tmp_path / "nowhere", target_is_directory=True)
    done = run_study(study, tmp_path / "study")
    assert done.finished
    assert done.failed == []
    assert set(seen) == {tmp_path / "study" / lent}
    assert not (tmp_path / "nowhere").exists()


def test_a_link_to_what_is_shared_survives_a_move(training, study, tmp_path):
    training.stops = {NAMES[0]}
    run_study(study, tmp_path / "study")
    link = tmp_path / "study" / "runs" / NAMES[0] / "frames"
    assert link.is_symlink()
    (tmp_path / "study").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "runs" / NAMES[0] / "frames"
    assert moved.resolve() == (tmp_path / "moved" / "frames").resolve()
    assert moved.is_dir()


def test_runs_may_lie_on_another_disk(training, study, tmp_path):
    (tmp_path / "disk" / "far" / "runs").mkdir(parents=True)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "runs").symlink_to(tmp_path / "disk" / "far" / "runs")
    training.stops = {NAMES[0]}
    run_study(study, tmp_path / "study")
    shared = tmp_path / "study" / "frames"
    assert (tmp_path / "study" / "runs" / NAMES[0] / "frames").resolve() == shared
    training.stops = set()
    done = run_study(study, tmp_path / "study")
    assert done.finished
    assert done.failed == []


def test_runs_of_a_version_with_other_fields_are_told(training, study, tmp_path):
    run_study(study, tmp_path / "study")
    file = tmp_path / "study" / "runs" / NAMES[0] / "recipe.yaml"
    told = yaml.safe_load(file.read_text())
    told["recipe"]["forgotten"] = told["recipe"].pop("even")
    file.write_text(yaml.safe_dump(told))
    with pytest.raises(UserError, match=r"with other settings \(even, forgotten\)"):
        run_study(study, tmp_path / "study")


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_a_tiny_study_from_beginning_to_end(footage, recipe, tmp_path):
    """Really trained: stopped in the first run by a person, gone on with."""
    study = Study(
        file=footage / "mine.yaml",
        data=footage,
        recipe=replace(recipe, steps=4, warm_start=1, refresh_every=3, save_every=2),
        grid={},
        rows=("identity", "supervised"),
        every_test=8,
        every_train=8,
    )
    steps = []

    class Impatient(StudyObserver):
        def on_step(self, step, loss):
            steps.append(step)
            if len(steps) == 3:
                raise KeyboardInterrupt

    @contextmanager
    def watch():
        yield Impatient()

    assert not run_study(study, tmp_path / "study", watch=watch).finished
    done = run_study(study, tmp_path / "study", watch=watch)
    assert done.finished
    assert done.failed == []
    assert run_study(study, tmp_path / "study", watch=watch) == done
    # A checkpoint every other step: the third is done again.
    assert steps == [1, 2, 3, *(3, 4), *range(1, 5)]
    rows = {r["method"]: r for r in map(row, done.results)}
    assert set(rows) == {"identity", "robust", "supervised"}
    assert 10 < rows["robust"]["target_psnr"] < 60
    assert 0 < rows["robust"]["coverage"] <= 1
    assert rows["supervised"]["target_psnr"] is rows["supervised"]["coverage"] is None
    for name in ("robust", "supervised"):
        assert rows[name]["hours"] > 0
        assert abs(rows[name]["psnr_test"] - rows["identity"]["psnr_test"]) < 5
