"""Shards against the convention: the same name up to the first dot, one after the other."""

import io
import json
import tarfile
from itertools import groupby

import numpy as np
import pytest
from PIL import Image

from bluref.pseudo.pairs import shards as module
from bluref.pseudo.pairs.record import KINDS
from bluref.pseudo.pairs.shards import write_shards


def streamed(paths):
    """What a reader of WebDataset makes of shards: {kind: bytes} by key, read as a stream."""
    for path in paths:
        with tarfile.open(path, "r|") as tar:
            members = [(m.name, tar.extractfile(m).read()) for m in tar]
        for key, group in groupby(members, lambda member: member[0].partition(".")[0]):
            yield key, {name.partition(".")[2]: content for name, content in group}


def test_a_stream_gives_every_pair_whole(pairs):
    folder, records = pairs
    samples = dict(streamed(write_shards(folder.folder, records)))
    assert list(samples) == [record.name for record in records]
    for record in records:
        sample = samples[record.name]
        assert set(sample) == {"blur.png", "sharp.png", "trust.png", "json"}
        for kind in KINDS:
            assert sample[f"{kind}.png"] == record.file(folder.folder, kind).read_bytes()
        assert json.loads(sample["json"])["expected_psnr"] == record.expected_psnr
        assert np.asarray(Image.open(io.BytesIO(sample["blur.png"]))).shape == (16, 20, 3)


def test_the_bytes_are_the_same_whenever_written(pairs):
    folder, records = pairs
    (path,) = write_shards(folder.folder, records)
    before = path.read_bytes()
    for kind in KINDS:
        records[0].file(folder.folder, kind).touch()
    (path,) = write_shards(folder.folder, records)
    assert path.read_bytes() == before


def test_nobodys_name_and_no_time_is_in_the_headers(pairs):
    folder, records = pairs
    (path,) = write_shards(folder.folder, records)
    with tarfile.open(path) as tar:
        told = {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in tar}
    assert told == {(0, 0, "", "", 0, 0o644)}


def test_a_shard_that_is_full_is_followed_by_another_and_no_old_one_stays(pairs, monkeypatch):
    folder, records = pairs
    monkeypatch.setattr(module, "LARGEST", 1)
    two = write_shards(folder.folder, records)
    assert [path.name for path in two] == ["pairs-000000.tar", "pairs-000001.tar"]
    assert [key for key, _ in streamed(two)] == [record.name for record in records]
    one = write_shards(folder.folder, records[:1])
    assert sorted((folder.folder / "shards").iterdir()) == one


def test_webdataset_itself_reads_them(pairs):
    webdataset = pytest.importorskip("webdataset")
    folder, records = pairs
    paths = write_shards(folder.folder, records)
    read = list(webdataset.WebDataset([str(p) for p in paths], shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in read] == [record.name for record in records]
    assert read[0]["blur.png"].shape == (16, 20, 3)
