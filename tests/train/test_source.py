"""Rounds of targets among several processes: what happens to one must stop all."""

import pytest
from tests.train.conftest import Two

from bluref.errors import UserError
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.pseudo.bank import Bank
from bluref.pseudo.strategy import STRATEGIES
from bluref.restore.networks.backbones import build_backbone
from bluref.train.batches import Drawing, PseudoBatches, SyntheticBatches
from bluref.train.loop import Interrupted
from bluref.train.source import Curriculum


class Other(Two):
    """The first of two processes; notes what it says of itself, and the other may have failed."""

    def __init__(self, *, failed=False):
        super().__init__()
        self.failed, self.told = failed, []

    def any(self, flag):
        self.told.append(flag)
        return flag or self.failed


@pytest.fixture
def curriculum(tmp_path):
    def make(processes):
        store, drawing = FrameStore(tmp_path), Drawing(seed=0, batch=1, crop=32)
        strategy = STRATEGIES["robust"]
        bank = Bank(tmp_path, matcher=DISMatcher(), strategy=strategy, threshold=0.3, store=store)
        bank.round_folder(0).mkdir()
        return Curriculum(
            SyntheticBatches((), store, drawing),
            PseudoBatches((), store, drawing, bank, round=0),
            None,
            warm_start=0,
            refresh_every=4,
            training_size=32,
            processes=processes,
        )

    return make


def renew(curriculum):
    curriculum.renew(1, build_backbone("small"), lambda *told: None)


def test_a_round_stands_when_all_processes_are_done(curriculum):
    processes = Other()
    source = curriculum(processes)
    renew(source)
    assert processes.told == [False]
    assert source.pseudo.round == 1
    assert source.bank.rounds() == [1]


def test_a_round_that_another_process_did_not_finish_does_not_stand(curriculum):
    source = curriculum(Other(failed=True))
    with pytest.raises(Interrupted):
        renew(source)
    assert source.pseudo.round == 0
    assert source.bank.rounds() == [0, 1]  # nothing is forgotten that may be gone back to


@pytest.mark.parametrize("failure", [UserError("the disk is full", "free some"), Interrupted()])
def test_a_process_that_fails_in_a_round_tells_the_others(curriculum, monkeypatch, failure):
    processes = Other()
    source = curriculum(processes)

    def refresh(*_, **__):
        raise failure

    monkeypatch.setattr(source.bank, "refresh", refresh)
    with pytest.raises(type(failure)):
        renew(source)
    assert processes.told == [True]
    assert source.pseudo.round == 0
