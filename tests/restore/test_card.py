import json

import pytest
import torch
import yaml

from bluref.restore.card import model_card
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import save_network
from bluref.restore.nafnet import NAFNet, NAFNetConfig

BLANKS = ("None", "null", "nan", "{", "}", "[", "]", "TODO", "More Information", "N/A", "unknown ")


@pytest.fixture
def network():
    return NAFNet(NAFNetConfig(width=4, encoder=(1,), middle=1, decoder=(1,)))


@pytest.fixture
def run(network, tmp_path):
    folder = tmp_path / "run"
    save_network(network, folder / "last", training_size=64, meta={"step": 500, "seed": 3})
    told = {
        "recipe": {"supervised": False, "batch": 8, "loss": "l1"},
        "data": {"folder": "/home/ann/secret/drone", "blurry_frames": 12, "sharp_frames": 34},
        "versions": {"torch": "2.13.0"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(told))
    (folder / "metrics.csv").write_text(
        "step,input_psnr_truth,output_psnr_truth\n100,26.0,26.5\n200,26.2,27.25\n300,,\n"
    )
    return folder


def split(card):
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_tells_what_the_run_knows(run):
    front, body = split(model_card(run))
    assert front["library_name"] == "bluref"
    assert front["pipeline_tag"] == "image-to-image"
    for words in ("12 blurry and 34 sharp frames of drone", "no pairs", "500 on crops of 64 px"):
        assert words in body
    assert "step 200 27.25 dB (blurry input 26.20 dB)" in body
    assert "secret" not in body


def test_nothing_is_left_blank(run, tmp_path, network):
    save_network(network, tmp_path / "bare", training_size=None, meta={})
    for path in (run, tmp_path / "bare"):
        front, body = split(model_card(path))
        assert "license" not in front
        assert "Licence**: Unknown: ask" in body
        assert [blank for blank in BLANKS if blank in body.replace("None were measured", "")] == []
        assert "** :" not in body


@pytest.mark.parametrize("damage", ["", "[]", "recipe: 3", "a: [", "recipe: {}\ndata: {}"])
def test_a_damaged_recipe_leaves_a_card_without_it(run, damage):
    (run / "recipe.yaml").write_text(damage)
    assert "Unknown: the network was saved apart" in model_card(run)


def test_what_is_known_travels_with_a_saved_network(run, tmp_path):
    Deblurrer.from_pretrained(run).save_pretrained(tmp_path / "saved")
    _, body = split((tmp_path / "saved" / "README.md").read_text("utf-8"))
    assert "12 blurry and 34 sharp frames of drone" in body
    assert "27.25 dB" in body
    image = torch.rand(1, 3, 20, 20)
    again = Deblurrer.from_pretrained(tmp_path / "saved")
    assert torch.equal(again(image), Deblurrer.from_pretrained(run)(image))
    assert again.window_of == 64


def test_a_licence_is_told_in_the_front_matter(network, tmp_path):
    save_network(network, tmp_path, training_size=8, meta={"licence": "Apache-2.0"})
    front, body = split(model_card(tmp_path))
    assert front["license"] == "apache-2.0"
    assert "**Licence**: Apache-2.0" in body


def test_an_imported_network_says_that_others_made_it(network, tmp_path):
    meta = {"imported": "NAFNet", "from": "NAFNet-GoPro.pth"}
    save_network(network, tmp_path, training_size=8, meta=meta)
    assert "Published by others and converted" in model_card(tmp_path)


def test_the_digest_is_that_of_the_weights(run):
    digest = json.loads((run / "last" / "model.json").read_text())["sha256"]
    assert digest in model_card(run)
