import importlib.util
import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines import engine, engine_choice, runtimes
from bluref.restore.engines.engine import MAX_COMPILED, Compiled, Setting
from bluref.restore.engines.engine_choice import fastest_engine
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.weights import device

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
EXACT = Setting(16, torch.float32, CPU)
OUTSIDE = ["onnxruntime", "openvino"]


def random_network(**blocks):
    random = torch.Generator().manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, **blocks))
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.2
    return network


@pytest.fixture
def network():
    return random_network(encoder=(1, 1), middle=1, decoder=(1, 1))


@pytest.mark.parametrize("name", OUTSIDE)
def test_every_engine_gives_what_eager_gives_in_a_folder_of_mixed_sizes(network, monkeypatch, name):
    pytest.importorskip(name)
    monkeypatch.setattr(runtimes, "MAX_PLANNED", 1)
    eager = Deblurrer(network, training_size=16, precision="fp32")
    other = Deblurrer(network, training_size=16, precision="fp32", engine=name)
    images = [torch.rand(1, 3, *size) for size in [(33, 40), (1, 5), (34, 39)]]
    images.append(torch.rand(2, 3, 9, 30))
    outputs = [other(image) for image in images]
    for image, output in zip(images, outputs, strict=True):
        torch.testing.assert_close(output, eager(image), atol=1e-5, rtol=0)


def test_openvino_forgets_its_plans_and_makes_them_again(network):
    pytest.importorskip("openvino")
    other = Deblurrer(network, training_size=16, precision="fp32", engine="openvino")
    image = torch.rand(1, 3, 256, 256)
    before = other(image)
    assert 0 < other.held < 2**30
    other.forget()
    assert other.held == 0
    assert other._run._requests == {}
    assert torch.equal(other(image), before)


def test_openvino_in_bf16_is_close(network):
    pytest.importorskip("openvino")
    image = torch.rand(1, 3, 40, 56)
    exact = Deblurrer(network, training_size=16, precision="fp32")(image)
    coarse = Deblurrer(network, training_size=16, precision="bf16", engine="openvino")(image)
    assert (coarse - exact).abs().max() < 0.05


def test_compiling_stops_after_a_few_sizes(network, monkeypatch):
    compiled_at = []

    def pretend(module, **_options):
        forward = module.forward

        def run(x):
            compiled_at.append(tuple(x.shape[-2:]))
            return forward(x)

        module.forward = run

    monkeypatch.setattr(nn.Module, "compile", pretend)
    compiled = Compiled(network, EXACT)
    eager = Deblurrer(network, training_size=16, precision="fp32")
    sides = [8 * i for i in range(1, MAX_COMPILED + 4)]
    for side in [*sides, *sides]:
        image = torch.rand(1, 3, side, side)
        torch.testing.assert_close(compiled(image), eager(image), atol=1e-5, rtol=0)
    assert set(compiled_at) == {(side, side) for side in sides[:MAX_COMPILED]}
    assert len(compiled_at) == 2 * MAX_COMPILED


# A process of its own: the compiler cannot see through the checks of shapes that tests run under.
COMPILE = """
import sys, torch
from bluref.restore.deblurrer import Deblurrer
image = torch.rand(1, 3, 24, 32)
for precision, bound in (("fp32", 1e-4), ("bf16", 0.05)):
    eager, compiled = (
        Deblurrer.from_pretrained(sys.argv[1], precision=precision, engine=engine)
        for engine in ("eager", "compile")
    )
    for _ in range(2):
        torch.testing.assert_close(compiled(image), eager(image), atol=bound, rtol=0)
"""


def test_what_torch_compiles_is_what_eager_gives(tmp_path):
    if engine.why_not("compile", EXACT) is not None:
        pytest.skip("no C++ compiler")
    network = random_network(encoder=(1,), middle=0, decoder=(0,))  # a block takes 10 s to compile
    save_network(network, tmp_path, training_size=16, meta={})
    line = [sys.executable, "-c", COMPILE, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def hide(monkeypatch, *names):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in names else find(name, *a)
    )


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_engine_that_is_not_installed_is_named_with_its_extra(network, monkeypatch, name):
    hide(monkeypatch, name)
    with pytest.raises(UserError, match=f"{name} needs {name}") as caught:
        Deblurrer(network, training_size=None, engine=name)
    assert caught.value.fix == "pip install 'bluref[export]'"


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("onnxruntime", Setting(None, torch.bfloat16, CPU), "fp32 alone"),
        ("openvino", Setting(None, torch.float16, torch.device("cuda")), "CPU alone"),
    ],
)
def test_what_an_engine_cannot_do_is_told(name, setting, message):
    assert message in engine.why_not(name, setting).problem


def test_an_unknown_engine_is_refused(network):
    with pytest.raises(Exception, match="tensorrt"):
        Deblurrer(network, training_size=None, engine="tensorrt")


def test_compile_without_a_compiler_is_told(monkeypatch):
    monkeypatch.setattr(device.shutil, "which", lambda _name: None)
    assert "C++ compiler" in engine.why_not("compile", EXACT).problem


class Refused(Exception):  # noqa: N818 - named as it is
    """What onnxruntime raises is neither a RuntimeError."""


class Costly:
    """Stands in for every engine: counts how often one is built, and takes as long as told."""

    def __init__(self, monkeypatch, **seconds):
        self.clock, self.built = 0.0, []

        def build(name, _model, _setting):
            self.built.append(name)

            def run(image):
                if isinstance(seconds[name], Exception):
                    raise seconds[name]
                self.clock += seconds[name]
                return image

            return run

        monkeypatch.setattr(engine_choice, "build_engine", build)
        monkeypatch.setattr(engine_choice, "why_not", lambda name, _: None)
        monkeypatch.setattr(engine_choice.time, "perf_counter", lambda: self.clock)


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({"eager": 3.0, "openvino": 1.0, "onnxruntime": 2.0}, "openvino"),
        ({"eager": 3.0, "openvino": 2.9, "onnxruntime": 2.8}, "eager"),  # not worth a start
        ({"eager": 3.0, "openvino": RuntimeError(), "onnxruntime": 2.0}, "onnxruntime"),
        ({"eager": 3.0, "openvino": 2.0, "onnxruntime": Refused("no kernel")}, "openvino"),
    ],
)
def test_auto_takes_the_fastest_that_runs(network, tmp_path, monkeypatch, seconds, best):
    Costly(monkeypatch, **seconds)
    assert fastest_engine(network, EXACT, file=tmp_path / "engines.json") == best


def test_auto_measures_once_per_network_and_setting(network, tmp_path, monkeypatch):
    costly, file = Costly(monkeypatch, eager=3.0, openvino=1.0, onnxruntime=2.0), tmp_path / "e"
    names = [fastest_engine(network, EXACT, file=file) for _ in range(3)]
    assert names == ["openvino"] * 3
    assert len(costly.built) == 3
    fastest_engine(network, Setting(None, torch.float32, CPU), file=file)
    assert len(costly.built) == 6
    network.ending.bias.data += 1
    fastest_engine(network, EXACT, file=file)
    assert len(costly.built) == 9
    monkeypatch.setattr(engine_choice, "processor", lambda: "another")
    fastest_engine(network, EXACT, file=file)
    assert len(costly.built) == 12
    monkeypatch.setenv(engine_choice.AGAIN, "1")
    fastest_engine(network, EXACT, file=file)
    assert len(costly.built) == 15


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff", '{"a": 1}', "[" * 100_000])
def test_a_damaged_memory_is_made_again(network, tmp_path, monkeypatch, text):
    costly, file = Costly(monkeypatch, eager=3.0, openvino=1.0, onnxruntime=2.0), tmp_path / "e"
    file.write_bytes(text.encode("latin-1"))
    assert fastest_engine(network, EXACT, file=file) == "openvino"
    assert fastest_engine(network, EXACT, file=file) == "openvino"
    assert len(costly.built) == 3
    assert "openvino" in json.loads(file.read_text()).values()


def test_a_remembered_engine_that_is_gone_is_not_taken(network, tmp_path, monkeypatch):
    file = tmp_path / "e"
    Costly(monkeypatch, eager=3.0, openvino=1.0, onnxruntime=2.0)
    fastest_engine(network, EXACT, file=file)
    known = json.loads(file.read_text())
    file.write_text(json.dumps(dict.fromkeys(known, "tensorrt")))
    assert fastest_engine(network, EXACT, file=file) == "openvino"


def test_a_cache_that_cannot_be_written_is_no_error(network, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    Costly(monkeypatch, eager=3.0, openvino=1.0, onnxruntime=2.0)
    assert fastest_engine(network, EXACT, file=tmp_path / "file" / "e") == "openvino"


def test_auto_without_extras_is_eager_and_measures_nothing(network, tmp_path, monkeypatch):
    hide(monkeypatch, *OUTSIDE)
    monkeypatch.setenv("BLUREF_CACHE", str(tmp_path))
    assert Deblurrer(network, training_size=None, engine="auto").engine == "eager"
    assert list(tmp_path.iterdir()) == []
