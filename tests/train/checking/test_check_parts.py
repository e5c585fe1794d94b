"""What a check looks at, piece by piece."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.measure.likeness import impression
from bluref.media.picture import write_picture
from bluref.pseudo.bank import BlurryItself
from bluref.train.checking import check_cost as cost_module
from bluref.train.checking import check_coverage
from bluref.train.checking.check_blur import blur_of, kind_of
from bluref.train.checking.check_cost import Cost, measure_cost, rounds_of
from bluref.train.checking.check_coverage import (
    Matched,
    brightness_problems,
    coverage_problems,
    match_sample,
    sample_of,
)
from bluref.train.checking.check_files import clip_problems, foreign_problems, size_problems, survey
from bluref.train.checking.check_leaks import leaked, repeated, shared_by_the_sets
from bluref.train.checking.check_report import CheckReport, Problem, verdict_of, worst_first
from bluref.train.data import find_training_data
from bluref.train.run import train


def photograph(seed, *, dx=0):
    """Shapes of all sizes, seen from `dx` pixels further on."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, 80, 200)
    for side in (3, 6, 12, 24, 48):
        rough = torch.rand(1, 3, side, 2 * side, generator=generator) / side**0.5
        image += F.interpolate(rough, (80, 200), mode="bicubic")
    return (image / image.max()).clamp(0, 1)[..., dx : dx + 100]


def written(image, folder, clip, index):
    path = folder / clip / f"{index:03}.png"
    write_picture(image, path)
    return Frame(clip, index, path)


def matched(coverage=0.9, kept=None, clip="clip", brightness=1.0, noise=0.0):
    sample = Sample(Frame(clip, 0, Path("x")), (), None)
    kept = torch.tensor([[0.2, 0.6]] * 20) if kept is None else kept
    return Matched(sample, coverage, kept, brightness, noise)


def seen(**images):
    """Impressions of frames called clip_index."""
    frames = {}
    for name, image in images.items():
        clip, _, index = name.partition("_")
        frames[Frame(clip, int(index), Path(name))] = impression(image)
    return frames


def test_files_that_cannot_be_read_are_told_each_and_the_others_looked_at(tmp_path):
    good = written(photograph(0), tmp_path, "a", 0)
    torn, empty = (written(photograph(1), tmp_path, "a", n) for n in (1, 2))
    whole = torn.path.read_bytes()
    torn.path.write_bytes(whole[: len(whole) // 2])
    empty.path.write_bytes(b"")
    found = survey([good, torn, empty])
    assert set(found.broken) == {torn, empty}
    assert all(isinstance(error, UserError) for error in found.broken.values())
    assert set(found.looks) == {good}
    assert found.looks[good].size == (80, 100)


def test_a_picture_of_odd_size_is_named(tmp_path):
    frames = [written(photograph(n), tmp_path, "a", n) for n in range(4)]
    odd = written(photograph(9)[..., :60, :], tmp_path, "a", 4)
    other_camera = written(photograph(9)[..., :60, :], tmp_path, "b", 0)
    (problem,) = size_problems(survey([*frames, odd, other_camera]))
    assert problem.path == str(odd.path)
    assert "100x60" in problem.problem
    assert "1 of 5" in problem.problem
    assert problem.weight == "hopeless"


def test_black_and_interlaced_clips_are_told(tmp_path):
    frames = []
    for n in range(3):
        first, second = photograph(5, dx=8 * n), photograph(5, dx=8 * n + 4)
        woven = first.clone()
        woven[..., 1::2, :] = second[..., 1::2, :]
        frames.append(written(first, tmp_path, "fine", n))
        frames.append(written(woven, tmp_path, "woven", n))
        frames.append(written(torch.zeros(1, 3, 80, 100), tmp_path, "black", n))
    told = {problem.path: problem.problem for problem in clip_problems(survey(frames))}
    assert set(told) == {"woven", "black"}
    assert "interlaced" in told["woven"]
    assert "3 of 3 frames are black" in told["black"]


def test_pictures_that_training_passes_over_are_counted(tmp_path):
    for name in ("one.HEIC", "two.heic", "notes.txt", ".hidden.heic", "fine.png"):
        (tmp_path / name).write_bytes(b"")
    (problem,) = foreign_problems(tmp_path)
    assert problem.problem == "2 files .heic are passed over"


def test_the_same_picture_in_both_sets_is_told_though_it_was_stored_anew():
    blurry = seen(a_0=photograph(0), a_1=photograph(1), a_2=photograph(2))
    sharp = seen(b_7=(photograph(1) * 0.9), b_8=photograph(8))
    (problem,) = shared_by_the_sets(blurry, sharp)
    assert problem.weight == "note"
    (problem,) = shared_by_the_sets(seen(a_1=photograph(1), a_2=photograph(2)), sharp)
    assert problem.weight == "thin", "half of the blurry frames"
    assert shared_by_the_sets(blurry, seen(b_8=photograph(8), b_9=photograph(9))) == []


def test_neighbours_in_time_are_no_leak_but_a_repeated_frame_is():
    still = seen(a_0=photograph(0), a_2=photograph(0, dx=2))
    assert shared_by_the_sets(still, seen(a_1=photograph(0, dx=1))) == []
    darker = seen(a_1=photograph(0) * 0.9)  # the same hash, another moment
    assert shared_by_the_sets(still, darker) == []
    (problem,) = shared_by_the_sets(still, seen(a_1=photograph(0)))
    assert "the same picture" in problem.problem


def test_frames_that_repeat_in_one_set_are_counted_once():
    frames = seen(a_0=photograph(0), a_1=photograph(0), a_2=photograph(0), a_3=photograph(3))
    (problem,) = repeated(frames, "sharp")
    assert "2 of 4" in problem.problem
    assert problem.weight == "note"


def test_black_frames_are_not_taken_for_one_another():
    black = torch.zeros(1, 3, 80, 100)
    assert repeated(seen(a_0=black, b_0=black), "sharp") == []


def test_a_measured_frame_that_training_sees_or_nearly_sees_is_told():
    trained = seen(a_0=photograph(0), a_1=photograph(1))
    (problem,) = leaked(trained, seen(a_0=photograph(0, dx=1), a_5=photograph(5)))
    assert "training sees (" not in problem.problem
    assert problem.weight == "thin"
    assert leaked(trained, seen(a_0=photograph(4), a_5=photograph(5))) == []


@pytest.mark.parametrize(
    ("kept", "kind"),
    [
        ((0.15, 0.47), "motion"),
        ((0.05, 0.19), "motion"),
        ((0.24, 0.33), "defocus"),
        ((0.03, 0.06), "defocus"),
        ((0.98, 1.04), "none"),
        ((1.35, 1.74), "noise"),
    ],
)
def test_kinds_of_blur_at_the_medians_that_were_measured(kept, kind):
    assert kind_of(torch.tensor([kept] * 20))[0] == kind


def test_a_few_patches_tell_no_kind():
    assert kind_of(torch.tensor([[0.1, 0.5]] * 5)) == ("unknown", None)


def test_blur_that_is_no_motion_is_told_with_what_to_do():
    kinds = {
        "none": ("hopeless", torch.tensor([[0.98, 1.04]] * 20)),
        "defocus": ("thin", torch.tensor([[0.24, 0.33]] * 20)),
        "noise": ("thin", torch.tensor([[1.35, 1.74]] * 20)),
    }
    for kind, (weight, kept) in kinds.items():
        found, _, problems = blur_of([matched(kept=kept)])
        assert found == kind
        assert [problem.weight for problem in problems] == [weight]
    assert blur_of([matched()])[2] == []
    assert "noise" in blur_of([matched(noise=0.06)])[2][0].problem


@pytest.mark.parametrize(
    ("coverage", "weights"),
    [(0.82, []), (0.59, []), (0.50, ["thin"]), (0.15, ["thin"]), (0.0, ["hopeless"])],
)
def test_coverage_decides_at_what_was_measured(coverage, weights):
    assert [p.weight for p in coverage_problems([matched(coverage)] * 4)] == weights


def test_a_clip_without_references_is_named_among_others_that_have_them():
    many = [*[matched(0.95, clip="good")] * 9, matched(0.1, clip="bad")]
    (problem,) = coverage_problems(many)
    assert (problem.path, problem.weight) == ("bad", "note")


def test_brightness_apart_is_told():
    assert brightness_problems(1.1, even=True) == []
    assert brightness_problems(1.5, even=True)[0].weight == "note"
    assert brightness_problems(1.5, even=False)[0].weight == "thin"
    assert brightness_problems(2.5, even=True)[0].weight == "thin"


@pytest.mark.parametrize(("of", "count"), [(3, 5), (5, 5), (100, 7)])
def test_a_sample_is_spread_evenly_and_has_no_frame_twice(of, count):
    samples = [Sample(Frame("clip", n, Path("x")), (), None) for n in range(of)]
    chosen = [sample.blurry.index for sample in sample_of(samples, count)]
    assert len(chosen) == min(of, count)
    assert chosen == sorted(set(chosen))
    assert chosen[0] < of / count
    assert abs(chosen[0] + chosen[-1] - (of - 1)) <= 1, "as far from the end as from the beginning"


def test_the_verdict_is_the_worst_and_the_worst_comes_first():
    note, thin, bad = (Problem("p", "q", "f", w) for w in ("note", "thin", "hopeless"))
    assert verdict_of([]) == "ready"
    assert verdict_of([note]) == "ready"
    assert verdict_of([note, thin]) == "thin"
    assert verdict_of([thin, bad, note]) == "hopeless"
    assert worst_first([note, thin, bad]) == (bad, thin, note)


def test_a_report_is_one_json_object_and_some_lines_for_a_person():
    problem = Problem("a.png", "is empty", "remove it", "note")
    report = CheckReport("ready", 9, 0.91234567, (problem,), 0.5, 2_000_000_000, sampled=4)
    told = json.loads(report.as_json())
    assert told["problems"] == [
        {"path": "a.png", "problem": "is empty", "fix": "remove it", "weight": "note"}
    ]
    assert told["coverage"] == 0.9123
    text = report.as_text()
    for words in ("ready", "91%", "30 minutes", "2.0 GB", "a.png: is empty", "fix: remove it"):
        assert words in text


def test_hours_add_up_steps_matches_and_teaching(footage, recipe, tmp_path):
    found = find_training_data(footage, recipe, FrameStore(tmp_path))
    pairs = sum(len(sample.references) for sample in found.samples)
    blurry, frames = len(found.samples), len(found.samples) + len(found.sharp)
    plan = replace(recipe, steps=100, warm_start=20, refresh_every=40, exposure=1.0)
    assert rounds_of(plan) == 2
    assert rounds_of(replace(plan, supervised=True)) == 0

    def hours(step=0.0, pair=0.0, teacher=0.0, refining=0.0):
        return 3600 * Cost(step, pair, teacher, 0.0, 0, refining).hours(plan, found)

    assert hours(step=2.0) == pytest.approx(200)
    assert hours(pair=1.0) == pytest.approx(2 * pairs + 2 * frames)
    assert hours(teacher=1.0) == pytest.approx(2 * blurry)
    assert hours(refining=1.0) == pytest.approx(2 * pairs)  # motion is not refined
    plan = replace(plan, gate=0.0, warm_start=0, anchor=0.0, refresh_every=50)
    assert hours(pair=1.0) == pytest.approx(2 * pairs)  # nobody asks for motion, as in the paper
    plan = replace(plan, supervised=True)
    assert hours(pair=1.0, teacher=1.0) == 0  # true pairs are there
    plan = replace(plan, anchor=0.5)
    assert hours(pair=1.0, teacher=1.0) == pytest.approx(2 * frames)  # to blur others beside them
    plan = replace(plan, supervised=False, anchor=0.0)
    lone = [replace(s.blurry, clip=f"{n}") for n, s in enumerate(found.samples)]
    found = replace(
        found,
        samples=[Sample(f, s.references, None) for f, s in zip(lone, found.samples, strict=True)],
        sharp=[],
        beside=[],
    )
    plan = replace(plan, gate=0.04)
    assert hours(pair=1.0) == pytest.approx(2 * pairs)  # photographs show none


@pytest.mark.parametrize("blur", ["motion", "kernels"])
@pytest.mark.parametrize("moving", [None, "known"])
def test_a_step_is_timed_with_all_of_a_batch(footage, recipe, bank, tmp_path, blur, moving):
    """Synthetic pairs too, whatever they are blurred by."""
    plan = replace(recipe, batch=4, anchor=0.5, blur=blur, gate=0.0)
    found = find_training_data(footage, plan, bank.store)
    samples = list(found.samples)[:2]
    bank.store.prepare([f for s in samples for f in (s.blurry, *s.references)])
    bank.refresh(0, samples, BlurryItself())
    known = cost_module._moving(samples, found, bank) if moving else None
    batch = cost_module._source(samples, known, bank, plan, found)(1)
    assert len(batch.blurry) == 4
    assert batch.synthetic == 2


def test_a_step_of_true_pairs_is_timed_with_what_stands_beside_them(footage, recipe, bank):
    plan = replace(recipe, batch=4, supervised=True, anchor=0.5)
    found = find_training_data(footage, plan, bank.store)
    samples = list(found.samples)[:2]
    known = cost_module._moving(samples, found, bank)
    batch = cost_module._source(samples, known, bank, plan, found)(1)
    assert batch.synthetic == 2
    assert torch.equal(batch.own().target, batch.own().truth)


@pytest.mark.slow
def test_true_pairs_alone_ask_for_no_matcher(footage, recipe, tmp_path):
    plan = replace(recipe, supervised=True, matcher="gone/matcher")
    store = FrameStore(tmp_path / "store")
    cost = measure_cost(find_training_data(footage, plan, store), plan, store, "cpu")
    assert cost.step > 0
    assert (cost.pair, cost.entry, cost.refining) == (0, 0, 0)


@pytest.mark.slow
def test_disk_is_that_of_a_run(footage, recipe, tmp_path):
    plan = replace(recipe, steps=4, warm_start=1, refresh_every=2, save_every=2)
    store = FrameStore(tmp_path / "store")
    found = find_training_data(footage, plan, store)
    cost = measure_cost(found, plan, store, "cpu")
    assert cost.step > 0
    assert cost.pair > 0
    assert cost.refining > 0
    without = replace(plan, refine=False)
    assert measure_cost(found, without, store, "cpu").refining == 0
    literal = replace(plan, gate=0.0, warm_start=0, anchor=0.0)
    assert measure_cost(found, literal, store, "cpu").refining == 0
    matches = cost.entry * 2 * len(found.learnt)
    told = [cost.disk_bytes(p, found, store) for p in (replace(plan, warm_start=0), literal)]
    assert told[0] - told[1] == pytest.approx(matches, abs=1)
    assert cost.teacher > 0
    expected = cost.disk_bytes(plan, found, store)
    train(footage, tmp_path / "run", plan)
    used = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    weights = 4 * cost.parameters * 9
    # A run at rest holds one checkpoint and one round of two: the rest is there at most.
    assert used < expected < used + weights + 700_000


def test_a_sample_is_matched_where_training_will_compute(tmp_path, monkeypatch):
    asked = []

    def matcher(name, *, device):
        asked.append(device)
        return matcher_named(name)

    monkeypatch.setattr(check_coverage, "matcher_named", matcher)
    blurry, sharp = (written(photograph(0, dx=n), tmp_path, "clip", n) for n in range(2))
    found = match_sample([Sample(blurry, (sharp,), None)], 1, FrameStore(tmp_path), device="cuda")
    assert asked == ["cuda"]
    assert len(found) == 1
