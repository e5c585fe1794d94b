"""The bank: what is matched, when, and how it becomes targets."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.pseudo.banks import (
    Inverting,
    OnePixel,
    Still,
    entries,
    pairs,
    refreshed,
    write,
)

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.match.dis import DISMatcher
from bluref.media.picture import write_picture
from bluref.pseudo.bank import BlurryItself, entry_name


def test_every_pair_is_matched_once_on_what_the_teacher_makes_of_the_frame(make, samples):
    matcher, teacher = OnePixel(), Inverting()
    bank = make(matcher)
    bank.refresh(0, samples, teacher)
    assert len(matcher.matched) == pairs(samples)
    expected = [1 - bank.store.image(s.blurry) for s in samples]
    for seen in matcher.matched:
        assert any(torch.equal(seen, image) for image in expected)
    assert len(teacher.seen) == len(samples)


def test_frames_of_like_names_have_entries_of_their_own(tmp_path):
    clips = ("a/b", "a__b", "a%5F_b", "a%b", "a%25b", "a_/b", "a/_b", "a___b", "a_b", "a//b")
    names = {entry_name(Frame(clip, 1, tmp_path)) for clip in clips}
    assert len(names) == len(clips)
    assert not any("/" in name for name in names)
    assert entry_name(Frame("a_b/c", 1, tmp_path)) == "a_b__c__000001.safetensors"


def test_a_reference_is_encoded_once_for_all_frames_it_serves(make, samples):
    matcher = OnePixel()
    make(matcher).refresh(0, samples, BlurryItself())
    references = {r for s in samples for r in s.references}
    assert len(matcher.encoded) == len(references) + len(samples)


def test_the_target_is_the_reference_where_the_matcher_finds_it(make, samples):
    bank = make(OnePixel())
    bank.refresh(0, samples, BlurryItself())
    sample, crop = samples[0], Crop(2, 3, 8, 10, upend=True)
    mean = torch.cat([bank.store.image(f) for f in sample.references]).mean(0, keepdim=True)
    found = bank.target(0, sample, crop)
    expected = mean[..., 2:10, 4:14].flip(-2)  # one pixel further right
    torch.testing.assert_close(found.image, expected, atol=1e-4, rtol=0)
    assert found.support.unique().tolist() == [len(sample.references)]


def test_entries_are_kept(make, samples):
    assert refreshed(make, samples) == pairs(samples)
    teacher = Inverting(identity=BlurryItself().identity)
    assert refreshed(make, samples, teacher) == 0
    assert teacher.seen == []


@pytest.mark.parametrize(
    "change",
    [
        {"matcher": {"identity": "other"}},
        {"strategy": "sequential"},
        {"threshold": 0.5},
        {"even": True},
        {"teacher": Inverting()},
    ],
    ids=str,
)
def test_entries_are_made_anew_when_what_they_depend_on_changes(make, samples, change):
    refreshed(make, samples)
    assert refreshed(make, samples, **change) == pairs(samples)
    assert refreshed(make, samples, **change) == 0


class Aside:
    """Moves every match by two pixels to the right."""

    def __init__(self, name="aside"):
        self.name, self.seen = name, []

    def identity(self, frame):
        return f"{self.name} {frame}"

    def __call__(self, frame, blurry, references, found):
        self.seen.append((frame, len(references), len(found)))
        away = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1)
        return [replace(match, flow=match.flow + away) for match in found]


def test_matches_are_kept_as_they_were_refined_and_made_anew_by_another_refiner(make, samples):
    refreshed(make, samples)
    before = [make(OnePixel()).matches(0, sample).flow for sample in samples]
    bank = make(matcher := OnePixel())
    bank.refine = Aside()
    bank.refresh(0, samples, BlurryItself())
    assert len(matcher.matched) == pairs(samples)
    counts = {sample.blurry: len(sample.references) for sample in samples}
    assert sorted(bank.refine.seen, key=str) == sorted(
        ((frame, count, count) for frame, count in counts.items()), key=str
    )
    for sample, flow in zip(samples, before, strict=True):
        moved = bank.matches(0, sample).flow - flow
        assert torch.equal(moved[:, 0], torch.full_like(moved[:, 0], 2))
    matcher.matched.clear()
    bank.refresh(0, samples, BlurryItself())
    assert not matcher.matched
    bank.refine = Aside("farther")
    bank.refresh(0, samples, BlurryItself())
    assert len(matcher.matched) == pairs(samples)


@pytest.mark.parametrize("index", [1, 2])
def test_entries_of_a_frame_that_changed_are_made_anew(make, samples, index, tmp_path):
    refreshed(make, samples)
    write(tmp_path / "frames", index, seed=1)
    concerned = [s for s in samples if index in (s.blurry.index, *[r.index for r in s.references])]
    assert 0 < len(concerned) < len(samples)
    assert refreshed(make, samples) == pairs(concerned)


def test_other_references_make_another_entry(make, samples):
    refreshed(make, samples)
    fewer = [Sample(s.blurry, s.references[:1], None) for s in samples]
    assert refreshed(make, fewer) == len(samples)


def test_rounds_stand_side_by_side_until_they_are_forgotten(make, samples, tmp_path):
    for round_ in range(3):
        assert refreshed(make, samples, round_=round_) == pairs(samples)
    bank = make(OnePixel())
    bank.forget(before=2)
    assert [p.name for p in (tmp_path / "bank").iterdir()] == ["round-0002"]
    bank.matches(2, samples[0])
    bank.forget(before=2)
    assert refreshed(make, samples, round_=2) == 0


def test_an_interrupted_refresh_goes_on_where_it_was(make, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # of two workers both might be in the middle
    refreshed(make, samples)
    uninterrupted = [path.read_bytes() for path in entries(tmp_path)]
    make(OnePixel()).forget(before=1)
    with pytest.raises(InterruptedError):
        refreshed(make, samples, matcher={"fails_after": len(samples[0].references) + 1})
    done = sum(len(s.references) for s in samples[: len(entries(tmp_path))])
    assert 0 < done < pairs(samples)
    assert refreshed(make, samples) == pairs(samples) - done
    assert [path.read_bytes() for path in entries(tmp_path)] == uninterrupted


def test_the_answer_is_the_same_for_any_number_of_cores(make, samples, tmp_path, monkeypatch):
    written = []
    for cores in (1, 8):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        refreshed(make, samples, round_=cores)
        written.append([path.read_bytes() for path in entries(tmp_path, cores)])
    assert len(written[0]) == len(samples)
    assert written[0] == written[1]


@pytest.mark.parametrize("even", [False, True])
def test_a_darker_reference_makes_no_darker_target_if_colours_are_evened_out(make, tmp_path, even):
    # Three quarters as bright, and large enough for enough places that tell.
    shown = 0.2 + 0.6 * torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    shown = torch.nn.functional.interpolate(shown, (96, 128), mode="bilinear")
    names = {"blurry": shown, "sharp": 0.75 * shown}
    for name, image in names.items():
        write_picture(image, tmp_path / f"{name}.png")
    frames = {name: Frame("clip", n, tmp_path / f"{name}.png") for n, name in enumerate(names)}
    sample = Sample(frames["blurry"], (frames["sharp"],), None)
    bank = make(Still(), even=even)
    bank.refresh(0, [sample], Inverting())  # what the teacher makes of it does not count
    target = bank.target(0, sample, Crop(10, 20, 64, 64))
    expected = shown[..., 10:74, 20:84] * (1.0 if even else 0.75)
    torch.testing.assert_close(target.image, expected, atol=0.01, rtol=0)


def test_banks_beside_are_alike_but_for_what_is_asked(make, tmp_path):
    bank = make(OnePixel(), even=True)
    assert bank.beside(tmp_path / "b").even
    assert not bank.beside(tmp_path / "b", even=False).even


def test_progress_is_told_up_to_the_end(make, samples):
    told = []
    make(OnePixel()).refresh(
        0, samples, BlurryItself(), tell=lambda done, total: told.append((done, total))
    )
    assert told == [(i + 1, 4) for i in range(4)]


def test_a_reference_of_another_size_is_refused_naming_both(make, samples, tmp_path):
    other = write(tmp_path / "frames", 99, size=(20, 16))
    odd = [*samples[:1], Sample(samples[1].blurry, (other,), None)]
    with pytest.raises(UserError, match=r"000099\.png is 16x20, but .*000002\.png is 20x16"):
        make(OnePixel()).refresh(0, odd, BlurryItself())


def test_a_reference_that_served_another_frame_is_refused_by_its_size_too(make, samples, tmp_path):
    odd = Sample(write(tmp_path / "frames", 99, size=(20, 16)), samples[0].references, None)
    with pytest.raises(UserError, match=r"is 20x16, but .*000099\.png is 16x20"):
        make(OnePixel()).refresh(0, [samples[0], odd], BlurryItself())


def test_a_full_disk_is_told_and_leaves_nothing_torn(make, samples, tmp_path, monkeypatch):
    make(OnePixel()).store.prepare([f for s in samples for f in (s.blurry, *s.references)])

    def full(path, data):
        path.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match="no space left"):
            refreshed(make, samples)
    assert not list((tmp_path / "bank").rglob("*.*"))
    assert refreshed(make, samples) == pairs(samples)


def test_a_place_that_cannot_be_written_is_told(make, samples, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        refreshed(make, samples, folder="file/bank")


def test_a_real_matcher_finds_the_frame_in_its_neighbours(make, tmp_path):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 16, 28, generator=generator)
    wide = torch.nn.functional.interpolate(coarse, (64, 112), mode="bicubic").clamp(0, 1)
    frames = []
    for index in range(3):
        path = tmp_path / "pan" / f"{index}.png"
        write_picture(wide[..., 3 * index : 3 * index + 96], path)
        frames.append(Frame("pan", index, path))
    sample = Sample(frames[1], (frames[0], frames[2]), None)
    bank = make(DISMatcher(), strategy="robust", threshold=0.3)
    bank.refresh(0, [sample], BlurryItself())
    found = bank.target(0, sample, Crop(8, 8, 48, 80))
    truth = bank.store.cut(frames[1], Crop(8, 8, 48, 80))
    assert found.weight.mean() > 0.9
    assert (found.image - truth).abs().mean() < 0.01
