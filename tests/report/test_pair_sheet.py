import pytest
import torch

from bluref.match.pairs import Pairs
from bluref.report.pair_sheet import HIDDEN, pair_sheet


def pairs(count: int) -> Pairs:
    flow = torch.zeros(count, 2, 20, 24)
    valid = torch.ones(count, 1, 20, 24, dtype=torch.bool)
    valid[..., 12:] = False
    values = [torch.full((count, 3, 20, 24), v) for v in (0.1, 0.2, 0.3)]
    return Pairs(*values, flow, valid)


def test_a_pair_is_a_strip_of_six_pictures():
    sheet = pair_sheet(pairs(3), columns=1)
    assert sheet.shape == (1, 3, 3 * (20 + 4 + 12), 6 * 24 + 5 * 4)
    row = [sheet[0, 0, 5, 28 * i + 5].item() for i in range(6)]
    assert row == pytest.approx([0.1, 0.2, 0.3, 0.3, 1.0, 0.4], abs=1e-5)


def test_what_the_reference_does_not_show_is_purple_in_flow_and_error():
    sheet = pair_sheet(pairs(1))
    for i in (4, 5):
        assert sheet[0, :, 5, 28 * i + 20].tolist() == pytest.approx(list(HIDDEN))


def test_strips_stand_side_by_side():
    one, two = pair_sheet(pairs(3), columns=1), pair_sheet(pairs(3), columns=2)
    assert two.shape[-1] == 2 * one.shape[-1] + 12
    assert two.shape[-2] * 3 == one.shape[-2] * 2
    assert two[..., -30:, -30:].min() == 1


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="got 1 and 0"):
        pair_sheet(pairs(1), columns=0)
    with pytest.raises(ValueError, match="got 0 and 1"):
        pair_sheet(pairs(0))
