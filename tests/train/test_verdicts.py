"""What is concluded from looks at frames held back."""

import json
import math

import pytest

from bluref.train.best import Best, best_from
from bluref.train.validation import Look, Row


def row(step=1, *, before=20.0, after=21.0, coverage=0.5, reblur=(30.0, 31.0)):
    return Row(step, "a", 3, before, after, coverage, -30.0, -29.0, *reblur)


def test_frames_that_references_hardly_show_do_not_count():
    look = Look([row(), row(after=90.0, coverage=0.04)], 0.05)
    assert look.agreement == (20, 21)
    assert look.columns["validation_gain"] == 1


@pytest.mark.parametrize(
    ("after", "blurred", "score"),
    [(21.0, 40.0, 1.0), (29.0, 31.0, 0.5), (29.0, 29.0, -0.5), (19.0, 40.0, -1.0)],
)
def test_a_gain_must_show_against_references_and_blurred_again(after, blurred, score):
    assert Look([row(after=after, reblur=(30.0, blurred))], 0.05).score == score


def test_without_references_the_re_blur_decides_and_without_both_nothing():
    nothing = {"before": math.nan, "after": math.nan, "coverage": 0.0}
    assert Look([row(**nothing), row(**nothing, reblur=(math.nan, math.nan))], 0.05).score == 0.5
    assert Look([row(reblur=(math.nan, math.nan))], 0.05).score == 1
    assert Look([row(**nothing, reblur=(math.nan, math.nan))], 0.05).score is None
    assert Look([], 0.0).score is None


def test_the_first_of_equals_is_best_and_a_verdict_that_says_nothing_changes_nothing():
    best = Best().after(10, 5.0)
    assert best.after(20, 5.0) == Best(10, 5.0, stale=1)
    assert best.after(20, None) == best
    assert best.after(20, 4.0).after(30, 6.0) == Best(30, 6.0)
    assert best_from(json.loads(json.dumps({"best": best.__dict__}))) == best
    assert best_from({"step": 3}) == Best()
