"""A curated folder is footage that can be trained on as it is."""

import pytest
from tests.frames.shaken import filmed, panned

from bluref.frames.curate import curate
from bluref.frames.frame_table import TABLE, read_table
from bluref.frames.store import FrameStore
from bluref.train.data import find_training_data
from bluref.train.recipe import Recipe

WAVE = [1, 1, 3, 9, 13, 9, 3, 1, 1, 3, 9, 13]


@pytest.mark.slow
def test_samples_are_the_blurry_frames_of_the_table_with_its_sharp_ones(tmp_path):
    images = [panned(WAVE, seed=seed, size=(96, 128)) for seed in (1, 2)]
    filmed(tmp_path / "cut.mp4", images[0] + images[1])
    curate([tmp_path / "cut.mp4"], tmp_path / "data")
    rows = read_table(tmp_path / "data")
    shots = {row.index: f"cut/shot-{row.shot:02d}" for row in rows}
    assert set(shots.values()) == {"cut/shot-01", "cut/shot-02"}
    recipe = Recipe(split="alternating", refs=2)  # the table wins over the split
    found = find_training_data(tmp_path / "data", recipe, FrameStore(tmp_path / "store"))
    by_role = {
        role: {row.index for row in rows if row.role == role} for role in ("sharp", "blurry")
    }
    assert {s.blurry.index for s in found.samples} == by_role["blurry"]
    assert {f.index for f in found.sharp} == by_role["sharp"]
    for sample in found.samples:
        for reference in sample.references:
            assert shots[reference.index] == sample.blurry.clip == reference.clip


def test_a_role_changed_by_hand_changes_what_is_learnt_from(tmp_path):
    filmed(tmp_path / "drive.mp4", panned(WAVE, size=(96, 128)))
    curate([tmp_path / "drive.mp4"], tmp_path / "data")
    table = tmp_path / "data" / TABLE

    def samples():
        store = FrameStore(tmp_path / "store")
        return find_training_data(tmp_path / "data", Recipe(refs=2), store).samples

    before = samples()
    table.write_text(table.read_text().replace(",blurry,", ",skip,", 1))
    assert [s.blurry.index for s in samples()] == [s.blurry.index for s in before][1:]
