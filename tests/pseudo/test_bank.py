import errno
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.match.protocol import Match
from bluref.media.picture import write_picture
from bluref.pseudo import bank as bank_module
from bluref.pseudo.bank import Bank, BlurryItself, entry_name
from bluref.pseudo.strategy import strategy_named

SIZE = (16, 20)
BLURRY, SHARP = range(0, 8, 2), range(1, 9, 2)


@dataclass
class OnePixel:
    """Finds everything one pixel further right, and counts how often it is asked."""

    identity: str = "one pixel"
    fails_after: int = 10**9
    matched: list = field(default_factory=list)
    encoded: list = field(default_factory=list)

    def encode(self, image):
        self.encoded.append(image)
        return image

    def match(self, target, reference):
        if len(self.matched) >= self.fails_after:
            raise InterruptedError("the power is gone")
        self.matched.append(target)
        flow = torch.zeros(1, 2, *SIZE)
        flow[:, 0] = 1
        inside = torch.ones(1, 1, *SIZE, dtype=torch.bool)
        inside[..., -1] = False
        return Match(flow, inside.float(), inside)


@dataclass
class Still:
    """Finds everything where it is."""

    identity: str = "still"

    def encode(self, image):
        return image

    def match(self, target, reference):
        everywhere = torch.ones_like(target[:, :1])
        return Match(torch.zeros_like(target[:, :2]), everywhere, everywhere > 0)


@dataclass
class Inverting:
    """A teacher whose output is easily told from its input."""

    identity: str = "inverting"
    seen: list = field(default_factory=list)

    def __call__(self, image):
        self.seen.append(image)
        return 1 - image


def write(folder, index, seed=0, size=SIZE):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(100 * seed + index))
    path = folder / f"{index:06d}.png"
    write_picture(image, path)
    return Frame("clip", index, path)


@pytest.fixture
def samples(tmp_path):
    """Four blurry frames that share two or three references each."""
    frames = {i: write(tmp_path / "frames", i) for i in range(9)}
    return [
        Sample(frames[i], tuple(frames[k] for k in SHARP if abs(k - i) <= 3), None) for i in BLURRY
    ]


@pytest.fixture
def make(tmp_path):
    """A bank as a new process would open it."""

    def make(matcher, *, strategy="average", threshold=0.7, folder="bank", even=False):
        return Bank(
            tmp_path / folder,
            matcher=matcher,
            strategy=strategy_named(strategy),
            threshold=threshold,
            store=FrameStore(tmp_path / "store"),
            even=even,
        )

    return make


def pairs(samples):
    return sum(len(sample.references) for sample in samples)


def refreshed(make, samples, teacher=None, round_=0, **settings):
    """How many pairs a new process matches to have this round."""
    matcher = OnePixel(**settings.pop("matcher", {}))
    make(matcher, **settings).refresh(round_, samples, teacher or BlurryItself())
    return len(matcher.matched)


def entries(tmp_path, round_=0):
    return sorted((tmp_path / "bank" / f"round-{round_:04d}").glob("*.safetensors"))


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


def test_an_entry_cut_short_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[1]
    whole = path.read_bytes()
    for length in (0, 1, 8, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refreshed(make, samples) == len(samples[1].references)
        assert path.read_bytes() == whole


def test_an_entry_with_a_flipped_byte_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[1]
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for place in [*range(0, 8 + header, 7), *range(8 + header, len(whole), 41), len(whole) - 1]:
        torn = bytearray(whole)
        torn[place] ^= 0x01
        path.write_bytes(torn)
        refreshed(make, samples)
        assert path.read_bytes() == whole, place


def test_an_entry_of_another_type_is_made_anew(make, samples, tmp_path):
    refreshed(make, samples)
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"F16"', b'"I16"'))  # the same bytes, another meaning
    assert refreshed(make, samples) == len(samples[0].references)
    assert path.read_bytes() == whole


def test_matches_that_are_not_there_are_told(make, samples, tmp_path):
    bank = make(OnePixel())
    with pytest.raises(UserError, match=r"clip__000000\.safetensors is missing or torn"):
        bank.matches(0, samples[0])
    bank.refresh(0, samples, BlurryItself())
    fewer = replace(samples[0], references=samples[0].references[:1])
    with pytest.raises(UserError, match="missing or torn"):
        bank.matches(0, fewer)  # of other references than were matched
    entries(tmp_path)[0].write_bytes(b"torn")
    with pytest.raises(UserError, match="missing or torn"):
        bank.target(0, samples[0], Crop(0, 0, 8, 8))


def test_an_entry_that_is_harmed_while_it_is_in_use_is_never_used(make, samples, tmp_path):
    bank = make(OnePixel())
    bank.refresh(0, samples, BlurryItself())
    before = bank.matches(0, samples[0]).flow.clone()  # it is the file itself, mapped
    path = entries(tmp_path)[0]
    whole = path.read_bytes()
    for place in (len(whole) - 1, 8 + int.from_bytes(whole[:8], "little")):
        torn = bytearray(whole)
        torn[place] ^= 0x01
        path.write_bytes(torn)
        for ask in (bank.matches, bank.digest):
            with pytest.raises(UserError, match="missing or torn"):
                ask(0, samples[0])
    assert bank.matches(0, samples[1]).flow.numel()
    bank.refresh(0, samples, BlurryItself())
    assert torch.equal(bank.matches(0, samples[0]).flow, before)


def test_what_a_killed_writer_left_goes_with_the_next_refresh(make, samples, tmp_path):
    refreshed(make, samples)
    old, new = (tmp_path / "bank" / "round-0000" / f".{c * 16}.partial.safetensors" for c in "ab")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    refreshed(make, samples)
    assert not old.exists()
    assert new.exists()  # it may be another process' that still writes


def test_an_entry_is_looked_through_once(make, samples, monkeypatch):
    bank = make(OnePixel())
    bank.refresh(0, samples, BlurryItself())
    looked = []
    real = bank_module._key_of
    monkeypatch.setattr(bank_module, "_key_of", lambda path: looked.append(path) or real(path))
    for _ in range(3):
        bank.matches(0, samples[0])
    assert len(looked) == 1


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
