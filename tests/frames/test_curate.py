import errno
import json
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.frames.shaken import filmed, panned
from tests.media.films.films import Film

from bluref.errors import UserError
from bluref.frames import curate as module
from bluref.frames import journal as journal_module
from bluref.frames.curate import MEASURED, curate
from bluref.frames.curation import CurateConfig
from bluref.frames.frame_table import TABLE, read_table, write_table
from bluref.frames.layouts import find_clips
from bluref.frames.split import split_clips
from bluref.frames.store import FrameStore
from bluref.media.picture import picture_size, read_picture, write_picture
from bluref.media.video import stream_grey, stream_video

pytestmark = pytest.mark.slow

WAVE = [1, 1, 3, 9, 13, 9, 3, 1, 1, 3, 9, 13]
SMALL = (96, 128)


@pytest.fixture(scope="module")
def images():
    return panned(WAVE, size=SMALL)


@pytest.fixture(scope="module")
def clips(tmp_path_factory, images):
    """A video, and a folder of pictures of another camera."""
    folder = tmp_path_factory.mktemp("clips")
    filmed(folder / "drive.mp4", images)
    for place, image in enumerate(panned(WAVE, seed=3, size=(80, 112))):
        write_picture(image, folder / "walk" / f"IMG_{place + 40}.jpg")
    (folder / "notes.txt").write_text("none of ours")
    return folder


@pytest.fixture(scope="module")
def curated(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    return out, curate([clips], out, CurateConfig(jobs=2))


def roles(out, clip):
    return {row.index: row.role for row in read_table(out) if row.clip == clip}


def test_every_frame_of_every_kind_of_clip_gets_a_line_and_nothing_is_copied(curated, clips):
    out, report = curated
    assert {(c.clip, c.frames, c.kind) for c in report.clips} == {
        ("walk", 12, "mixed"), ("drive", 12, "mixed")}  # fmt: skip
    assert {p.name for p in out.iterdir()} == {TABLE, MEASURED}
    lengths = np.array(WAVE)
    for clip, first in (("drive", 0), ("walk", 40)):
        found = roles(out, clip)
        assert {lengths[i - first] for i, role in found.items() if role == "sharp"} <= {1, 3}
        assert {lengths[i - first] for i, role in found.items() if role == "blurry"} <= {3, 9, 13}
        assert {"sharp", "blurry"} <= set(found.values())
    for clip in report.clips:
        assert clip.sharp + clip.blurry + clip.skip == clip.frames


def test_positions_are_those_that_the_frame_store_reads(curated, images, tmp_path):
    (clip,) = (clip for clip in find_clips(curated[0]) if clip.name == "drive")
    store = FrameStore(tmp_path)
    for index, frame in {**clip.blurry, **clip.sharp}.items():
        assert float((store.image(frame) - images[index]).abs().mean()) < 0.02


def test_a_second_run_measures_nothing_again(curated, clips, monkeypatch):
    out, report = curated
    before = (out / TABLE).read_bytes()
    monkeypatch.setattr(module, "measure", lambda *_: pytest.fail("measured again"))
    again = curate([clips], out)
    assert (out / TABLE).read_bytes() == before
    assert again.clips == report.clips


@pytest.mark.parametrize("after", [0, 5, 11])
def test_an_interrupted_run_goes_on_to_the_same_table(clips, curated, tmp_path, monkeypatch, after):
    out = tmp_path / "out"
    add = journal_module.Journal.add

    def interrupt(self, row):
        if len(self.rows) == after:
            raise KeyboardInterrupt
        add(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(journal_module.Journal, "add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            curate([clips], out, CurateConfig(jobs=1))
    assert not (out / TABLE).exists()
    torn = next((out / MEASURED).glob("*.jsonl"))
    torn.write_text(torn.read_text() + '{"index": 3, "ti')  # as a crash leaves it
    curate([clips], out)
    assert (out / TABLE).read_bytes() == (curated[0] / TABLE).read_bytes()


def test_a_clip_that_changed_is_measured_anew(clips, tmp_path):
    copy = shutil.copytree(clips, tmp_path / "clips")
    curate([copy / "drive.mp4"], tmp_path / "out")
    filmed(copy / "drive.mp4", panned([1] * 7, size=SMALL))
    assert curate([copy / "drive.mp4"], tmp_path / "out").clips[0].frames == 7


def test_a_table_changed_by_hand_is_never_replaced_unasked(clips, tmp_path):
    source = [clips / "walk"]
    curate(source, tmp_path)
    text = (tmp_path / TABLE).read_text()
    (tmp_path / TABLE).write_text(text.replace(",blurry,", ",sharp,", 1))
    with pytest.raises(UserError, match="changed by hand") as caught:
        curate(source, tmp_path)
    assert "--overwrite" in caught.value.fix
    curate(source, tmp_path, CurateConfig(overwrite=True))
    assert (tmp_path / TABLE).read_text() == text


def test_extracted_frames_are_the_frames_and_the_folder_may_be_moved(clips, images, tmp_path):
    curate([clips / "drive.mp4"], tmp_path / "a", CurateConfig(extract=True))
    moved = (tmp_path / "a").rename(tmp_path / "b")
    (clip,) = find_clips(moved)
    films = {frame.index: frame.image for frame in stream_video(clips / "drive.mp4")}
    assert clip.blurry
    for index, frame in {**clip.blurry, **clip.sharp}.items():
        assert frame.path == moved / "frames" / "drive" / f"{index:06d}.png"
        torch.testing.assert_close(read_picture(frame.path), films[index])


def test_pictures_of_another_clip_of_that_name_are_made_anew(tmp_path):
    film = tmp_path / "film.mp4"
    for seed in (1, 2):
        filmed(film, panned(WAVE, seed=seed, size=SMALL))
        curate([film], tmp_path / "out", CurateConfig(extract=True))
    seen = {frame.index: frame.image for frame in stream_video(film)}
    pictures = sorted((tmp_path / "out" / "frames" / "film").glob("*.png"))
    assert pictures
    for picture in pictures:
        torch.testing.assert_close(read_picture(picture), seen[int(picture.stem)])


def test_copies_never_go_where_ones_own_pictures_lie(tmp_path):
    own = tmp_path / "project" / "frames" / "walk"
    for place, image in enumerate(panned(WAVE, size=SMALL)):
        write_picture(image, own / f"{place:06d}.png")
    before = {path: path.read_bytes() for path in own.iterdir()}
    with pytest.raises(UserError, match="holds pictures of its own"):
        curate([own.parent], tmp_path / "project", CurateConfig(extract=True))
    assert {path: path.read_bytes() for path in own.iterdir()} == before


def test_copies_are_never_made_of_themselves(tmp_path):
    for place, image in enumerate(panned(WAVE, size=SMALL)):
        write_picture(image, tmp_path / "clips" / "walk" / f"{place:06d}.png")
    data = tmp_path / "data"
    curate([tmp_path / "clips"], data, CurateConfig(extract=True))
    copies = {path: path.read_bytes() for path in (data / "frames" / "walk").glob("*.png")}
    shutil.rmtree(tmp_path / "clips")
    with pytest.raises(UserError, match="holds pictures of its own"):
        curate([data / "frames"], data, CurateConfig(extract=True))
    assert len(copies) > 4
    assert {path: path.read_bytes() for path in copies} == copies


@pytest.mark.parametrize("name", ["IMG{:014d}", "{:019d}", "clip 2024-01-31 {:013d}"])
def test_names_that_are_clocks_are_counted_by_place(tmp_path, name):
    for place, image in enumerate(panned(WAVE, size=SMALL)):
        stamp = name.format(20240131123456 if "14" in name else 1706700000000 + 33 * place)
        write_picture(image, tmp_path / "walk" / f"{stamp}{place if '14' in name else ''}.png")
    curate([tmp_path / "walk"], tmp_path / "data")
    assert [row.index for row in read_table(tmp_path / "data")] == list(range(len(WAVE)))


def test_clips_that_differ_in_blanks_are_kept_apart(tmp_path):
    for name in ("walk", "walk ", " walk"):
        for place, image in enumerate(panned(WAVE[:4], size=SMALL)):
            write_picture(image, tmp_path / "clips" / name / f"{place}.png")
    curate([tmp_path / "clips"], tmp_path / "data")
    assert {row.clip for row in read_table(tmp_path / "data")} == {"walk", "walk-2", "walk-3"}


def test_pictures_that_are_named_beside_their_folder_are_one_clip(tmp_path):
    for place, image in enumerate(panned(WAVE, size=SMALL)):
        write_picture(image, tmp_path / "walk" / f"{place:06d}.png")
    given = [tmp_path / "walk", *sorted((tmp_path / "walk").iterdir())]
    curate(given, tmp_path / "data", CurateConfig(extract=True))
    rows = read_table(tmp_path / "data")
    assert {row.clip for row in rows} == {"walk"}
    assert all(row.file.is_file() for row in rows)


def test_a_folder_that_may_not_be_looked_into_is_left_out_and_told(tmp_path, monkeypatch):
    for name in ("open", "closed"):
        for place, image in enumerate(panned(WAVE, size=SMALL)):
            write_picture(image, tmp_path / "clips" / name / f"{place:06d}.png")
    real = Path.iterdir

    def iterdir(path):
        if path.name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    report = curate([tmp_path / "clips"], tmp_path / "data")
    assert [clip.clip for clip in report.clips] == ["open"]
    (left,) = report.failed
    assert left.path.endswith("closed")
    assert "cannot list" in left.reason
    with pytest.raises(UserError, match=r"cannot list .*closed"):
        curate([tmp_path / "clips" / "closed"], tmp_path / "data")


def test_a_name_that_is_no_text_is_told(tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/clips/caf\xe9"))
    try:
        odd.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes no such name")
    write_picture(torch.rand(1, 3, 8, 8), odd / "0.png")
    with pytest.raises(UserError, match=r"caf\\xe9 is not UTF-8"):
        find_clips(tmp_path / "clips")
    with pytest.raises(UserError, match=r"caf\\xe9 is not UTF-8"):
        curate([tmp_path / "clips"], tmp_path / "data")


def test_a_position_beyond_the_film_is_told_with_its_line(clips, tmp_path):
    curate([clips / "drive.mp4"], tmp_path)
    rows = read_table(tmp_path)
    place = next(n for n, row in enumerate(rows) if row.role != "skip")
    write_table([replace(r, position=9999) if n == place else r for n, r in enumerate(rows)],
                tmp_path)  # fmt: skip
    with pytest.raises(UserError, match=rf"line {place + 2}: .* none of number 9999"):
        find_clips(tmp_path)


def test_one_role_alone_is_told_as_what_it_is(clips, tmp_path):
    curate([clips / "drive.mp4"], tmp_path)
    write_table([replace(row, role="sharp") for row in read_table(tmp_path)], tmp_path)
    with pytest.raises(UserError, match="no frame is blurry") as caught:
        split_clips(find_clips(tmp_path), "auto", lambda frame: 0.0)
    assert "--split" not in caught.value.fix


def test_a_full_disk_during_extract_leaves_no_table_and_no_torn_picture(
    clips, tmp_path, monkeypatch
):
    written = []
    real = Path.write_bytes

    def fill(self, data):
        if self.suffix == ".png":
            written.append(self)
            if len(written) == 4:
                real(self, data[: len(data) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fill)
        with pytest.raises(UserError, match="no space left") as caught:
            curate([clips / "drive.mp4"], tmp_path, CurateConfig(extract=True))
    assert "disk" in caught.value.fix
    assert not (tmp_path / TABLE).exists()
    left = sorted((tmp_path / "frames" / "drive").glob("*.png"))
    assert len(left) == 3
    assert all(picture_size(path) == SMALL for path in left)
    report = curate([clips / "drive.mp4"], tmp_path, CurateConfig(extract=True))
    assert len(list((tmp_path / "frames" / "drive").glob("*.png"))) == report.sharp + report.blurry


def test_a_full_disk_while_measuring_is_told(clips, tmp_path, monkeypatch):
    def full(self, row):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.Journal, "add", full)
    with pytest.raises(UserError, match="no space left"):
        curate([clips], tmp_path)


def test_what_cannot_be_read_is_left_out_and_named(clips, tmp_path):
    copy = shutil.copytree(clips, tmp_path / "clips")
    (copy / "broken.mp4").write_bytes(b"no film")
    (copy / "walk" / "IMG_44.jpg").write_bytes(b"no picture")
    report = curate([copy], tmp_path / "out")
    assert sorted(Path(one.path).name for one in report.failed) == ["IMG_44.jpg", "broken.mp4"]
    assert {clip.clip: clip.frames for clip in report.clips} == {"walk": 11, "drive": 12}


@pytest.mark.parametrize(
    ("source", "told"),
    [("absent.mp4", "does not exist"), ("empty", "no video and no picture"), ("broken.mp4",
     "cannot decode")],
)  # fmt: skip
def test_sources_without_a_clip_are_refused(tmp_path, source, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    with pytest.raises(UserError, match=told):
        curate([tmp_path / source], tmp_path / "out")


def test_clips_of_one_name_are_kept_apart_and_the_output_is_not_looked_into(clips, tmp_path):
    for day in ("one", "two"):
        (tmp_path / day).mkdir()
        shutil.copy(clips / "drive.mp4", tmp_path / day)
    out = tmp_path / "data"
    for _ in range(2):
        report = curate([tmp_path], out, CurateConfig(extract=True))
        assert [clip.clip for clip in report.clips] == ["drive", "drive-2"]


def test_a_rate_passes_frames_over_and_numbers_stay(clips, tmp_path):
    curate([clips / "drive.mp4"], tmp_path, CurateConfig(rate=8.0))
    assert list(roles(tmp_path, "drive")) == [0, 3, 6, 9]


def test_variable_frame_rate_keeps_its_times(images, tmp_path):
    times = [0, 1, 2, 10, 11, 12, 13, 30, 31, 32, 33, 34]
    filmed(tmp_path / "a.mkv", images, times=times)
    curate([tmp_path / "a.mkv"], tmp_path / "out")
    rows = read_table(tmp_path / "out")
    assert [row.time for row in rows] == pytest.approx([t / 25 for t in times], abs=2e-3)
    assert [row.index for row in rows] == list(range(12))


@pytest.mark.parametrize("tagged", [True, False])
def test_an_interlaced_clip_is_said_to_be_one_and_its_combs_are_no_detail(tmp_path, tagged):
    """Many converters lose the mark, and the lines tell it all the same."""
    still = panned([13] * 8, size=SMALL, step=8)
    combed = [torch.stack((a[..., ::2, :], b[..., 1::2, :]), dim=-2).flatten(-3, -2)
              for a, b in pairwise(still)]  # fmt: skip
    path = filmed(tmp_path / "old.mp4", combed, interlaced=tagged)
    frames = list(stream_grey(path, longest=960))
    assert all(frame.interlaced for frame in frames)
    assert frames[0].grey.shape == (48, 64)
    comb = frames[0].grey.diff(dim=0).abs().mean() / frames[0].grey.diff(dim=1).abs().mean()
    one = 255 * still[0].mean(dim=1)[0, ::2, ::2]
    assert comb < 1.2 * one.diff(dim=0).abs().mean() / one.diff(dim=1).abs().mean()
    report = curate([path], tmp_path / "out")
    assert any("interlaced" in note for note in report.clips[0].notes)


def test_grey_frames_are_those_of_the_stream(clips):
    path = clips / "drive.mp4"
    whole = list(stream_video(path))
    for frame in stream_grey(path, longest=64, every=5):
        assert frame.reduced == 2
        wanted = 255 * torch.nn.functional.avg_pool2d(whole[frame.index].image.mean(dim=1), 2)[0]
        assert float((frame.grey - wanted).abs().mean()) < 2
        assert frame.time == whole[frame.index].time


def test_the_journal_holds_no_place_of_this_machine(curated):
    for path in (curated[0] / MEASURED).glob("*.jsonl"):
        for line in path.read_text().splitlines():
            assert "/" not in json.dumps(json.loads(line))


def test_a_rotated_video_is_extracted_upright(tmp_path):
    path = Film(codec="libx264", size=(64, 96), frames=6, rotation=90).write(tmp_path / "a.mp4")
    curate([path], tmp_path / "out", CurateConfig(extract=True))
    rows = [row for row in read_table(tmp_path / "out") if row.role != "skip"]
    assert rows
    upright = {frame.index: frame.image for frame in stream_video(path)}
    for row in rows:
        assert picture_size(row.file) == (96, 64)
        torch.testing.assert_close(read_picture(row.file), upright[row.index])
