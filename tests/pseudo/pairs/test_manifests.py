"""Manifests, against what the programs ask for that open them; and opened by those, if there."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from bluref.pseudo.pairs.manifests import write_manifests
from bluref.pseudo.pairs.record import KINDS


@pytest.fixture
def folder(pairs) -> Path:
    open_folder, records = pairs
    write_manifests(open_folder.folder, records, version="1.2.3")
    return open_folder.folder


def test_a_line_of_metadata_names_three_pictures_that_are_there(folder, pairs):
    lines = (folder / "metadata.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    assert [line["name"] for line in told] == [record.name for record in pairs[1]]
    for line in told:
        for kind in KINDS:
            assert (folder / line[f"{kind}_file_name"]).is_file()
    # `blur_file_name` becomes a column `blur` of pictures: no other may bear that name.
    assert not {*KINDS} & set(told[0])
    # `datasets` reads one schema for all lines, and takes every *_file_name for a picture.
    assert len({tuple((k, type(v)) for k, v in line.items()) for line in told}) == 1
    assert [k for k in told[0] if k.endswith("file_name")] == [f"{k}_file_name" for k in KINDS]


def test_the_card_says_which_files_are_which_split(folder):
    header = (folder / "README.md").read_text("utf-8").split("---")[1]
    (config,) = yaml.safe_load(header)["configs"]
    (files,) = config["data_files"]
    assert files["split"] == "train"
    listed = {path for pattern in files["path"] for path in folder.glob(pattern)}
    assert {path.parent.name for path in listed} == {*KINDS, folder.name}
    assert len(listed) == 1 + 3 * 2


def test_fiftyone_gets_groups_of_three_slices(folder):
    told = json.loads((folder / "fiftyone" / "metadata.json").read_text("utf-8"))
    assert "version" not in told  # or FiftyOne would expect its database's own format
    samples = json.loads((folder / "fiftyone" / "samples.json").read_text("utf-8"))["samples"]
    groups: dict[str, list[str]] = {}
    for sample in samples:
        assert (folder / "fiftyone" / sample["filepath"]).resolve().is_file()
        groups.setdefault(sample["group"]["_id"]["$oid"], []).append(sample["group"]["name"])
    assert list(groups.values()) == [list(KINDS)] * 2
    assert all(len(key) == 24 and int(key, 16) for key in groups)


def test_the_bytes_are_the_same_whenever_written(folder, pairs):
    def content():
        return {p: p.read_bytes() for p in folder.rglob("[!.]*.json*")}

    before = content()
    write_manifests(folder, pairs[1], version="1.2.3")
    assert content() == before
    assert len(before) == 3


def test_datasets_itself_opens_the_folder(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    given = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    ways = [
        datasets.load_dataset("imagefolder", data_files=f"{folder}/**", **given),
        datasets.load_dataset("imagefolder", data_dir=str(folder), **given),
        datasets.load_dataset(str(folder), **given),
    ]
    for opened in ways:
        assert len(opened) == 2
        assert np.asarray(opened[0]["sharp"]).shape == (16, 20, 3)
        assert opened[0]["expected_psnr"] == 30.0
