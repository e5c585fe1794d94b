"""The base install deblurs; what needs more says what to install."""

import sys

import pytest
import torch

from bluref.cli.main import EXTRAS, main
from bluref.media.picture import write_picture
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig


@pytest.fixture
def base_install(monkeypatch):
    for name in list(sys.modules):
        if name.split(".")[0] in EXTRAS or name.startswith(("bluref.match", "bluref.report")):
            monkeypatch.delitem(sys.modules, name)
    for name in EXTRAS:
        monkeypatch.setitem(sys.modules, name, None)


def test_the_base_install_deblurs(base_install, tmp_path):
    network = NAFNet(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))
    save_network(network, tmp_path / "model", training_size=32, meta={})
    write_picture(torch.rand(1, 3, 20, 24), tmp_path / "in.png")
    model, out = str(tmp_path / "model"), str(tmp_path / "out")
    assert main(["deblur", str(tmp_path / "in.png"), "-o", out, "--model", model]) == 0


def test_matching_without_opencv_names_the_extra(base_install, tmp_path, capsys):
    write_picture(torch.rand(1, 3, 40, 40), tmp_path / "a.png")
    picture = str(tmp_path / "a.png")
    assert main(["match", picture, picture, "-o", str(tmp_path / "out.png")]) == 2
    assert "pip install 'bluref[train]'" in capsys.readouterr().err
