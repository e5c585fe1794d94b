"""Motion and exposure, found before a run begins."""

import json
from dataclasses import replace

import pytest
from tests.train.conftest import Other, panorama

from bluref.degrade.kernels import MotionConfig
from bluref.errors import UserError
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.pseudo.motion import FootageMotion
from bluref.train import given, moving
from bluref.train.banks import bank_of
from bluref.train.batches import SyntheticBatches
from bluref.train.data import find_training_data
from bluref.train.motion_batches import MotionBatches
from bluref.train.observe import Observer
from bluref.train.run import train

pytestmark = pytest.mark.slow


class Listening(Observer):
    def __init__(self):
        self.messages, self.motion = [], []

    def on_message(self, text):
        self.messages.append(text)

    def on_motion(self, done, total):
        self.motion.append((done, total))


def test_a_run_finds_how_long_the_shutter_was_open(footage, recipe, tmp_path):
    heard = Listening()
    train(footage, tmp_path / "run", replace(recipe, steps=2), observer=heard)
    told = json.loads((tmp_path / "run" / "exposure.json").read_text())
    # Five positions one pixel apart at three pixels per frame.
    assert told["exposure"] == pytest.approx(5 / 3, abs=0.35)
    assert any("the shutter was open for 1." in text for text in heard.messages)
    assert heard.motion[-1] == (16, 16)


def test_what_was_found_is_not_looked_for_again(footage, recipe, tmp_path, monkeypatch):
    run, heard = tmp_path / "run", Listening()
    train(footage, run, replace(recipe, steps=1))
    (run / "exposure.json").write_text('{"exposure": 0.9, "answers": [0.9]}')
    seen, fit = [], moving.fit_exposure
    monkeypatch.setattr(moving, "fit_exposure", lambda *a, **k: seen.append(a) or fit(*a, **k))
    train(footage, run, replace(recipe, steps=1), resume=True, observer=heard)
    assert not seen
    (run / "exposure.json").write_text('{"exposure": 0.9, "ans')  # torn
    train(footage, run, replace(recipe, steps=1), resume=True, observer=heard)
    assert len(seen) == 1
    assert json.loads((run / "exposure.json").read_text())["exposure"] > 1


@pytest.mark.parametrize(
    "settings",
    [
        {"blur": "kernels", "gate": 0.0},
        {"warm_start": 0, "anchor": 0.0, "gate": 0.0},
        {"supervised": True},
    ],
)
def test_motion_is_not_looked_for_where_nothing_needs_it(footage, recipe, tmp_path, settings):
    heard = Listening()
    train(footage, tmp_path / "run", replace(recipe, steps=1, **settings), observer=heard)
    assert not heard.motion
    assert not (tmp_path / "run" / "motion").exists()


@pytest.mark.parametrize("settings", [{"gate": 0.04}, {"gate": 0.0, "reblur": 0.1}])
def test_the_gate_and_re_blurring_need_it(footage, recipe, tmp_path, settings):
    plain = {"blur": "kernels", "warm_start": 0, "anchor": 0.0}
    train(footage, tmp_path / "run", replace(recipe, steps=1, **plain, **settings))
    assert (tmp_path / "run" / "motion" / "round-0000").is_dir()


def test_an_exposure_that_is_given_is_not_looked_for(footage, recipe, tmp_path):
    train(footage, tmp_path / "run", replace(recipe, steps=1, exposure=0.8))
    assert (tmp_path / "run" / "motion" / "round-0000").is_dir()
    assert not (tmp_path / "run" / "exposure.json").exists()


def test_single_photographs_are_blurred_by_random_kernels(recipe, tmp_path):
    data = tmp_path / "photographs"
    for index in range(4):
        picture = panorama(index)[..., :96]
        write_picture(picture, data / "sharp" / f"scene{index}" / "000001.png")
        write_picture(picture / 2, data / "blurry" / f"scene{index}" / "000001.png")
    heard = Listening()
    train(data, tmp_path / "run", replace(recipe, steps=1), observer=heard)
    assert any("no frame has a neighbour in time" in text for text in heard.messages)


@pytest.mark.parametrize(
    ("split", "still", "picks"),
    [("sharpness", 3, True), ("sharpness", 0, False), ("alternating", 3, False)],
)
def test_sharp_frames_of_plain_footage_are_truths_where_they_stood_still(
    footage, recipe, tmp_path, monkeypatch, split, still, picks
):
    seen = []
    monkeypatch.setattr(
        given, "MotionBatches", lambda **told: seen.append(told) or MotionBatches(**told)
    )
    plain = replace(recipe, steps=1, warm_start=1, gate=0.0, split=split, still=still, exposure=1.0)
    train(footage, tmp_path / "run", plain)
    assert seen
    for told in seen:
        assert told["picked"] == (set(told["frames"]) if picks else set())
        assert told["still"] == still


@pytest.mark.parametrize(
    ("settings", "tells"),
    [
        ({"exposure": 20.0}, True),  # all moves by three pixels per frame
        ({"exposure": 20.0, "warm_start": 0, "batch": 1}, False),  # nothing is blurred here
        ({"exposure": 20.0, "still": 0}, False),
        ({"exposure": 20.0, "blur": "kernels"}, False),
        ({"exposure": 20.0, "split": "alternating"}, False),
        ({"exposure": 0.5}, False),
    ],
)
def test_footage_that_never_rests_is_told_of(footage, recipe, tmp_path, settings, tells):
    heard = Listening()
    asked = replace(recipe, **{"steps": 1, "split": "sharpness", **settings})
    train(footage, tmp_path / "run", asked, observer=heard)
    said = [text for text in heard.messages if "stood still" in text]
    assert bool(said) == tells
    assert all("only 0%" in text and "--still" in text for text in said)


@pytest.mark.parametrize("exposure", [5 / 3, 0.5, 20.0])
def test_random_kernels_are_as_long_as_the_footages_own_blur(
    footage, recipe, tmp_path, monkeypatch, exposure
):
    """All moves by three pixels per frame, as long as the shutter is open; kernels end at 32."""
    seen = []

    def spy(frames, store, drawing, synthesis):
        seen.append(synthesis.motion.length)
        return SyntheticBatches(frames, store, drawing, synthesis)

    monkeypatch.setattr(given, "SyntheticBatches", spy)
    kernels = replace(recipe, steps=4, warm_start=3, blur="kernels", exposure=exposure)
    train(footage, tmp_path / "run", kernels)
    assert len(seen[0]) == moving.QUANTILES
    middle = seen[0][moving.QUANTILES // 4 : -moving.QUANTILES // 4]
    assert middle == pytest.approx([min(3 * exposure, 32.0)] * len(middle), rel=0.1)
    assert all(lengths == seen[0] for lengths in seen)


def test_where_no_motion_is_known_kernels_are_of_any_length(footage, recipe, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        given, "SyntheticBatches", lambda *told: seen.append(told[3]) or SyntheticBatches(*told)
    )
    train(footage, tmp_path / "run", replace(recipe, steps=1, blur="kernels", gate=0.0))
    assert seen[0].motion.length == MotionConfig().length


def test_of_what_stands_still_no_length_is_known(footage, recipe, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        given, "SyntheticBatches", lambda *told: seen.append(told[3]) or SyntheticBatches(*told)
    )
    still = replace(recipe, steps=4, warm_start=3, blur="kernels", exposure=0.01)
    train(footage, tmp_path / "run", still)
    assert seen[0].motion.length == MotionConfig().length


@pytest.fixture
def follow(footage, recipe, tmp_path):
    """Follows the motion of the footage as one of two processes."""

    def follow(processes):
        store = FrameStore(tmp_path / "frames")
        found = find_training_data(footage, recipe, store)
        bank = bank_of(tmp_path, recipe, store)
        return moving.find_moving(tmp_path, recipe, found, bank, Observer(), processes)

    return follow


def test_motion_that_another_process_failed_to_follow_is_not_gone_on_with(follow):
    with pytest.raises(UserError, match="another process failed to follow the motion"):
        follow(Other(failed=True))


def test_a_process_that_fails_to_follow_motion_tells_the_others(follow, monkeypatch):
    def find(*_, **__):
        raise UserError("the disk is full", "free some space")

    monkeypatch.setattr(FootageMotion, "find", find)
    processes = Other()
    with pytest.raises(UserError, match="the disk is full"):
        follow(processes)
    assert processes.told == [True]
