"""The learning rate and the curriculum: functions of the step alone."""

import itertools
import threading
import time

import pytest
import torch
from torch import nn

from bluref.train.average import averaged_copy
from bluref.train.checkpoint import State
from bluref.train.deblurring import DeblurringFiles
from bluref.train.loop import Trainer, learning_rate
from bluref.train.metrics import MetricsFile
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe


def test_the_rate_rises_then_falls_to_its_end():
    recipe = Recipe(steps=1000, ramp=100, learning_rate=2e-4, final_rate=1e-6)
    rates = [learning_rate(recipe, step) for step in range(1001)]
    assert rates[0] == pytest.approx(2e-6)
    assert max(rates) == pytest.approx(2e-4)
    assert rates.index(max(rates)) in (99, 100)
    assert all(a >= b for a, b in itertools.pairwise(rates[100:]))
    assert rates[550] == pytest.approx((2e-4 + 1e-6) / 2)
    assert rates[1000] == pytest.approx(1e-6)


def test_rounds_begin_after_the_warm_start(curriculum):
    source = curriculum(Alone(), warm_start=10, refresh_every=4)
    rounds = [source.round_at(step) for step in range(8, 20)]
    assert rounds == [None, None, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert [source.phase(step) for step in (9, 10)] == ["warm", "pseudo"]


class Elsewhere(Alone):
    """A process whose network learns on an accelerator; here that is the processor."""

    def __init__(self):
        super().__init__()
        self.device = torch.device("meta")


class Adding:
    """Learns the numbers that it is given, one by one."""

    def __init__(self):
        self.learnt = []

    def loss(self, model, batch):
        self.learnt.append(batch)
        return model.weight.sum() * 0 + batch, None

    def describe(self, batch, seen):
        return {}


class Numbers:
    """Batches that are their own steps, in rounds of five; each takes a while to make."""

    def __init__(self):
        self.rounds, self.made, self.working, self.most = [], [], 0, 0
        self._lock = threading.Lock()

    def phase(self, step):
        return "numbers"

    def round_at(self, step):
        return step // 5

    def renew(self, round_, average, tell):
        assert self.working == 0  # nobody makes batches of targets that do not stand yet
        self.rounds.append(round_)

    def __call__(self, step):
        with self._lock:
            self.working += 1
            self.most = max(self.most, self.working)
            self.made.append((step, self.rounds[-1]))
        time.sleep(0.02)
        with self._lock:
            self.working -= 1
        return torch.tensor(float(step))


@pytest.mark.parametrize(
    ("processes", "cores", "most"), [(Elsewhere(), 3, 3), (Elsewhere(), 1, 1), (Alone(), 3, 1)]
)
def test_several_batches_are_made_at_a_time_where_an_accelerator_learns(
    processes, cores, most, tmp_path, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(Trainer, "save", lambda self: None)
    recipe = Recipe(steps=12, log_every=100, save_every=100, snapshot_every=100)
    model = nn.Linear(1, 1)
    task, numbers = Adding(), Numbers()
    trainer = Trainer(
        recipe=recipe,
        state=State(model, averaged_copy(model), torch.optim.Adam(model.parameters())),
        source=numbers,
        task=task,
        files=DeblurringFiles(32),
        folder=tmp_path,
        metrics=MetricsFile(tmp_path / "metrics.csv", upto=0),
        observer=Observer(),
        snapshot=lambda step, average: None,
        processes=processes,
    )
    assert trainer.run()
    assert [batch.item() for batch in task.learnt] == list(range(12))
    assert sorted(numbers.made) == [(step, step // 5) for step in range(12)]
    assert numbers.rounds == [0, 1, 2]
    assert numbers.most == most
