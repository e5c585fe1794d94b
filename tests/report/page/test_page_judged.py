"""How frames are judged for a page, and which of them it shows."""

import math

import pytest
import torch
from tests.report.page.pieces import judged

from bluref.frames.crops import Crop
from bluref.report.page.page_examples import SHOWN
from bluref.report.page.page_footage import busiest_box
from bluref.report.page.page_judged import (
    Judged,
    chosen_to_show,
    from_validation,
    why,
    worst_first,
)


def test_what_is_shown_of_a_frame_is_where_something_is_to_be_seen():
    frame = torch.full((1, 3, 200, 300), 0.5)
    frame[..., 120:180, 200:280] = torch.rand(1, 3, 60, 80)
    crop = busiest_box(frame, (60, 80))
    assert abs(crop.top - 120) < 10
    assert abs(crop.left - 200) < 12
    assert busiest_box(frame, (480, 640)) == Crop(0, 0, 200, 300)


def test_failures_come_first_and_the_worst_of_them_is_the_first():
    frames = [judged(g, index=n) for n, g in enumerate((2.0, -0.4, 0.1, -3.0, math.nan))]
    frames.append(judged(1.0, index=9, apart=(0.1, 4.5)))
    order = [one.index for one in worst_first(frames)]
    assert order == [9, 3, 1, 2, 0, 4]


def test_reasons_name_what_happened_and_what_speaks_for_a_cause():
    assert why(judged(1.0)) == []
    assert "2.0 dB less" in why(judged(-2.0))[0]
    assert "1.5 px away" in why(judged(1.0, apart=(0.5, 2.0)))[0]
    assert "smoothed" in why(judged(-2.0, detail=(-30.0, -33.0)))[1]
    assert "made up" in why(judged(-2.0, reblur=(40.0, 35.0)))[1]
    assert "nearly sharp" in why(Judged("c", 0, before=41.0, after=39.0, coverage=0.9))[1]
    assert "only 10%" in why(Judged("c", 0, before=30.0, after=29.0, coverage=0.1))[1]


@pytest.mark.parametrize("failures", [0, 1, 3, 30])
@pytest.mark.parametrize("others", [0, 2, 30])
def test_as_many_are_shown_as_there_is_room_for_failures_among_them(failures, others):
    frames = [judged(-1.0 - n, index=n) for n in range(failures)]
    frames += [judged(1.0 + n, index=100 + n) for n in range(others)]
    shown = chosen_to_show(frames, SHOWN)
    assert len(shown) == len(set(shown)) == min(SHOWN, failures + others)
    assert sum(one.failed for one in shown) >= min(failures, SHOWN // 2)
    assert shown == worst_first(shown)


def test_validation_is_read_at_the_step_of_the_network_that_is_used():
    rows = [
        {"step": f"{step}", "clip": "a", "index": "3", "agreement_before": "20", "coverage": ".5"}
        | {"agreement_after": f"{20 + step}", "reblur_before": "nan", "reblur_after": "nan"}
        for step in (1, 2, 3)
    ]
    assert [one.gain for one in from_validation(rows, 2)] == [2.0]
    assert [one.gain for one in from_validation(rows, None)] == [3.0]
    assert from_validation(rows, 2)[0].reblur is None
