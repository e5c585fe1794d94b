"""References chosen by what they show."""

from dataclasses import dataclass, field

import pytest
import torch

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.match.protocol import Match
from bluref.media.picture import write_picture
from bluref.pseudo import coverage
from bluref.pseudo.coverage import most_covering

SIZE = (24, 32)


@dataclass
class Told:
    """Confidence is what a reference's own brightness says, pixel by pixel."""

    identity: str = "told"
    encoded: list = field(default_factory=list)

    def encode(self, image):
        self.encoded.append(image.shape[-2:])
        return image

    def match(self, target, reference):
        confidence = reference.mean(dim=1, keepdim=True)
        return Match(torch.zeros_like(target[:, :2]), confidence, confidence > 0)


def showing(*, columns=slice(None), rows=slice(None), how=1.0):
    image = torch.zeros(1, 3, *SIZE)
    image[..., rows, columns] = how
    return image


@pytest.fixture
def sample(tmp_path):
    """A function from pictures to a sample with them as candidates."""

    def make(*candidates):
        frames = []
        for index, image in enumerate((torch.zeros(1, 3, *SIZE), *candidates)):
            path = tmp_path / "frames" / f"{index}.png"
            write_picture(image, path)
            frames.append(Frame("clip", index, path))
        return Sample(frames[0], tuple(frames[1:]), None)

    return make


def chosen(sample, refs, tmp_path, matcher=None):
    (kept,) = most_covering(
        [sample], refs, matcher=matcher or Told(), store=FrameStore(tmp_path / "store")
    )
    assert kept.blurry == sample.blurry
    return [frame.index - 1 for frame in kept.references]


LEFT, RIGHT = slice(0, 16), slice(16, 32)


def test_two_halves_are_better_than_the_same_half_twice(sample, tmp_path):
    candidates = [showing(columns=slice(0, 18)), showing(columns=LEFT), showing(columns=RIGHT)]
    assert chosen(sample(*candidates), 2, tmp_path) == [0, 2]


def test_what_is_seen_unsurely_is_worth_a_second_witness(sample, tmp_path):
    unsure = showing(columns=LEFT, how=0.4)
    little = showing(columns=slice(16, 18))
    assert chosen(sample(unsure, little, unsure), 2, tmp_path) == [0, 2]


def test_what_is_seen_surely_is_not(sample, tmp_path):
    sure, little = showing(columns=LEFT), showing(columns=slice(16, 18))
    assert chosen(sample(sure, sure, little), 2, tmp_path) == [0, 2]


def test_of_equal_ones_the_first_are_kept_in_their_order(sample, tmp_path):
    assert chosen(sample(*[showing(how=0.5)] * 5), 3, tmp_path) == [0, 1, 2]


def test_samples_with_no_more_than_that_are_left(sample, tmp_path):
    matcher = Told()
    assert chosen(sample(showing(), showing()), 2, tmp_path, matcher) == [0, 1]
    assert not matcher.encoded


def test_what_lies_outside_a_reference_shows_nothing(sample, tmp_path):
    class Outside(Told):
        def match(self, target, reference):
            found = super().match(target, reference)
            seen = (reference[:, :1] > 0.9) & (reference[:, :1] < 0.99)
            return Match(found.flow, found.confidence, seen)

    candidates = [showing(how=1.0), showing(how=0.95), showing(how=1.0)]
    assert chosen(sample(*candidates), 1, tmp_path, Outside()) == [1]


def test_only_so_many_candidates_are_kept_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "ENCODED_KEPT", 2)
    frames = []
    for index in range(8):
        path = tmp_path / f"{index}.png"
        write_picture(torch.rand(1, 3, *SIZE), path)
        frames.append(Frame("clip", index, path))
    of = [(1, 2), (2, 3), (4, 5), (1, 2)]  # the first two are met again after they were dropped
    samples = [Sample(frames[0], tuple(frames[n] for n in pair), None) for pair in of]
    matcher = Told()
    most_covering(samples, 1, matcher=matcher, store=FrameStore(tmp_path / "store"))
    assert len(matcher.encoded) == len(samples) + len([1, 2, 3, 4, 5, 1, 2])


@pytest.mark.slow
def test_frames_are_matched_at_a_quarter_and_each_encoded_once(tmp_path):
    frames = []
    for index in range(6):
        path = tmp_path / f"{index}.png"
        write_picture(torch.rand(1, 3, 480, 640), path)
        frames.append(Frame("clip", index, path))
    samples = [Sample(frames[n], tuple(frames[2:]), None) for n in range(2)]
    matcher, told = Told(), []
    store = FrameStore(tmp_path / "store")
    most_covering(samples, 2, matcher=matcher, store=store, tell=lambda *at: told.append(at))
    assert matcher.encoded == [(120, 160)] * 6
    assert told == [(1, 2), (2, 2)]


@pytest.mark.slow
def test_a_real_matcher_prefers_the_same_scene(tmp_path):
    generator = torch.Generator().manual_seed(0)

    def scene(shift=0):
        rough = torch.rand(1, 3, 30, 44, generator=generator)
        wide = torch.nn.functional.interpolate(rough, scale_factor=8, mode="bicubic").clamp(0, 1)
        return wide[..., shift : shift + 320]

    here, elsewhere = scene(), [scene() for _ in range(2)]
    pictures = [here, *elsewhere, here.roll(6, dims=-1)]
    frames = []
    for index, image in enumerate(pictures):
        path = tmp_path / f"{index}.png"
        write_picture(image, path)
        frames.append(Frame("clip", index, path))
    sample = Sample(frames[0], tuple(frames[1:]), None)
    assert chosen(sample, 1, tmp_path, matcher_named("compact")) == [2]
