"""A curated folder is footage that can be trained on as it is."""

import pytest
from tests.frames.shaken import filmed, panned

from bluref.frames.curate import curate
from bluref.frames.frame_table import TABLE, read_table
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
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


def write_clip(data, lengths):
    for index, image in enumerate(panned(lengths, size=(96, 128))):
        write_picture(image, data / "clip" / f"{index:06d}.png")


def test_skipped_pictures_show_how_those_beside_them_moved(tmp_path):
    data = tmp_path / "data"
    names = [f"{index:06d}.png" for index in range(7)]
    write_clip(data, [1, 3, 9, 3, 1, 1, 3])
    (data / "clip" / names[6]).unlink()
    roles = ["sharp", "skip", "blurry", "skip", "sharp", "skip", "skip"]
    sharpness = ["1", "1", "1", "1", "1", "", "1"]  # 5 was never looked at
    lines = [
        f"clip,{index},{role},clip/{name},{seen}"
        for index, (role, name, seen) in enumerate(zip(roles, names, sharpness, strict=True))
    ]
    (data / TABLE).write_text("\n".join(["clip,index,role,file,sharpness", *lines]) + "\n")
    found = find_training_data(data, Recipe(refs=2), FrameStore(tmp_path / "store"))
    assert {frame.index for frame in found.learnt} == {0, 2, 4}
    assert {frame.index for frame in found.beside} == {1, 3}


def test_a_repeated_picture_shows_no_motion(tmp_path):
    data = tmp_path / "data"
    write_clip(data, [1, 1, 9])
    (data / TABLE).write_text(
        "clip,index,role,file,sharpness,duplicate\n"
        "clip,0,sharp,clip/000000.png,1,\n"
        "clip,1,skip,clip/000001.png,1,0\n"
        "clip,2,blurry,clip/000002.png,1,\n"
    )
    found = find_training_data(data, Recipe(refs=1), FrameStore(tmp_path / "store"))
    assert not found.beside


@pytest.mark.parametrize("harm", ["size", "header", "body"])
def test_a_skipped_picture_that_does_not_serve_stops_nothing(tmp_path, harm):
    data = tmp_path / "data"
    write_clip(data, [1, 3, 9])
    skipped = data / "clip" / "000001.png"
    if harm == "size":
        write_picture(panned([1], size=(64, 64))[0], skipped)
    else:
        whole = skipped.read_bytes()
        skipped.write_bytes(b"nothing" if harm == "header" else whole[: len(whole) // 2])
    (data / TABLE).write_text(
        "clip,index,role,file,sharpness\n"
        "clip,0,sharp,clip/000000.png,1\n"
        "clip,1,skip,clip/000001.png,1\n"
        "clip,2,blurry,clip/000002.png,1\n"
    )
    found = find_training_data(data, Recipe(refs=1), FrameStore(tmp_path / "store"))
    assert not found.beside
    assert len(found.samples) == 1
