"""References by coverage in a run: chosen once, remembered, gone on with."""

import json
from dataclasses import replace

import pytest

from bluref.errors import UserError
from bluref.train import covering
from bluref.train.observe import Observer
from bluref.train.run import train


class Listening(Observer):
    def __init__(self):
        self.references = []

    def on_references(self, done, total):
        self.references.append((done, total))


@pytest.fixture
def recipe(recipe):
    return replace(
        recipe, choice="coverage", refs=1, steps=1, warm_start=0, anchor=0.0, gate=0.0, even=False
    )


def chosen(run):
    return json.loads((run / "references.json").read_text())["chosen"]


@pytest.mark.slow
def test_a_run_trains_on_what_was_chosen(footage, recipe, tmp_path):
    run, heard = tmp_path / "run", Listening()
    train(footage, run, recipe, observer=heard)
    assert heard.references[-1] == (len(chosen(run)),) * 2
    assert all(len(keys) == 1 for keys in chosen(run))


@pytest.mark.slow
def test_it_is_chosen_once_and_again_only_if_the_file_is_damaged(footage, recipe, tmp_path):
    run = tmp_path / "run"
    train(footage, run, recipe)
    before, heard = chosen(run), Listening()
    train(footage, run, recipe, resume=True, observer=heard)
    assert not heard.references
    (run / "references.json").write_text('{"key": ["torn')
    train(footage, run, recipe, resume=True, observer=heard)
    assert heard.references
    assert chosen(run) == before


@pytest.mark.slow
def test_what_was_chosen_of_other_candidates_is_chosen_anew(footage, recipe, tmp_path):
    run, heard = tmp_path / "run", Listening()
    train(footage, run, recipe)
    told = json.loads((run / "references.json").read_text())
    (run / "references.json").write_text(json.dumps({**told, "key": ["other", *told["key"][1:]]}))
    train(footage, run, recipe, resume=True, observer=heard)
    assert heard.references
    assert json.loads((run / "references.json").read_text()) == told


@pytest.mark.slow
def test_what_is_remembered_is_what_targets_are_made_of(footage, recipe, tmp_path, monkeypatch):
    """The bank meets the chosen references, those of the file on resume."""
    run, met = tmp_path / "run", []
    refresh = covering.Bank.refresh

    def watched(bank, round_, samples, teacher, **others):
        met.append([[frame.key for frame in sample.references] for sample in samples])
        refresh(bank, round_, samples, teacher, **others)

    monkeypatch.setattr(covering.Bank, "refresh", watched)
    train(footage, run, recipe)
    assert met == [chosen(run)]


@pytest.mark.slow
def test_resuming_with_another_choice_is_refused(footage, recipe, tmp_path):
    train(footage, tmp_path / "run", recipe)
    with pytest.raises(UserError, match="choice"):
        train(footage, tmp_path / "run", replace(recipe, choice="near"), resume=True)
