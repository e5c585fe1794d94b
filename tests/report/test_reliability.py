import pytest
import torch
from PIL import Image

from bluref.measure.matching import reliability
from bluref.report.reliability import draw_reliability


def counted(claim, correct):
    return reliability(torch.full((100,), claim), torch.arange(100) < 100 * correct)


def drawn(bins, path):
    draw_reliability(bins, path)
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.slow
def test_every_matcher_has_a_panel(tmp_path):
    lines = {"0 px": counted(0.7, 0.6), "20 px": counted(0.2, 0.1)}
    one = drawn({"dis": lines}, tmp_path / "one.png")
    two = drawn({"dis": lines, "zero": lines}, tmp_path / "two.png")
    assert two[0] > 1.7 * one[0]
    assert two[1] == one[1]


def test_bins_without_a_pixel_can_be_drawn(tmp_path):
    empty = reliability(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    assert drawn({"dis": {"0 px": empty}}, tmp_path / "empty.png")[1] > 100
