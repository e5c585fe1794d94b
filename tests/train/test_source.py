"""Rounds of targets among several processes: what happens to one must stop all."""

import pytest
from tests.train.conftest import Other

from bluref.errors import UserError
from bluref.restore.networks.backbones import build_backbone
from bluref.train.loop import Interrupted


@pytest.fixture
def shared(curriculum):
    """Makes a curriculum in its first round, among several processes."""

    def make(processes):
        source = curriculum(processes, warm_start=0, refresh_every=4)
        source.bank.round_folder(0).mkdir()
        return source

    return make


def renew(source):
    source.renew(1, build_backbone("small"), lambda *told: None)


def test_a_round_stands_when_all_processes_are_done(shared):
    processes = Other()
    source = shared(processes)
    renew(source)
    assert processes.told == [False]
    assert source.pseudo.round == 1
    assert source.bank.rounds() == [1]


def test_a_round_that_another_process_did_not_finish_does_not_stand(shared):
    source = shared(Other(failed=True))
    with pytest.raises(Interrupted):
        renew(source)
    assert source.pseudo.round == 0
    assert source.bank.rounds() == [0, 1]  # nothing is forgotten that may be gone back to


@pytest.mark.parametrize("failure", [UserError("the disk is full", "free some"), Interrupted()])
def test_a_process_that_fails_in_a_round_tells_the_others(shared, monkeypatch, failure):
    processes = Other()
    source = shared(processes)

    def refresh(*_, **__):
        raise failure

    monkeypatch.setattr(source.bank, "refresh", refresh)
    with pytest.raises(type(failure)):
        renew(source)
    assert processes.told == [True]
    assert source.pseudo.round == 0
