import contextlib
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from tests.media.films.films import Film, look

from bluref.errors import UserError
from bluref.frames.sharpness import WINDOW
from bluref.media.films.encoders import SEGMENT
from bluref.restore.tiling.guard import GuardNote
from bluref.restore.work import video
from bluref.restore.work.video import VideoOptions, deblur_video

pytestmark = pytest.mark.slow

FRAMES = 2 * SEGMENT + 35


def softer(image):
    return image * 0.9 + 0.03


class Interrupted:
    """Works until it has done so many frames, and is interrupted in the next."""

    def __init__(self, frames):
        self.left = frames

    def __call__(self, image):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return softer(image)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    times = [i * 20 + i % 3 for i in range(FRAMES)]
    made = Film("libx264", size=(32, 48), frames=FRAMES, times=times, sound="aac")
    made.time_base = Fraction(1, 600)
    return made.write(folder / "a.mp4")


@pytest.fixture(scope="module")
def uninterrupted(film):
    deblur_video(film, film.with_name("whole.mp4"), softer, identity="x")
    return look(film.with_name("whole.mp4"))


def assert_same(path, expected):
    seen = look(path)
    assert seen.samples == expected.samples
    assert seen.ticks == expected.ticks
    assert seen.packets == expected.packets


def hidden(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


@pytest.mark.parametrize("done", [1, SEGMENT + 20, FRAMES - 1])
def test_interrupted_at_any_frame_it_goes_on_to_the_same_film(tmp_path, film, uninterrupted, done):
    target = tmp_path / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        deblur_video(film, target, Interrupted(done), identity="x")
    assert not target.exists()
    report = deblur_video(film, target, softer, identity="x")
    # What was handed on and not yet encoded is done again.
    assert report.resumed in (done // SEGMENT * SEGMENT, max(0, done - 2) // SEGMENT * SEGMENT)
    assert report.resumed + SEGMENT > done - 2
    assert (report.frames, report.changed) == (FRAMES, FRAMES)
    assert_same(target, uninterrupted)
    assert hidden(tmp_path) == []


def test_it_goes_on_through_many_interruptions(tmp_path, film, uninterrupted):
    calls = 0
    while not (tmp_path / "b.mp4").exists():
        calls += 1
        with contextlib.suppress(KeyboardInterrupt):
            deblur_video(film, tmp_path / "b.mp4", Interrupted(SEGMENT + 9), identity="x")
    assert calls == 3
    assert_same(tmp_path / "b.mp4", uninterrupted)


def test_interrupted_while_joining_it_only_joins(tmp_path, film, uninterrupted, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(video, "write_film", interrupt)
        with pytest.raises(KeyboardInterrupt):
            deblur_video(film, tmp_path / "b.mp4", softer, identity="x")
    report = deblur_video(
        film, tmp_path / "b.mp4", lambda _: pytest.fail("all was done"), identity="x"
    )
    assert (report.frames, report.resumed) == (FRAMES, FRAMES)
    assert_same(tmp_path / "b.mp4", uninterrupted)


@pytest.mark.parametrize("change", ["options", "model", "source"])
def test_what_was_begun_otherwise_is_begun_anew_and_told(tmp_path, film, change):
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(film.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        deblur_video(source, target, Interrupted(SEGMENT + 9), identity="x")
    if change == "source":
        source.write_bytes(film.read_bytes() + bytes(8))
    options = VideoOptions(crf=30) if change == "options" else None
    identity = "y" if change == "model" else "x"
    report = deblur_video(source, target, softer, identity=identity, options=options)
    assert report.resumed == 0
    (note,) = [note for note in report.notes if "anew" in note]
    assert change in note
    assert report.frames == FRAMES


def test_a_limit_that_was_raised_meanwhile_changes_nothing(tmp_path, film, uninterrupted):
    target = tmp_path / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        deblur_video(film, target, Interrupted(SEGMENT + 9), identity="x")
    options = VideoOptions(max_pixels=10**9)
    report = deblur_video(film, target, softer, identity="x", options=options)
    assert (report.resumed, report.notes) == (SEGMENT, ())
    assert_same(target, uninterrupted)


class Guarded(Interrupted):
    """Finds something in every third image, and something else in the first."""

    def __init__(self, frames):
        super().__init__(frames)
        self.seen = 0

    def heard(self):
        notes = [GuardNote("already sharp", "input", 1, 0.5)] if self.seen % 3 == 0 else []
        notes += [GuardNote("noise", "kept", 2, 1.0)] if self.seen == 0 else []
        self.seen += 1
        return notes


def test_what_the_guard_found_before_an_interruption_is_told(tmp_path, film):
    first, second = Guarded(SEGMENT + 9), Guarded(FRAMES)
    with pytest.raises(KeyboardInterrupt):
        deblur_video(film, tmp_path / "b.mp4", first, identity="x", heard=first.heard)
    second.seen = SEGMENT
    report = deblur_video(film, tmp_path / "b.mp4", second, identity="x", heard=second.heard)
    assert report.resumed == SEGMENT
    thirds = len(range(0, FRAMES, 3))
    assert report.guard == (
        GuardNote("already sharp", "input", thirds, thirds / 2 / FRAMES),
        GuardNote("noise", "kept", 1, 1 / FRAMES),
    )


class Stumbling(Film):
    """All frames are sharp but the one before the second segment."""

    def picture(self, index):
        frame = super().picture(7)
        for plane in frame.planes if index == SEGMENT - 1 else ():
            plane.update(bytes([100]) * plane.buffer_size)
        return frame


def test_only_blurry_judges_the_same_after_an_interruption(tmp_path):
    film = Stumbling(size=(32, 48), frames=2 * SEGMENT).write(tmp_path / "a.mkv")
    options = VideoOptions(only_blurry=True)
    deblur_video(film, tmp_path / "whole.mkv", softer, identity="x", options=options)
    with pytest.raises(KeyboardInterrupt):
        deblur_video(
            film, tmp_path / "b.mkv", Interrupted(SEGMENT + 9), identity="x", options=options
        )
    report = deblur_video(film, tmp_path / "b.mkv", softer, identity="x", options=options)
    assert report.resumed == SEGMENT
    assert report.passed_through == 2 * WINDOW
    assert_same(tmp_path / "b.mkv", look(tmp_path / "whole.mkv"))


def test_a_segment_that_is_damaged_is_made_again(tmp_path, film, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        deblur_video(film, tmp_path / "b.mp4", Interrupted(2 * SEGMENT + 9), identity="x")
    second = sorted(tmp_path.glob(".*/*.segment"))[1]
    second.write_bytes(second.read_bytes()[:-5])
    report = deblur_video(film, tmp_path / "b.mp4", softer, identity="x")
    assert report.resumed == SEGMENT
    assert_same(tmp_path / "b.mp4", uninterrupted)


def test_two_processes_never_write_one_film(tmp_path, film):
    def second(_):
        deblur_video(film, tmp_path / "b.mp4", softer, identity="x")

    with pytest.raises(UserError, match="another process is writing"):
        deblur_video(film, tmp_path / "b.mp4", second, identity="x")


def test_an_error_of_the_network_comes_out_as_it_is(tmp_path, film):
    def broken(_):
        raise ZeroDivisionError("in the network")

    with pytest.raises(ZeroDivisionError, match="in the network"):
        deblur_video(film, tmp_path / "b.mp4", broken, identity="x")


WORK = """
import sys, time
from bluref.restore.work.video import deblur_video
def softer(image):
    time.sleep(0.01)
    return image * 0.9 + 0.03
print("begun", flush=True)
deblur_video(sys.argv[1], sys.argv[2], softer, identity="x")
"""


def test_killed_at_random_moments_it_goes_on_to_the_same_film(tmp_path, film, uninterrupted):
    line = [sys.executable, "-c", WORK, str(film), str(tmp_path / "b.mp4")]
    chance = random.Random(5)
    kills = 0
    while True:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        with process.stdout as output:
            assert output.readline() == "begun\n"
        moment = time.monotonic() + (chance.uniform(0.1, 0.9) if kills < 6 else 60)
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0
    assert kills >= 2
    assert_same(tmp_path / "b.mp4", uninterrupted)
    assert hidden(tmp_path) == []
