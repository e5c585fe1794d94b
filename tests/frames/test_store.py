import os
import shutil
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.errors import UserError
from bluref.frames import store as module
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore, check_sizes
from bluref.media.picture import write_picture
from bluref.media.pixels import to_uint8

SIZE = (24, 36)


def picture_frame(path, clip="a", index=0):
    return Frame(clip, index, path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory, noise):
    """A store with one frame and that frame's true pixels."""
    folder = tmp_path_factory.mktemp("kept")
    write_picture(noise(0, *SIZE), folder / "a.png")
    return SimpleNamespace(
        store=FrameStore(folder / "store"),
        frame=picture_frame(folder / "a.png"),
        image=to_uint8(noise(0, *SIZE)).float() / 255,
    )


@st.composite
def crops(draw):
    top, left = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
    height = draw(st.integers(1, SIZE[0] - top))
    width = draw(st.integers(1, SIZE[1] - left))
    return Crop(top, left, height, width, draw(st.booleans()), draw(st.booleans()))


@settings(max_examples=80, deadline=None, database=None)
@given(crop=crops())
def test_a_cut_is_the_crop_of_the_whole(kept, crop):
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, None)
    expected = kept.image[..., rows, columns][..., : crop.width]
    expected = expected.flip(-1) if crop.mirror else expected
    expected = expected.flip(-2) if crop.upend else expected
    assert torch.equal(kept.store.cut(kept.frame, crop), expected)


def test_a_frame_comes_back_as_it_was_and_may_be_written_to(kept):
    image = kept.store.image(kept.frame)
    assert torch.equal(image, kept.image)
    image.zero_()
    assert torch.equal(kept.store.image(kept.frame), kept.image)
    assert kept.store.size(kept.frame) == SIZE


def test_pixels_are_a_view_that_nobody_can_write_to(kept):
    with pytest.raises(ValueError, match="read-only"):
        kept.store.pixels(kept.frame)[0] = 0


def test_one_crop_cuts_the_same_box_of_every_frame(tmp_path, noise):
    write_picture(noise(1), tmp_path / "a.png")
    write_picture(1 - noise(1), tmp_path / "b.png")
    store, crop = FrameStore(tmp_path / "store"), Crop(3, 5, 8, 9, mirror=True)
    a, b = (store.cut(picture_frame(tmp_path / f"{name}.png"), crop) for name in "ab")
    assert (a + b - 1).abs().max() <= 1.01 / 255


def test_frames_are_decoded_once(tmp_path, write_clip, monkeypatch):
    write_clip(tmp_path / "a", range(3))
    frames = [picture_frame(path) for path in sorted((tmp_path / "a").iterdir())]
    FrameStore(tmp_path / "store").prepare(frames)
    monkeypatch.setattr(module, "read_picture", None)
    again = FrameStore(tmp_path / "store")
    again.prepare(frames)
    assert again.image(frames[2]).shape == (1, 3, *SIZE)


def test_what_a_killed_writer_left_goes_when_frames_are_prepared(tmp_path):
    left = tmp_path / "store" / f".{'a' * 16}.partial"
    left.parent.mkdir()
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    FrameStore(tmp_path / "store").prepare([])
    assert not left.exists()


def test_a_file_that_changed_is_decoded_anew(tmp_path, noise):
    frame = picture_frame(tmp_path / "a.png")
    write_picture(noise(0), frame.path)
    before = FrameStore(tmp_path / "store").image(frame)
    write_picture(noise(1), frame.path)
    os.utime(frame.path, ns=(1, 1))
    after = FrameStore(tmp_path / "store").image(frame)
    assert torch.equal(after, to_uint8(noise(1)).float() / 255)
    assert not torch.equal(after, before)


def test_frames_of_a_video_are_found_by_position(tmp_path, write_video):
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    path = write_video(tmp_path / "a.mp4", levels, size=SIZE)
    store = FrameStore(tmp_path / "store")
    frames = {i: Frame("a", i, path, i) for i in range(5)}
    store.prepare([frames[3], frames[1]])
    for i in (1, 3, 0, 4):  # two are prepared, two come when asked for
        assert store.image(frames[i]).mean().item() == pytest.approx(levels[i], abs=0.01)
    assert store.size(frames[0]) == SIZE


def test_a_video_is_read_once_and_no_further_than_needed(tmp_path, write_video, monkeypatch):
    path = write_video(tmp_path / "a.mp4", [0.1, 0.3, 0.5, 0.7, 0.9])
    seen = []

    def watched(path, only):
        for picture in stream_video(path, only=only):
            seen.append(picture.index)
            yield picture

    stream_video = module.stream_video
    monkeypatch.setattr(module, "stream_video", watched)
    told = []
    FrameStore(tmp_path / "store").prepare(
        [Frame("a", i, path, i) for i in (3, 0, 2)],
        tell=lambda done, total: told.append((done, total)),
    )
    assert seen == [0, 2, 3]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_video_that_ends_early_is_told_by_name(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", [0.1, 0.3])
    with pytest.raises(UserError, match=r"a\.mp4 ends before frame 5"):
        FrameStore(tmp_path / "store").prepare([Frame("a", 5, path, 5)])


def test_a_picture_that_cannot_be_read_is_told_by_name(tmp_path, noise):
    write_picture(noise(0), tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    store = FrameStore(tmp_path / "store")
    for path in (tmp_path / "a.png", tmp_path / "missing.png"):
        with pytest.raises(UserError, match=path.name):
            store.prepare([picture_frame(path)])
    assert not list((tmp_path / "store").glob("*"))


def test_a_disk_that_is_too_full_is_told_before_anything_is_decoded(
    tmp_path, write_clip, monkeypatch
):
    write_clip(tmp_path / "a", range(3))
    frames = [picture_frame(path) for path in sorted((tmp_path / "a").iterdir())]
    need = 3 * 3 * SIZE[0] * SIZE[1]
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(need - 1))
    with pytest.raises(UserError, match="decoded frames need"):
        FrameStore(tmp_path / "store" / "frames").prepare(frames)
    assert not (tmp_path / "store").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(need))
    FrameStore(tmp_path / "store" / "frames").prepare(frames)


def test_a_store_that_cannot_be_written_is_told(tmp_path, noise):
    write_picture(noise(0), tmp_path / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        FrameStore(tmp_path / "file" / "store").prepare([picture_frame(tmp_path / "a.png")])


def test_few_files_stay_open_however_many_frames_are_read(tmp_path, write_clip, monkeypatch):
    monkeypatch.setattr(module, "KEPT_OPEN", 2)
    write_clip(tmp_path / "a", range(5))
    frames = [picture_frame(path) for path in sorted((tmp_path / "a").iterdir())]
    store = FrameStore(tmp_path / "store")
    first = [np.array(store.pixels(frame)) for frame in frames]
    assert len(store._open) == 2
    for frame, pixels in zip(frames, first, strict=True):
        assert np.array_equal(store.pixels(frame), pixels)


def test_the_identity_tells_files_and_positions_apart(tmp_path, touch):
    touch(tmp_path, "a.mp4", "b.mp4")
    store = FrameStore(tmp_path)
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    frames = [Frame("c", 0, a, 0), Frame("c", 1, a, 1), Frame("c", 0, a), Frame("c", 0, b, 0)]
    assert len({store.identity(frame) for frame in frames}) == 4
    with pytest.raises(UserError, match=r"missing\.png"):
        store.identity(picture_frame(tmp_path / "missing.png"))


def test_mixed_sizes_in_a_clip_are_refused_by_name(tmp_path, noise):
    for name, size in (("0", (8, 12)), ("1", (8, 12)), ("2", (12, 8))):
        write_picture(noise(0, *size), tmp_path / f"{name}.png")
    store = FrameStore(tmp_path / "store")
    frames = [picture_frame(tmp_path / f"{i}.png", index=i) for i in range(3)]
    check_sizes(frames[:2], store)
    with pytest.raises(UserError, match=r"2\.png is 8x12, but .*0\.png of the same clip is 12x8"):
        check_sizes(frames, store)


def test_clips_may_differ_in_size(tmp_path, noise):
    for name, size in (("0", (8, 12)), ("1", (12, 8))):
        write_picture(noise(0, *size), tmp_path / f"{name}.png")
    store = FrameStore(tmp_path / "store")
    apart = [picture_frame(tmp_path / f"{i}.png", clip=f"clip{i}") for i in range(2)]
    assert [store.size(frame) for frame in apart] == [(8, 12), (12, 8)]
    check_sizes(apart, store)
    with pytest.raises(UserError, match="of the same clip"):  # these very pictures, in one clip
        check_sizes([replace(frame, clip="clip", index=i) for i, frame in enumerate(apart)], store)
