from typing import get_args

import pytest
import torch

from bluref.errors import UserError
from bluref.restore.deblurrer import Precision
from bluref.restore.engines import bench as bench_module
from bluref.restore.engines.bench import FORMATS, PLAIN, bench, combinations
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.2)
    save_network(network, tmp_path / "net", training_size=16, meta={})
    return str(tmp_path / "net")


@pytest.mark.slow
def test_rows_are_measured_against_plain_torch_of_the_same_run(model):
    columns = [(PLAIN, "fp32"), ("eager", "fp32"), ("eager", "bf16")]
    rows, left = bench(model, [(40, 56)], columns, rounds=1)
    assert left == []
    assert [(row.engine, row.precision) for row in rows] == columns
    plain, exact, coarse = rows
    assert (plain.ratio_to_eager_fp32, plain.psnr_to_fp32) == (1, None)
    assert all(row.ratio_to_eager_fp32 == plain.seconds / row.seconds for row in rows)
    assert exact.psnr_to_fp32 is None or exact.psnr_to_fp32 > 100
    assert 20 < coarse.psnr_to_fp32 < 90
    assert all(row.peak_memory_bytes > 50 * 2**20 for row in rows)
    assert {(row.height, row.width) for row in rows} == {(40, 56)}


@pytest.mark.slow
def test_a_model_that_is_not_there_is_told():
    with pytest.raises(UserError, match="no model 'nothing'"):
        bench("nothing", [(8, 8)], [(PLAIN, "fp32")], rounds=1)


@pytest.mark.slow
def test_the_identity_is_named_apart_from_exported_files():
    with pytest.raises(UserError, match="identity has no network to measure"):
        bench("identity", [(8, 8)], [(PLAIN, "fp32")], rounds=1)


def test_every_run_measures_the_same_noise():
    first, second = (bench_module._picture(None, 20, 30) for _ in range(2))
    assert torch.equal(first, second)
    assert first.std() > 0.1


def test_what_cannot_run_here_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr(bench_module, "prefers_bf16", lambda: True)
    able, left = combinations(["eager", "onnxruntime"], [])
    assert able[:3] == [(PLAIN, "fp32"), ("eager", "fp32"), ("eager", "bf16")]
    assert ("onnxruntime", "bf16") in [(one.engine, one.precision) for one in left]
    with pytest.raises(UserError, match="unknown engine 'tpu'"):
        combinations(["tpu"], [])


def test_without_a_graphics_processor_its_columns_are_left_out_with_the_reason(monkeypatch):
    def nothing_there(name):
        raise UserError(f"cannot compute on {name!r}: it is not there", "use --device cpu")

    monkeypatch.setattr(bench_module, "usable_device", nothing_there)
    able, left = combinations(["eager", "cuda"], ["fp32", "fp16"])
    assert able == [(PLAIN, "fp32"), ("eager", "fp32")]
    assert [(one.engine, one.precision) for one in left] == [
        ("eager", "fp16"), ("cuda", "fp32"), ("cuda", "fp16"),
    ]  # fmt: skip
    assert "graphics processors" in left[0].reason
    assert left[1].reason == "cannot compute on 'cuda': it is not there"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics processor here")
def test_a_graphics_processor_is_measured_like_any_engine():
    columns, _ = combinations(["cuda"], [])
    rows, left = bench("small", [(64, 96)], columns, rounds=1)
    assert not left
    assert {(row.engine, row.precision) for row in rows} >= {("cuda", "fp32"), ("cuda", "fp16")}


def test_every_number_format_is_one_that_the_deblurrer_takes():
    assert {*FORMATS, "auto"} == set(get_args(Precision))
