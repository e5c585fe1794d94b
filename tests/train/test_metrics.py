"""metrics.csv, as training writes it and a crash may leave it."""

import pytest

from bluref.train.metrics import MetricsFile, read_metrics


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
