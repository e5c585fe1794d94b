"""metrics.csv, as training writes it and a crash may leave it."""

import math

import pytest
import torch

from bluref.train.batches import Batch
from bluref.train.metrics import MetricsFile, describe, read_metrics


@pytest.fixture
def path(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.csv", upto=0, told=("coverage",))
    for step in (1, 2, 3):
        metrics.add({"step": str(step), "loss": step / 8, "coverage": 0.5, "seconds": 10.25 * step})
    return tmp_path / "metrics.csv"


def test_what_is_written_is_read(path):
    rows = read_metrics(path)
    assert [(row["step"], row["loss"]) for row in rows] == [
        ("1", "0.125"),
        ("2", "0.25"),
        ("3", "0.375"),
    ]


@pytest.mark.parametrize("lost", range(1, 12))
def test_a_last_line_that_is_torn_anywhere_is_left_out(path, lost):
    path.write_bytes(path.read_bytes()[:-lost])
    assert [row["step"] for row in read_metrics(path)] == ["1", "2"]


def test_a_resumed_run_writes_on_after_the_rows_of_its_checkpoint(path):
    path.write_bytes(path.read_bytes()[:-3])
    resumed = MetricsFile(path, upto=1, told=("coverage",))
    assert resumed.seconds == 10.25
    resumed.add({"step": "2", "seconds": "11"})
    assert [row["seconds"] for row in read_metrics(path)] == ["10.25", "11"]


def test_another_process_writes_nothing(path):
    before = path.read_bytes()
    assert [row["step"] for row in MetricsFile(path, upto=2, told=(), write=False).rows] == [
        "1",
        "2",
    ]
    assert path.read_bytes() == before


def grey(value, side=24):
    return torch.full((1, 3, side, side), value)


def test_what_a_batch_says_is_what_a_hand_reckons():
    truth = torch.cat((grey(0.5), grey(0.5)))
    blurry, output = truth + 0.1, truth + 0.01  # 20 dB and 40 dB
    target = truth + 0.05
    weight = torch.zeros(2, 1, 24, 24)
    weight[0, :, :6] = 0.5  # an eighth of the batch; the second says nothing
    target[:, :, 6:] = 0.9  # where the target says nothing it may be anything
    told = describe(Batch(blurry, target, weight, truth), output)
    assert told["coverage"] == pytest.approx(1 / 8)
    assert told["trust"] == pytest.approx(0.5)
    assert told["agreement"] == pytest.approx(-20 * math.log10(0.04), abs=1e-3)
    assert told["input_psnr_truth"] == pytest.approx(20, abs=1e-3)
    assert told["target_psnr_truth"] == pytest.approx(-20 * math.log10(0.05), abs=1e-3)
    assert told["output_psnr_truth"] == pytest.approx(40, abs=1e-3)


def test_nothing_is_said_against_a_truth_that_is_not_known_or_that_teaches():
    truth, weight = grey(0.5), torch.ones(1, 1, 24, 24)
    told = describe(Batch(truth + 0.1, truth, weight), truth)
    assert not [name for name in told if name.endswith("_truth")]
    told = describe(Batch(truth + 0.1, truth, weight, truth), truth)
    assert {n for n in told if n.endswith("_truth")} == {"input_psnr_truth", "output_psnr_truth"}


def test_the_output_of_a_network_that_moves_things_to_the_right_has_a_positive_shift():
    column, row = torch.arange(64.0), torch.arange(64.0)[:, None]

    def waves(by):
        picture = 0.5 + 0.2 * torch.sin((column - by) / 6) + 0.2 * torch.cos(row / 7)
        return picture.expand(1, 3, 64, 64)

    weight = torch.ones(1, 1, 64, 64)
    told = describe(Batch(waves(0), waves(0), weight), waves(0.5))
    assert told["shift_x"] == pytest.approx(0.5, abs=0.05)
    assert told["shift_y"] == pytest.approx(0, abs=0.05)
