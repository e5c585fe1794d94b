import json
import shlex

import pytest
import torch

from bluref.cli.import_ import USES
from bluref.cli.main import main
from bluref.match.files import load_matcher
from bluref.match.pdcnet.convert import pdcnet_from_state_dict
from bluref.media.picture import read_picture, write_picture
from bluref.restore.files import load_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.weights.published import read_published


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    network = NAFNet(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))
    torch.save({"params": network.state_dict()}, tmp_path / "nafnet.pth")
    return tmp_path / "nafnet.pth"


@pytest.mark.slow
def test_parity_of_a_published_matcher_that_went_through_import(parity, tmp_path, capsys):
    weights = parity.weights("pdcnet_plus/pdcnet_state_dict.json")
    torch.save({"state_dict": weights, "epoch": 1}, tmp_path / "PDCNet.pth.tar")
    folder = tmp_path / "matcher"
    assert main(["import", str(tmp_path / "PDCNet.pth.tar"), "-o", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    direct = pdcnet_from_state_dict(weights)
    assert told == {
        "kind": "PDC-Net+",
        "parameters": sum(p.numel() for p in direct.parameters()),
        "folder": str(folder),
        "use": f"bluref match TARGET REFERENCE -o PICTURE --matcher {folder}",
    }
    loaded = load_matcher(folder).network
    assert loaded.config == direct.config
    theirs = direct.state_dict()
    assert loaded.state_dict().keys() == theirs.keys()
    assert all(torch.equal(v, theirs[k]) for k, v in loaded.state_dict().items())


def test_the_command_that_is_told_runs_the_network(checkpoint, tmp_path, capsys):
    write_picture(torch.rand(1, 3, 24, 32), tmp_path / "in.png")
    folder = tmp_path / "my net"
    assert main(["import", str(checkpoint), "-o", str(folder)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{checkpoint} is a NAFNet" in told.err
    bluref, *arguments = shlex.split(told.err.split("use it: ")[1])
    assert bluref == "bluref"
    arguments[arguments.index("PICTURES")] = str(tmp_path / "in.png")
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    assert read_picture(tmp_path / "out" / "in.png").shape == (1, 3, 24, 32)


def test_what_cannot_be_imported_is_the_users_to_fix(checkpoint, tmp_path, capsys):
    torch.save({"encoder.weight": torch.ones(1)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    folder = tmp_path / "net"
    for wrong in ("other.pth", "text.pth", "missing.pth"):
        assert main(["import", str(tmp_path / wrong), "-o", str(folder)]) == 2
        said = capsys.readouterr().err
        assert wrong in said
        assert "  fix: " in said
    assert not folder.exists()


def test_without_a_folder_it_goes_into_one_of_the_checkpoints_name(
    checkpoint, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    bare = checkpoint.rename(tmp_path / "weights")  # a folder cannot take this name
    assert main(["import", str(bare)]) == 0
    assert "--model weights-imported" in capsys.readouterr().err
    assert (tmp_path / "weights-imported" / "model.safetensors").is_file()
    bare.rename(tmp_path / "Net.pth.tar")
    assert main(["import", "Net.pth.tar"]) == 0
    assert (tmp_path / "Net" / "model.json").is_file()


def test_the_averaged_weights_are_preferred(checkpoint, tmp_path, capsys):
    kept = read_published(checkpoint)["params"]
    averaged = {name: value + 1 for name, value in kept.items()}
    torch.save({"params": kept, "params_ema": averaged}, checkpoint)
    assert main(["import", str(checkpoint), "-o", str(tmp_path / "net")]) == 0
    found = load_network(tmp_path / "net").model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in averaged.items())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda w: {**w, "intro.weight": torch.zeros(4, 6, 3, 3)},
            "intro.weight is 4x6x3x3 where a network for pictures of three colours has 4x3x3x3",
        ),
        (
            lambda w: {**w, "up.0.weight": torch.ones(1), "up.0.bias": torch.ones(1)},
            "up.0.weight and 1 more are foreign to one",
        ),
        (lambda w: {k: v for k, v in w.items() if k != "ending.bias"}, "ending.bias is missing"),
    ],
)
def test_a_network_for_another_task_is_refused_with_the_reason(
    checkpoint, tmp_path, capsys, spoil, said
):
    torch.save(spoil(read_published(checkpoint)["params"]), checkpoint)
    assert main(["import", str(checkpoint), "-o", str(tmp_path / "net")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Error(s) in loading" not in err


def test_every_use_names_the_folder_and_a_verb():
    from bluref.cli.main import VERBS

    for use in USES.values():
        assert "{folder}" in use
        assert use.split()[1] in VERBS
