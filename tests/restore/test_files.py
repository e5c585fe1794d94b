import json
import struct

import pytest
import safetensors.torch
import torch

from bluref.errors import UserError
from bluref.restore.files import load_network, save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.networks.restormer import Restormer, RestormerConfig
from bluref.weights import folder as folder_of_weights

CONFIG = NAFNetConfig(width=4, encoder=(1, 2), middle=1, decoder=(1, 0))


@pytest.fixture
def network():
    return NAFNet(CONFIG)


@pytest.fixture
def folder(network, tmp_path):
    save_network(network, tmp_path / "net", training_size=64, meta={"step": 7})
    return tmp_path / "net"


def describe(folder, *, redo_digest=False, **changes):
    """Change entries of model.json; the digest goes unless it is to be tested."""
    path = folder / "model.json"
    told = json.loads(path.read_text("utf-8")) | changes
    if redo_digest:
        del told["sha256"]
    path.write_text(json.dumps(told), "utf-8")


def replace_weights(folder, change):
    state = safetensors.torch.load_file(folder / "model.safetensors")
    safetensors.torch.save_file(change(state), folder / "model.safetensors")
    describe(folder, redo_digest=True)


def same(a, b):
    states = a.state_dict(), b.state_dict()
    return list(states[0]) == list(states[1]) and all(
        map(torch.equal, *(s.values() for s in states))
    )


def test_what_was_saved_is_loaded_bit_for_bit(network, folder):
    saved = load_network(folder)
    assert same(saved.model, network)
    assert saved.model.config == CONFIG
    assert (saved.training_size, saved.meta) == (64, {"step": 7})
    assert all(p.requires_grad for p in saved.model.parameters())


def test_a_restormer_is_saved_and_loaded_as_well(tmp_path):
    config = RestormerConfig(width=4, blocks=(1, 1, 1, 1), refinement=1, heads=(1, 1, 2, 2))
    network = Restormer(config)
    save_network(network, tmp_path, training_size=64, meta={})
    saved = load_network(tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["architecture"] == "restormer"
    assert isinstance(saved.model, Restormer)
    assert same(saved.model, network)
    assert saved.model.config == config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 10**12}, "width must be even in"),
        ({"width": "48"}, "wrong restormer configuration"),
        ({"heads": [1, 2, 4]}, "must be given for 4 levels"),
        ({"heads": [1, 2, 4, 0]}, "heads must divide 384 channels, got 0"),
        ({"heads": [1.5, 2, 4, 8]}, "wrong restormer configuration"),
        ({"expansion": float("nan")}, "expansion must lie in"),
        ({"encoder": [1, 1]}, "wrong restormer configuration"),
    ],
)
def test_a_wrong_restormer_is_told(folder, config, message):
    describe(folder, architecture="restormer", config=config)
    with pytest.raises(UserError, match=message):
        load_network(folder)


def test_a_network_in_channels_last_is_saved_as_well(network, tmp_path):
    save_network(
        network.to(memory_format=torch.channels_last), tmp_path, training_size=None, meta={}
    )
    assert same(load_network(tmp_path).model, network)
    assert load_network(tmp_path).training_size is None


def test_a_run_folder_gives_the_best_and_else_the_last(tmp_path):
    ours = {name: NAFNet(CONFIG) for name in ("last", "best")}
    for name, network in ours.items():
        save_network(network, tmp_path / name, training_size=8, meta={})
        assert same(load_network(tmp_path).model, network)


def test_a_weights_file_is_taken_with_the_json_of_its_name(network, folder):
    for end in (".safetensors", ".json"):
        (folder / f"model{end}").rename(folder / f"mine{end}")
    assert same(load_network(folder / "mine.safetensors").model, network)


def test_other_files_in_the_folder_stay(network, folder):
    (folder / "optimizer.pt").write_text("here")
    save_network(network, folder, training_size=64, meta={})
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "model.json", "optimizer.pt"}


def test_loading_leaves_the_random_state_alone(folder):
    before = torch.get_rng_state()
    load_network(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_half_precision_are_loaded_in_float32(folder):
    replace_weights(folder, lambda state: {k: v.half() for k, v in state.items()})
    assert {p.dtype for p in load_network(folder).model.parameters()} == {torch.float32}


def test_a_crash_between_the_two_files_is_found_out(folder, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_of_weights, "write_text_whole", crash)
    with pytest.raises(KeyboardInterrupt):
        save_network(NAFNet(CONFIG), folder, training_size=64, meta={"step": 8})
    with pytest.raises(UserError, match="is not the file that"):
        load_network(folder)


def test_a_flipped_bit_is_found_out(folder):
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="is not the file that"):
        load_network(folder)


def test_only_known_architectures_are_saved(tmp_path):
    with pytest.raises(ValueError, match="got Linear"):
        save_network(torch.nn.Linear(1, 1), tmp_path, training_size=None, meta={})


@pytest.mark.parametrize("missing", ["model.safetensors", "model.json"])
def test_a_missing_half_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(UserError, match=missing):
        load_network(folder)


def test_a_path_that_is_not_there_or_no_weights_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no model at .*nothing"):
        load_network(tmp_path / "nothing")
    (tmp_path / "old.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(UserError, match=r"old\.pth is not a \.safetensors file"):
        load_network(tmp_path / "old.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, r"has format 2, this version reads up to 1"),
        ({"format": "1"}, "does not describe a network"),
        ({"architecture": "restormer9"}, "unknown architecture 'restormer9'"),
        ({"architecture": ["nafnet"]}, "unknown architecture"),
        ({"config": {"width": 0}}, r"width must lie in \[1, 1024\], got 0"),
        ({"config": {"width": 10**12}}, "width must lie in"),
        ({"config": {"width": "4"}}, "wrong nafnet configuration"),
        ({"config": {"width": 4.5}}, "wrong nafnet configuration"),
        ({"config": {"height": 4}}, "wrong nafnet configuration"),
        ({"config": {"encoder": [10**9], "decoder": [1]}}, "blocks per level"),
        ({"config": {"encoder": 3}}, "wrong nafnet configuration"),
        ({"config": [1]}, "lacks weight|unknown weight"),
        ({"config": {"width": 8, "encoder": [1, 2], "decoder": [1, 0]}}, "of shape"),
        ({"training_size": 0}, "training_size"),
        ({"training_size": "64"}, "training_size"),
        ({"meta": 3}, "meta"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder, changes, message):
    describe(folder, **changes)
    with pytest.raises(UserError, match=message) as caught:
        load_network(folder)
    assert str(folder) in caught.value.problem


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"format": 1', "\xff", "[" * 100_000]
)
def test_a_broken_description_is_refused(folder, text):
    (folder / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"model\.json"):
        load_network(folder)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02}q\x00.",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 5) + b'{"a":',
        struct.pack("<Q", 8) + b'{"a": 1}',
        struct.pack("<Q", 53) + b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}\0',
    ],
)
def test_a_broken_weights_file_is_refused(folder, data):
    (folder / "model.safetensors").write_bytes(data)
    describe(folder, redo_digest=True)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_network(folder)


def test_a_truncated_weights_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    describe(folder, redo_digest=True)
    with pytest.raises(UserError, match="damaged"):
        load_network(folder)


def test_files_far_larger_than_the_network_are_not_read(folder):
    for name in ("model.json", "model.safetensors"):
        with (folder / name).open("r+b") as file:
            size = file.seek(0, 2)
            file.truncate(2**40)  # sparse: takes no room on the disk
        with pytest.raises(UserError, match=rf"{name} holds {2**40} bytes"):
            load_network(folder)
        with (folder / name).open("r+b") as file:
            file.truncate(size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: {k: v for k, v in s.items() if k != "ending.bias"},
            "lacks weight 'ending.bias'",
        ),
        (lambda s: {**s, "x.y": torch.ones(1)}, "has an unknown weight 'x.y'"),
        (lambda s: {**s, "ending.bias": torch.ones(4)}, r"'ending.bias' of shape \(4,\)"),
        (lambda s: {**s, "ending.bias": torch.tensor([0, torch.nan, 0])}, "not finite"),
        (lambda s: {**s, "ending.bias": torch.tensor([0, -torch.inf, 0])}, "not finite"),
        (lambda s: {**s, "ending.bias": s["ending.bias"].double() + 1e300}, "not finite"),
        (lambda s: {**s, "ending.bias": s["ending.bias"].to(torch.complex64)}, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    replace_weights(folder, change)
    with pytest.raises(UserError, match=message):
        load_network(folder)


def test_a_folder_that_cannot_be_written_is_named(network, tmp_path):
    (tmp_path / "net").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write .*net"):
        save_network(network, tmp_path / "net", training_size=None, meta={})
