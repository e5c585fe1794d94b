"""Scores of matchers whose answers are known."""

import math
import time
from dataclasses import dataclass

import pytest
import torch

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.match.pairs import Pairs
from bluref.match.protocol import Match, Probabilistic
from bluref.match.scoring import score_real, score_synthetic
from bluref.match.zero import ZeroMatcher
from bluref.media.picture import read_picture, write_picture

MOVED = 4


@dataclass(frozen=True)
class Says:
    """A matcher that gives the answer it was told, whatever it sees."""

    flow: torch.Tensor
    confidence: torch.Tensor
    identity: str = "says"

    def encode(self, image):
        return image

    def match(self, target, reference):
        return Match(self.flow, self.confidence, self.confidence >= 0)


@dataclass(frozen=True)
class SaysWithProbability(Says):
    radius: float = 2.0
    most: float = 0.5


def pairs(flow, valid=None):
    b, _, h, w = flow.shape
    image = torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(b, 1, h, w, dtype=torch.bool) if valid is None else valid
    return Pairs(target=image, clean=image, reference=image, flow=flow, valid=valid)


def shifts(*lengths, size=(12, 16)):
    return torch.stack([torch.full((2, *size), 0.0).index_fill_(0, torch.tensor([0]), x)
                        for x in lengths])  # fmt: skip


def test_the_truth_itself_scores_best():
    truth = shifts(0.0, 7.5)
    score = score_synthetic(Says(truth, torch.ones(2, 1, 12, 16)), [pairs(truth)])
    assert (score.epe, score.ause, score.calibration_error) == (0, 0, 0)
    assert score.pck1 == score.pck3 == score.pck5 == 1


def test_figures_are_means_over_pairs_of_all_batches():
    batches = [pairs(shifts(0.0, 2.0)), pairs(shifts(4.0, 10.0))]
    score = score_synthetic(ZeroMatcher(), batches)
    assert score.epe == 4
    assert (score.pck1, score.pck3, score.pck5) == (0.25, 0.5, 0.75)
    assert score.ause == pytest.approx(0)  # each pair has one error throughout
    assert score.calibration_error == pytest.approx(0.75)
    assert score.bins.count.sum() == 4 * 12 * 16


def test_pixels_without_truth_do_not_count():
    truth = shifts(100.0, 3.0)
    truth[0, :, :6] = 0
    valid = torch.ones(2, 1, 12, 16, dtype=torch.bool)
    valid[0, :, 6:] = False
    assert score_synthetic(ZeroMatcher(), [pairs(truth, valid)]).epe == 1.5
    valid[0] = False  # a pair without any truth is no pair
    assert score_synthetic(ZeroMatcher(), [pairs(truth, valid)]).epe == 3


def test_a_probability_is_scaled_and_held_against_its_own_radius():
    # Half the pixels are wrong by 1.5 px, half by 3 px: P_2 of 0.5 is right, P_1 of 1 is not.
    truth = shifts(1.5, 3.0)
    everywhere, flow = torch.ones(2, 1, 12, 16), torch.zeros(2, 2, 12, 16)
    claimed = score_synthetic(SaysWithProbability(flow, everywhere), [pairs(truth)])
    assert claimed.calibration_error == 0
    assert claimed.bins.correct.sum() == 12 * 16
    plain = score_synthetic(Says(flow, everywhere), [pairs(truth)])
    assert plain.calibration_error == 1
    assert isinstance(SaysWithProbability(flow, everywhere), Probabilistic)
    assert not isinstance(DISMatcher(), Probabilistic)


def test_confidence_that_follows_the_error_has_the_least_area():
    truth = torch.randn(1, 2, 12, 16, generator=torch.Generator().manual_seed(1))
    flow, length = torch.zeros(1, 2, 12, 16), truth.norm(dim=1, keepdim=True)
    knows, mistakes = ((-length).exp(), 1 - (-length).exp())
    assert score_synthetic(Says(flow, knows), [pairs(truth)]).ause == pytest.approx(0, abs=1e-6)
    assert score_synthetic(Says(flow, mistakes), [pairs(truth)]).ause > 0.5


def test_no_pairs_and_no_samples_are_misuse(tmp_path):
    with pytest.raises(ValueError, match="at least one pair"):
        score_synthetic(ZeroMatcher(), [])
    with pytest.raises(ValueError, match="at least one sample"):
        score_real(ZeroMatcher(), [], FrameStore(tmp_path))


@pytest.fixture
def store(tmp_path):
    return FrameStore(tmp_path / "store")


@pytest.fixture
def moving(texture, tmp_path):
    """A sample: the scene moves MOVED px to the right each frame, 1 before and 1 after t = 1."""
    wide = texture(0, 64, 96 + 2 * MOVED)
    frames = {}
    for index in range(3):
        path = tmp_path / f"{index}.png"
        write_picture(wide[..., (2 - index) * MOVED : (2 - index) * MOVED + 96], path)
        frames[index] = Frame("clip", index, path)
    return Sample(frames[1], (frames[0], frames[2]), frames[1])


def flow_right(x):
    return torch.tensor([float(x), 0.0]).view(1, 2, 1, 1).expand(1, 2, 64, 96)


def test_a_warp_that_equals_the_truth_where_it_is_believed_is_as_good_as_can_be(moving, store):
    believed = torch.zeros(1, 1, 64, 96)
    believed[..., 8:80] = 1
    after = Sample(moving.blurry, moving.references[1:], moving.truth)
    score = score_real(Says(flow_right(MOVED), believed), [after], store)
    assert score.coverage == pytest.approx(72 / 96)
    # Resampling at whole pixels gives them back, up to a rounding of coordinates.
    assert score.psnr_confident > 90
    assert score.psnr_at_half > 90
    wrong = score_real(Says(flow_right(-MOVED), believed), [after], store)
    assert wrong.psnr_confident < 30


def test_each_reference_counts_and_a_row_is_their_mean(moving, store):
    everywhere = torch.ones(1, 1, 64, 96)
    ones = [
        score_real(Says(flow_right(2), everywhere), [Sample(moving.blurry, (r,), moving.truth)],
                   store).psnr_confident
        for r in moving.references
    ]  # fmt: skip
    both = score_real(Says(flow_right(2), everywhere), [moving], store)
    assert both.psnr_confident == pytest.approx(sum(ones) / 2)
    assert ones[0] != ones[1]


def test_a_saturated_confidence_is_judged_over_the_whole_frame(moving, store):
    score = score_real(ZeroMatcher(), [moving], store)
    truth = read_picture(moving.truth.path)
    by_hand = [
        -10 * (read_picture(r.path) - truth).square().mean().log10().item()
        for r in moving.references
    ]
    assert score.coverage == 1
    assert score.psnr_at_half == pytest.approx(sum(by_hand) / 2, abs=1e-3)
    assert score.psnr_confident == pytest.approx(score.psnr_at_half, abs=1e-3)


def test_a_matcher_that_is_sure_of_nothing_has_no_confident_figure_but_a_half(moving, store):
    doubts = torch.linspace(0, 0.69, 64 * 96).view(1, 1, 64, 96)
    score = score_real(Says(flow_right(0), doubts), [moving], store)
    assert score.coverage == 0
    assert math.isnan(score.psnr_confident)
    assert 5 < score.psnr_at_half < 60


def test_the_threshold_itself_is_confident(moving, store):
    border = torch.full((1, 1, 64, 96), 0.7)
    assert score_real(Says(flow_right(0), border), [moving], store).coverage == 1


def test_dis_beats_doing_nothing_on_motion(moving, store):
    found, floor = (score_real(m, [moving], store) for m in (DISMatcher(), ZeroMatcher()))
    assert found.psnr_confident > floor.psnr_confident + 5
    assert found.psnr_at_half > floor.psnr_at_half + 5
    assert 0.5 < found.coverage < 1


def test_a_target_is_encoded_once_and_its_time_is_shared(moving, store):
    class Slow(ZeroMatcher):
        encoded = 0

        def encode(self, image):
            Slow.encoded += 1
            time.sleep(0.04)
            return image

    score = score_real(Slow(), [moving], store)
    assert Slow.encoded == 3
    assert 0.06 <= score.seconds_per_reference < 0.2


def test_progress_is_told(moving, store):
    told = []
    score_real(ZeroMatcher(), [moving, moving], store, tell=told.append)
    score_synthetic(ZeroMatcher(), [pairs(shifts(0.0, 1.0))], tell=told.append)
    assert told == [1, 2, 1, 2]


def test_frames_of_different_sizes_are_the_users_to_fix(moving, store, tmp_path):
    write_picture(torch.zeros(1, 3, 40, 40), tmp_path / "small.png")
    small = Frame("clip", 5, tmp_path / "small.png")
    with pytest.raises(UserError, match=r"small\.png is 40x40"):
        score_real(ZeroMatcher(), [Sample(moving.blurry, (small,), moving.truth)], store)


def test_a_sample_without_truth_is_misuse(moving, store):
    with pytest.raises(ValueError, match="must have a truth"):
        score_real(ZeroMatcher(), [Sample(moving.blurry, moving.references, None)], store)
