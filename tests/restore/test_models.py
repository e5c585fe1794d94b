import shutil
import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.errors import UserError
from bluref.restore import models
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.engines.export import BOUND, export_network
from bluref.restore.engines.graph_files import read_card
from bluref.restore.files import SavedNetwork, load_network, save_network
from bluref.restore.models import find_model
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig

pytestmark = pytest.mark.slow

TINY = NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,))
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tmp_path):
    random = torch.Generator().manual_seed(0)
    network = NAFNet(TINY)
    for value in network.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.2
    save_network(network, tmp_path / "net", training_size=16, meta={"step": 7})
    return tmp_path / "net"


@pytest.fixture
def hub(monkeypatch, folder, tmp_path):
    """A hub that holds `ann/net` at one commit, and hears what is asked of it."""
    module, errors = types.ModuleType("huggingface_hub"), types.ModuleType("huggingface_hub.errors")
    for name in ("HfHubHTTPError", "HFValidationError", "LocalEntryNotFoundError"):
        setattr(errors, name, type(name, (Exception,), {}))
    module.asked = []

    def snapshot_download(repository, *, revision, allow_patterns):
        module.asked.append((repository, revision, tuple(allow_patterns)))
        if repository != "ann/net" or revision not in (None, COMMIT):
            raise errors.HfHubHTTPError("404 Client Error\nRepository Not Found")
        shutil.copytree(folder, tmp_path / "snapshot", dirs_exist_ok=True)
        return str(tmp_path / "snapshot")

    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", errors)
    return module


def same(a, b):
    return all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def test_a_folder_and_a_weights_file_are_networks(folder):
    for path in (folder, str(folder), folder / "model.safetensors"):
        assert same(find_model(path).model, load_network(folder).model)


def test_the_identity_changes_nothing():
    image = torch.rand(1, 3, 5, 9)
    assert find_model("identity") is None
    assert torch.equal(Deblurrer.from_pretrained("identity")(image), image)


def test_a_shipped_network_is_found_by_its_name(folder, monkeypatch):
    monkeypatch.setattr(models, "shipped_models", lambda: {"general": folder})
    assert isinstance(find_model("general"), SavedNetwork)
    with pytest.raises(UserError, match="identity, general"):
        find_model("genral")


def test_the_shipped_matcher_is_no_deblurring_network():
    assert "compact" not in models.shipped_models()


def test_a_path_goes_before_a_name(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setattr(models, "shipped_models", lambda: {"net": folder / "elsewhere"})
    assert find_model("net").meta == {"step": 7}


@pytest.mark.parametrize(
    ("name", "revision", "asked"),
    [("ann/net", None, None), (f"ann/net@{COMMIT}", None, COMMIT), ("ann/net", COMMIT, COMMIT)],
)
def test_a_repository_is_fetched_at_its_revision_without_pickles(hub, name, revision, asked):
    assert find_model(name, revision=revision).meta == {"step": 7}
    assert hub.asked == [("ann/net", asked, ("model.safetensors", "model.json"))]


def test_a_repository_that_is_not_there_is_told_with_all_that_was_tried(hub):
    with pytest.raises(UserError) as caught:
        find_model("ann/other@main")
    for words in ("'ann/other'", "no such path", "identity", "at revision main", "404"):
        assert words in caught.value.problem
    assert "\n" not in caught.value.problem


def test_without_the_extra_a_repository_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="needs huggingface_hub") as caught:
        find_model("ann/net")
    assert "bluref[hub]" in caught.value.fix


@pytest.mark.parametrize("name", ["nothing", "a/b/c", "../up", "/no/such/folder", "x y", "", "@"])
def test_what_is_nothing_is_told(name):
    if name == "":
        name = "''"
    with pytest.raises(UserError, match="no model"):
        find_model(name)


class Bomb:
    def __reduce__(self):
        return (open, ("boom", "w"))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PTH", ".pkl"])
def test_a_pickle_is_never_opened(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    torch.save({"params": Bomb()}, tmp_path / f"bomb{suffix}")
    with pytest.raises(UserError, match="is a pickle") as caught:
        Deblurrer.from_pretrained(tmp_path / f"bomb{suffix}")
    assert "bluref import" in caught.value.fix
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(("kind", "end"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_an_exported_file_is_a_model_of_any_size_with_its_card(folder, tmp_path, kind, end):
    target = tmp_path / "out" / f"net{end}"
    assert export_network(folder, target, kind) <= BOUND
    deblur = Deblurrer.from_pretrained(target, precision="fp32")
    exact = Deblurrer.from_pretrained(folder, precision="fp32")
    for size in [(1, 1), (23, 24), (24, 70), (61, 50)]:
        image = torch.rand(2, 3, *size)
        torch.testing.assert_close(deblur(image), exact(image), atol=1e-5, rtol=0)
    card = read_card(target)
    assert (card["architecture"], card["training_size"], card["step"]) == ("NAFNet", 16, 7)
    assert card["local_pooling"] is True
    assert len(card["weights_sha256"]) == 64
    names = {p.name for p in target.parent.iterdir()}
    assert names == ({"net.onnx"} if kind == "onnx" else {"net.xml", "net.bin"})
    with pytest.raises(UserError, match="no weights to save"):
        deblur.save_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("end", [".onnx", ".xml"])
def test_what_an_exported_file_cannot_do_is_refused(tmp_path, end):
    path = tmp_path / f"net{end}"
    path.write_bytes(b"")
    wishes = [{"engine": "eager"}, {"engine": "compile"}, {"precision": "fp16"}, {"device": "cuda"}]
    wishes.append({"engine": "openvino"} if end == ".onnx" else {"engine": "onnxruntime"})
    for wish in [*wishes, *([{"precision": "bf16"}] if end == ".onnx" else [])]:
        with pytest.raises(UserError, match=rf"net\{end} .*{next(iter(wish.values()))}"):
            Deblurrer.from_pretrained(path, **wish)


def test_local_pooling_of_an_exported_file_is_what_its_card_says(folder, tmp_path):
    local, whole = tmp_path / "local.onnx", tmp_path / "global.onnx"
    for path, local_pooling in ((local, True), (whole, False)):
        export_network(folder, path, "onnx", local_pooling=local_pooling)
    for engine in ("auto", "onnxruntime"):
        wanted = Deblurrer.from_pretrained(whole, local_pooling=False, engine=engine)
        assert (wanted.window_of, wanted.engine) == (None, "onnxruntime")
    with pytest.raises(UserError, match="local pooling, which cannot be switched off"):
        Deblurrer.from_pretrained(local, local_pooling=False)


def test_torchscript_is_exported_too(folder, tmp_path):
    assert export_network(folder, tmp_path / "net.pt", "torchscript") <= BOUND
    extra = {"bluref": ""}
    with pytest.warns(DeprecationWarning, match="torch.jit.load"):
        loaded = torch.jit.load(str(tmp_path / "net.pt"), _extra_files=extra)
    assert b'"NAFNet"' in extra["bluref"]
    image = torch.rand(1, 3, 70, 33)
    exact = Deblurrer.from_pretrained(folder, precision="fp32")(image)
    torch.testing.assert_close(loaded(image), exact, atol=1e-5, rtol=0)
    shutil.copy(tmp_path / "net.pt", tmp_path / "net.ts")
    for end in (".pt", ".ts"):
        with pytest.raises(UserError, match="is TorchScript") as caught:
            find_model(tmp_path / f"net{end}")
        assert "as .onnx or .xml" in caught.value.fix


def test_the_identity_is_not_exported(tmp_path):
    with pytest.raises(UserError, match="no network to export"):
        export_network("identity", tmp_path / "net.onnx", "onnx")


def test_an_export_that_differs_never_appears(folder, tmp_path, monkeypatch):
    export = sys.modules["bluref.restore.engines.export"]
    monkeypatch.setattr(export, "_open", lambda *_: lambda image: 1 - image)
    for kind, name in (("onnx", "net.onnx"), ("openvino", "net.xml")):
        with pytest.raises(UserError, match="differs from eager"):
            export_network(folder, tmp_path / "out" / name, kind)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_suffix_of_another_format_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="no name for onnx"):
        export_network(folder, tmp_path / "net.xml", "onnx")


@pytest.mark.parametrize("end", [".onnx", ".xml"])
@pytest.mark.parametrize("data", [b"", b"\x08\x07", b"<net", b"\x80\x02}q\x00."])
def test_a_damaged_exported_file_is_told(tmp_path, end, data):
    (tmp_path / f"net{end}").write_bytes(data)
    with pytest.raises(UserError, match="no deblurring network that"):
        Deblurrer.from_pretrained(tmp_path / f"net{end}")


def test_an_exported_file_with_weights_that_are_no_numbers_is_refused(tmp_path):
    from bluref.restore.engines.graph import Graph
    from bluref.restore.engines.graph_files import onnx_bytes

    network = NAFNet(TINY)
    network.ending.bias.data[0] = torch.nan
    (tmp_path / "net.onnx").write_bytes(onnx_bytes(Graph(network, 16)))
    with pytest.raises(UserError, match="not finite"):
        Deblurrer.from_pretrained(tmp_path / "net.onnx")


def test_a_truncated_exported_file_is_told(folder, tmp_path):
    export_network(folder, tmp_path / "net.onnx", "onnx")
    whole = (tmp_path / "net.onnx").read_bytes()
    (tmp_path / "net.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="no deblurring network"):
        Deblurrer.from_pretrained(tmp_path / "net.onnx")


def test_the_network_that_comes_along_sharpens_what_was_moved():
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 48, 48, generator=generator)
    sharp = torch.nn.functional.interpolate(rough, scale_factor=4, mode="bicubic").clamp(0, 1)
    motion = torch.zeros(1, 2, 192, 192)
    motion[:, 0] = 8.0
    blurry = expose_along(sharp, Motion(-motion, motion), Shutter(1.0))
    output = Deblurrer.from_pretrained("general", precision="fp32")(blurry)
    inner = (..., slice(16, -16), slice(16, -16))
    before, after = ((x - sharp)[inner].square().mean() for x in (blurry, output))
    assert after < 0.9 * before


def test_published_weights_without_a_description_are_told_how_to_be_converted(tmp_path):
    path = tmp_path / "NAFNet.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=r"no NAFNet\.json beside it") as caught:
        find_model(path)
    assert f"bluref import {path}" in caught.value.fix
