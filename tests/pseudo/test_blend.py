"""References' last word on the frames that they were matched with."""

import pytest
import torch

from bluref.pseudo.blend import MOST, TRUSTED, blended
from bluref.pseudo.gate import BLURRED
from bluref.pseudo.target import PseudoSharp

SIZE = (4, 6)
ONES = torch.ones(1, 1, *SIZE)
OUTPUT, SEEN = torch.full((1, 3, *SIZE), 0.2), torch.full((1, 3, *SIZE), 0.7)
LONG, SHORT = BLURRED[1] * ONES, BLURRED[0] * ONES


def target(trust, support=ONES):
    return PseudoSharp(SEEN * (support > 0), trust * (support > 0), support)


def share(result):
    """How much of what the references show is in the result."""
    return ((result - OUTPUT) / (SEEN - OUTPUT)).mean().item()


@pytest.mark.parametrize(
    ("trust", "expected"),
    [(0.0, 0.0), (TRUSTED[0], 0.0), (sum(TRUSTED) / 2, MOST / 2), (TRUSTED[1], MOST), (1.0, MOST)],
)
def test_trust_decides_how_much_of_the_target_is_taken(trust, expected):
    assert share(blended(OUTPUT, target(trust * ONES), LONG, ONES)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("blur", "expected"), [(0.0, 0.0), (BLURRED[0], 0.0), (2.5, MOST / 2), (30.0, MOST)]
)
def test_what_is_hardly_blurred_is_left_to_the_network(blur, expected):
    """A resampled reference is less sharp than a frame without blur."""
    assert share(blended(OUTPUT, target(ONES), blur * ONES, ONES)) == pytest.approx(expected)


def test_where_motion_is_not_known_trust_alone_decides():
    assert share(blended(OUTPUT, target(ONES), SHORT, 0 * ONES)) == pytest.approx(MOST)


def test_where_no_reference_speaks_the_output_stays_to_the_bit():
    silent = ONES.clone()
    silent[..., :3] = 0
    result = blended(OUTPUT, target(ONES, silent), LONG, ONES)
    assert torch.equal(result[..., :3], OUTPUT[..., :3])
    assert (result[..., 3:] > OUTPUT[..., 3:]).all()
