import hashlib
import json
import re

import pytest
import torch
import yaml

from bluref.restore.card import facts_of, model_card
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import load_network, save_network
from bluref.restore.models import find_model, shipped_models
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig

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
        assert not re.search(r"\*\*: *$", body, re.MULTILINE)
        told = facts_of(load_network(path))
        assert [name for name, fact in told.items() if fact in (None, "", [], {})] == []


@pytest.fixture
def shipped(run, monkeypatch):
    """What is known of a network that comes along, where that was asked for from elsewhere."""
    monkeypatch.chdir(run.parent)
    return facts_of(find_model("general"))


def test_the_run_that_one_stands_in_tells_nothing_of_other_networks(run, shipped, monkeypatch):
    monkeypatch.chdir(run)
    told = facts_of(find_model("general"))
    assert told == shipped
    assert "drone" not in str(told)


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"sha256": "0"}'])
def test_a_file_that_is_called_like_a_network_is_not_its_description(
    run, shipped, monkeypatch, text
):
    monkeypatch.chdir(run)
    (run / "general.json").write_text(text)
    assert facts_of(find_model("general")) == shipped


def test_a_network_that_comes_along_has_its_digest(shipped):
    weights = shipped_models()["general"] / "model.safetensors"
    assert shipped["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"sha256": 3}', "[" * 100_000])
def test_a_description_that_is_damaged_meanwhile_has_no_digest(run, text):
    saved = load_network(run)
    (run / "last" / "model.json").write_text(text)
    assert "weights_sha256" not in facts_of(saved)


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
