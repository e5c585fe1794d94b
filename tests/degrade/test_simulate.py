import json

import av
import numpy as np
import pytest
import torch

from bluref.degrade.simulate import (
    MANIFEST,
    Still,
    simulate,
    simulate_footage,
    simulate_stills,
)
from bluref.degrade.simulation import SimulateConfig
from bluref.errors import UserError
from bluref.media.picture import read_picture, write_picture

SMALL = SimulateConfig(frames=3, size=(32, 48), noise=0.0)


def no_motion(target, reference):
    return torch.zeros(1, 2, *target.shape[-2:])


def never(target, reference):
    raise AssertionError("photographs need no flow")


def photograph(seed: int = 0, h: int = 80, w: int = 100) -> torch.Tensor:
    coarse = torch.rand(1, 3, h // 8, w // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic").clamp(0, 1)


def folder_of(tmp_path, names, **size):
    for k, name in enumerate(names):
        write_picture(photograph(k, **size), tmp_path / "in" / name)
    return tmp_path / "in"


def tree(out):
    """Every file under `out` with its bytes."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_photographs_become_clips_of_a_gopro_tree(tmp_path):
    source = folder_of(tmp_path, ["cat.png", "dog.jpg", "owl.png"])
    report = simulate(source, tmp_path / "out", SMALL, never)
    assert report.kind == "stills"
    assert [(c.split, c.scene, c.frames) for c in report.clips] == [
        ("train", "cat", 3),
        ("train", "dog", 3),
        ("test", "owl", 3),
    ]
    for clip in report.clips:
        for kind in ("blur", "sharp"):
            names = sorted((tmp_path / "out" / clip.split / clip.scene / kind).iterdir())
            assert [p.name for p in names] == ["000000.png", "000001.png", "000002.png"]
            assert read_picture(names[0]).shape == (1, 3, 32, 48)


def test_everything_follows_from_the_seed_and_the_names(tmp_path):
    stills = [Still("a", photograph(0)), Still("b", photograph(1), "test")]
    config = SimulateConfig(frames=2, size=(32, 48), noise=3.0)
    simulate_stills(stills, tmp_path / "one", config)
    simulate_stills(stills[::-1], tmp_path / "two", config)
    one, two = tree(tmp_path / "one"), tree(tmp_path / "two")
    one.pop(MANIFEST), two.pop(MANIFEST)
    assert one == two
    other = SimulateConfig(frames=2, size=(32, 48), noise=3.0, seed=1)
    simulate_stills(stills, tmp_path / "three", other)
    three = tree(tmp_path / "three")
    assert all(three[name] != one[name] for name in one)


def test_noise_falls_on_the_blurry_frames_only(tmp_path):
    grey = [Still("grey", torch.full((1, 3, 80, 100), 0.4))]
    simulate_stills(grey, tmp_path / "out", SimulateConfig(frames=1, size=(32, 48), noise=4.0))
    clip = tmp_path / "out" / "train" / "grey"
    spread = {k: 255 * read_picture(clip / k / "000000.png").std() for k in ("blur", "sharp")}
    assert spread["blur"].item() == pytest.approx(4, abs=0.5)
    assert spread["sharp"] < 0.01


def test_no_two_frames_have_the_same_noise(tmp_path):
    grey = [Still(name, torch.full((1, 3, 80, 100), 0.4)) for name in "ab"]
    simulate_stills(grey, tmp_path / "out", SimulateConfig(frames=2, size=(32, 48)))
    blurry = [data for name, data in tree(tmp_path / "out").items() if "/blur/" in name]
    assert len(set(blurry)) == 4


def test_photographs_of_one_name_get_two_clips(tmp_path):
    source = folder_of(tmp_path, ["cat.jpg", "cat.png"])
    report = simulate(source, tmp_path / "out", SMALL, never)
    assert [clip.scene for clip in report.clips] == ["cat", "cat_2"]


def test_what_cannot_be_used_is_left_out_and_reported(tmp_path):
    source = folder_of(tmp_path, ["cat.png"])
    (source / "broken.png").write_bytes(b"\x89PNG")
    write_picture(torch.rand(1, 3, 20, 20), source / "tiny.png")
    report = simulate(source, tmp_path / "out", SMALL, never)
    assert [clip.scene for clip in report.clips] == ["cat"]
    assert {failure.path for failure in report.failed} == {"broken.png", "tiny"}
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert [failure["path"] for failure in manifest["failed"]] == ["broken.png", "tiny"]
    assert manifest["config"]["size"] == [32, 48]


def test_when_nothing_can_be_used_it_says_why(tmp_path):
    source = folder_of(tmp_path, ["tiny.png"], h=16, w=16)
    with pytest.raises(UserError, match="tiny: 16 x 16 is too small"):
        simulate(source, tmp_path / "out", SMALL, never)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_output_that_is_not_empty_is_left_alone(tmp_path, kind):
    source, out = folder_of(tmp_path, ["cat.png"]), tmp_path / "out"
    if kind == "folder":
        out.mkdir()
        (out / "mine.txt").write_text("mine")
    else:
        out.write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        simulate(source, out, SMALL, never)
    assert (out if kind == "file" else out / "mine.txt").read_text() == "mine"


def test_frames_are_exposed_and_cut_into_clips(tmp_path):
    source = folder_of(tmp_path, [f"{k:03d}.png" for k in range(12)], h=32, w=48)
    config = SimulateConfig(frames=4, noise=0.0, subframes=2)
    report = simulate(source, tmp_path / "out", config, no_motion)
    # 12 frames have 10 whole exposures; the rest of 2 is more than a quarter of a clip.
    assert [(c.scene, c.frames) for c in report.clips] == [
        ("in_000", 4),
        ("in_001", 4),
        ("in_002", 2),
    ]
    assert [c.split for c in report.clips] == ["train", "train", "test"]
    second = tmp_path / "out" / "train" / "in_001" / "sharp" / "000000.png"
    assert torch.equal(read_picture(second), read_picture(source / "005.png"))


def test_a_broken_frame_cuts_the_footage_and_nothing_is_mixed_across_it(tmp_path):
    source = folder_of(tmp_path, [f"{k}.png" for k in range(10)], h=32, w=48)
    (source / "4.png").write_bytes(b"torn")
    report = simulate(source, tmp_path / "out", SimulateConfig(noise=0.0), no_motion)
    assert [clip.frames for clip in report.clips] == [2, 3]  # of 0-3 and of 5-9
    assert [failure.path for failure in report.failed] == ["4.png"]


def test_footage_that_changes_its_size_is_cut_there(tmp_path):
    frames = [torch.rand(1, 3, 32, 32)] * 4 + [torch.rand(1, 3, 40, 32)] * 4
    report = simulate_footage((f for f in frames), tmp_path / "out", SimulateConfig(), no_motion)
    assert [clip.frames for clip in report.clips] == [2, 2]


def test_too_little_footage_is_an_error(tmp_path):
    with pytest.raises(UserError, match="too few frames"):
        simulate_footage([torch.rand(1, 3, 32, 32)] * 2, tmp_path / "out", SMALL, no_motion)


def test_a_folder_of_frames_has_no_rate(tmp_path):
    source = folder_of(tmp_path, ["1.png", "2.png", "3.png"])
    with pytest.raises(UserError, match="without a rate"):
        simulate(source, tmp_path / "out", SimulateConfig(rate=10.0), no_motion)


def record(path, frames: int, rate: int = 30):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(frames):
            pixels = np.full((48, 64, 3), 20 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def test_a_video_keeps_every_so_many_frames_for_a_lower_rate(tmp_path):
    record(tmp_path / "walk.mp4", 12)
    config = SimulateConfig(rate=10.0, noise=0.0, exposure=1.0)
    report = simulate(tmp_path / "walk.mp4", tmp_path / "out", config, no_motion)
    assert report.kind == "videos"
    assert [clip.scene for clip in report.clips] == ["walk_000"]
    sharp = sorted((tmp_path / "out" / "train" / "walk_000" / "sharp").iterdir())
    levels = [255 * read_picture(path).mean().item() for path in sharp]
    assert levels == pytest.approx([60, 120, 180], abs=4)  # frames 3, 6 and 9


def test_a_video_that_cannot_be_decoded_is_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    record(tmp_path / "in" / "walk.mp4", 5)
    (tmp_path / "in" / "torn.mp4").write_bytes(b"not a video")
    report = simulate(tmp_path / "in", tmp_path / "out", SimulateConfig(), no_motion)
    assert [failure.path for failure in report.failed] == ["torn.mp4"]
    assert [clip.frames for clip in report.clips] == [3]


def test_progress_counts_to_what_was_expected(tmp_path):
    told = []
    source = folder_of(tmp_path, ["cat.png", "dog.png"])
    simulate(source, tmp_path / "out", SMALL, never, lambda *counts: told.append(counts))
    assert told == [(k, 6) for k in range(1, 7)]


@pytest.mark.parametrize(("share", "tests"), [(0.0, 0), (0.2, 2), (0.5, 5), (1.0, 10)])
def test_the_share_of_test_clips_is_kept(tmp_path, share, tests):
    source = folder_of(tmp_path, [f"{name}.png" for name in "abcdefghij"])
    config = SimulateConfig(frames=1, size=(32, 48), test=share)
    report = simulate(source, tmp_path / "out", config, never)
    assert sum(clip.split == "test" for clip in report.clips) == tests
