import json

import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from bluref.cli import bench as bench_verb
from bluref.cli.main import main
from bluref.report.bench_picture import bench_table, draw_bench
from bluref.restore.engines.bench import Row
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig

ROWS = [
    Row("m", "plain", "fp32", 720, 1280, 3.0, 1.0, 2**30, None),
    Row("m", "openvino", "bf16", 720, 1280, 0.0026, 6.0, 2**29, 57.3),
]


@pytest.fixture
def model(tmp_path):
    network = NAFNet(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))
    save_network(network, tmp_path / "net", training_size=16, meta={})
    return str(tmp_path / "net")


@pytest.mark.slow
def test_export_writes_a_file_that_deblur_takes(model, tmp_path, capsys):
    target = str(tmp_path / "net.onnx")
    assert main(["export", model, "-o", target, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["format"]) == (target, "onnx")
    assert told["largest_difference"] < 1e-4
    Image.new("RGB", (30, 20), (90, 20, 200)).save(tmp_path / "in.png")
    out = str(tmp_path / "out")
    assert main(["deblur", str(tmp_path / "in.png"), "--model", target, "-o", out]) == 0
    assert (tmp_path / "out" / "in.png").is_file()


def test_deblur_names_what_is_wrong_with_a_model(tmp_path, capsys):
    (tmp_path / "net.pth").write_bytes(b"\x80\x02}q\x00.")
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    line = ["deblur", str(tmp_path / "in.png"), "-o", str(tmp_path / "out"), "--model"]
    assert main([*line, str(tmp_path / "net.pth")]) == 2
    assert "bluref import" in capsys.readouterr().err
    assert main([*line, "nothing"]) == 2
    assert "no model 'nothing'" in capsys.readouterr().err


def test_the_table_has_a_line_for_every_row():
    lines = bench_table(ROWS).splitlines()
    assert lines[2] == "| 1280x720 | plain | fp32 | 3.000 | 1.00 | 1024 | equal |"
    assert lines[3] == "| 1280x720 | openvino | bf16 | 0.003 | 6.00 | 512 | 57.3 dB |"


def test_the_picture_is_drawn(tmp_path, monkeypatch):
    drawn = []
    label = Axes.bar_label
    monkeypatch.setattr(
        Axes, "bar_label", lambda self, bars, labels, **how: (
            drawn.extend(labels), label(self, bars, labels, **how)
        )[1],
    )  # fmt: skip
    draw_bench(ROWS, tmp_path / "bench.png")
    assert drawn == ["plain fp32, 3 s", "openvino bf16, 0.0026 s"]
    with Image.open(tmp_path / "bench.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize("size", ["0x5", "5", "5x5x5", "axb", "123456x5", "-1x4"])
def test_a_wrong_size_is_told(model, size, capsys):
    assert main(["bench", "--model", model, f"--sizes={size}"]) == 2
    assert "no size of a picture" in capsys.readouterr().err


@pytest.fixture
def nothing_is_measured(monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("measured")

    monkeypatch.setattr("bluref.restore.engines.bench.bench", never)


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_size_that_no_picture_may_have_is_told(model, capsys):
    assert main(["bench", "--model", model, "--sizes=99999x99999"]) == 2
    assert "99999x99999 is too large" in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_is_measured")
def test_a_picture_that_cannot_be_drawn_is_told_before_anything_is_measured(model, capsys):
    assert main(["bench", "--model", model, "-o", "bench.xyz"]) == 2
    assert "let it end in .png" in capsys.readouterr().err


def test_bench_prints_one_json_object(model, monkeypatch, capsys):
    def pretend(*_args, **_kwargs):
        return ROWS, []

    monkeypatch.setattr("bluref.restore.engines.bench.bench", pretend)
    assert main(["bench", "--model", model, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["rows"][0]) == {
        "model", "engine", "precision", "height", "width", "seconds", "ratio_to_eager_fp32",
        "peak_memory_bytes", "psnr_to_fp32",
    }  # fmt: skip
    assert told["rows"][1]["psnr_to_fp32"] == 57.3
    assert bench_verb.SUMMARY
    assert torch.tensor([row["seconds"] for row in told["rows"]]).isfinite().all()
