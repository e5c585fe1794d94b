"""What the recipe asks for reaches the batches and the loss."""

from dataclasses import replace

import pytest
import torch

from bluref.frames.layouts import find_clips
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import ReferenceRule, choose_references
from bluref.frames.split import split_clips
from bluref.pseudo.bank import BlurryItself
from bluref.pseudo.gate import LOST, Gate
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.refine import Refine
from bluref.restore.networks.backbones import build_backbone
from bluref.train import run as module
from bluref.train.banks import bank_of, course_of, gate_of, heed_motion
from bluref.train.batches import Drawing, PseudoBatches, ThresholdCourse
from bluref.train.deblurring import Deblurring, deblurring_of
from bluref.train.moving import Moving
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.run import train


@pytest.fixture
def batches(footage, bank, tmp_path):
    found = split_clips(find_clips(footage, part="train"), "alternating", lambda frame: 0.0)
    samples = choose_references(found, ReferenceRule(refs=2))
    bank.refresh(0, samples, BlurryItself())
    frames = [*found.sharp, *found.blurry]
    motion = FootageMotion(with_neighbours(frames, frames), bank.beside(tmp_path / "motion"))
    motion.find()
    drawing = Drawing(seed=1, batch=4, crop=64)
    return PseudoBatches(samples, bank.store, drawing, bank, 0, moving=Moving(motion, 5 / 3))


def test_the_gate_lowers_trust_and_changes_nothing_else(batches):
    plain, judged = batches(3), replace(batches, gate=Gate(0.04, keep_sharp=False))(3)
    assert torch.equal(plain.target, judged.target)
    assert torch.equal(plain.blurry, judged.blurry)
    assert (judged.weight <= plain.weight).all()
    assert judged.weight.mean() < 0.99 * plain.weight.mean()


@pytest.mark.parametrize(("exposure", "own"), [(0.1, True), (5 / 3, False)])
def test_what_is_hardly_blurred_is_its_own_target(batches, exposure, own):
    """The clips of this footage move by some 6 pixels from frame to frame."""
    moving = replace(batches, moving=replace(batches.moving, exposure=exposure))
    judged = replace(moving, gate=Gate(0.04, keep_sharp=False))(3)
    kept = replace(moving, gate=Gate(0.04, keep_sharp=True))(3)
    assert torch.equal(judged.weight, kept.weight)
    known = (kept.weight > 0) & (kept.reblur.sure >= LOST)
    chosen = known.expand_as(kept.target)
    expected = kept.blurry if own else judged.target
    torch.testing.assert_close(kept.target[chosen], expected[chosen])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Gate(0.04)),
        ({"gate": 0.1, "keep_sharp": True}, Gate(0.1, keep_sharp=True)),
        ({"gate": 0.0, "keep_sharp": True}, None),
    ],
)
def test_the_recipe_says_how_targets_are_judged(settings, expected):
    assert gate_of(Recipe(**settings)) == expected


def test_unweighted_every_pixel_that_is_covered_counts_alike(batches):
    model = build_backbone("small")
    batch = batches(3)
    doubts = torch.rand(batch.weight.shape, generator=torch.Generator().manual_seed(0))
    batch = replace(batch, weight=batch.weight * doubts * (doubts > 0.3))
    binary = replace(batch, weight=(batch.weight > 0).float(), reblur=None)
    task = Deblurring("l1", 0.0, use_bf16=False)
    expected = task.loss(model, binary)[0]
    found = replace(task, weighted=False).loss(model, replace(batch, reblur=None))[0]
    torch.testing.assert_close(found, expected)
    assert not torch.equal(task.loss(model, replace(batch, reblur=None))[0], expected)
    assert not deblurring_of(Recipe(weighted=False), Alone(), use_bf16=False).weighted
    assert deblurring_of(Recipe(), Alone(), use_bf16=False).weighted


def test_re_blurring_adds_what_silent_pixels_of_the_footage_cost(batches):
    torch.manual_seed(0)
    model = build_backbone("small")
    own = batches(3)
    batch = own.anchored(replace(own, reblur=None))
    plain = Deblurring("l1", 0.0, use_bf16=False).loss(model, batch)[0]
    held, output = Deblurring("l1", 0.0, use_bf16=False, reblur=0.5).loss(model, batch)
    cost = batch.reblur.loss(output[:4], own.blurry, 1 - own.weight)
    assert cost > 0.001
    torch.testing.assert_close(held - plain, 0.5 * cost)


@pytest.mark.parametrize(
    ("settings", "threshold"),
    [
        ({"matcher": "compact"}, 0.5),
        ({"matcher": "compact", "gate": 0.0}, 0.7),
        ({"matcher": "compact", "threshold": 0.9}, 0.9),
        ({"matcher": "dis"}, 0.3),
    ],
)
def test_references_speak_from_a_lower_confidence_where_a_gate_judges(
    footage, recipe, bank, tmp_path, monkeypatch, settings, threshold
):
    class Stop(Exception):  # noqa: N818
        pass

    seen = []

    def build(run, given, start, observer):
        seen.append(given.bank.threshold)
        raise Stop

    monkeypatch.setattr(module, "_build", build)
    motion = Moving(FootageMotion([], bank), 1.0)
    monkeypatch.setattr(module, "find_moving", lambda *_: motion)
    with pytest.raises(Stop):
        train(footage, tmp_path / "run", replace(recipe, **settings))
    assert seen == [threshold]


@pytest.mark.parametrize(
    ("settings", "refines"),
    [({}, True), ({"refine": False}, False), ({"gate": 0.0}, False)],
)
def test_matches_are_refined_where_the_gate_knows_the_motion(bank, settings, refines):
    motion = Moving(FootageMotion([], bank), 1.25)
    heed_motion(bank, Recipe(**settings), motion)
    assert (bank.refine == Refine(motion.motion, 1.25)) is refines
    assert bank.beside(bank.folder / "other").refine is None
    alone = bank.beside(bank.folder / "alone")
    heed_motion(alone, Recipe(**settings), None)
    assert alone.refine is None


@pytest.mark.parametrize("even", [True, False])
def test_references_are_evened_out_if_the_recipe_says_so(recipe, bank, tmp_path, even):
    assert bank_of(tmp_path, replace(recipe, even=even), bank.store).even is even


def test_matches_are_made_where_the_run_computes(recipe, bank, tmp_path):
    made = bank_of(tmp_path, replace(recipe, matcher="compact-plain"), bank.store, device="meta")
    assert made.matcher.device.type == "meta"


def test_a_threshold_that_rises_silences_more_and_more(batches):
    """Step by step what a bank with that threshold would have said."""
    changing = replace(batches, course=ThresholdCourse(0.9, 0.9998, begin=2, end=6))
    covered = []
    for step, threshold in ((2, 0.9), (4, 0.9499), (6, 0.9998)):
        batches.bank.threshold = threshold
        assert torch.equal(batches(step).weight, changing(step).weight)
        covered.append((batches(0).weight > 0).sum())  # of the same crops
    assert covered[0] > covered[-1]


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.2), (10, 0.2), (15, 0.5), (20, 0.8), (99, 0.8)]
)
def test_a_threshold_changes_evenly_between_two_steps(step, expected):
    assert ThresholdCourse(0.2, 0.8, begin=10, end=20).at(step) == pytest.approx(expected)


@pytest.mark.parametrize("first", [None, 0.9])
def test_the_threshold_ends_where_the_bank_has_it(first, bank, recipe):
    changed = replace(recipe, first_threshold=first, warm_start=3, steps=12)
    course = course_of(bank, changed)
    expected = None if first is None else ThresholdCourse(0.9, bank.threshold, begin=3, end=12)
    assert course == expected


@pytest.mark.slow
def test_a_run_learns_by_the_course_of_its_threshold(footage, recipe, tmp_path, monkeypatch):
    """It ends at the threshold that goes with a gate, and what people are shown follows it too."""
    seen, shown = [], []
    at, targets = ThresholdCourse.at, PseudoBatches.targets

    def spy(course, step):
        seen.append((course, step))
        return at(course, step)

    def watch(batches, *given, threshold):
        shown.append(threshold)
        return targets(batches, *given, threshold=threshold)

    monkeypatch.setattr(ThresholdCourse, "at", spy)
    monkeypatch.setattr(PseudoBatches, "targets", watch)
    train(footage, tmp_path / "run", replace(recipe, matcher="compact", first_threshold=0.9))
    assert {course for course, _ in seen} == {ThresholdCourse(0.9, 0.5, begin=3, end=12)}
    # Batches of steps 3 to 11, and snapshots after steps 6 and 12.
    assert sorted(step for _, step in seen) == sorted([*range(3, 12), 5, 11])
    assert max(shown) == 0.9
    assert min(shown) == pytest.approx(0.9 - 0.4 * 8 / 9)
