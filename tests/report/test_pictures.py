"""Pictures for people: what they show, not how they look."""

from contextlib import nullcontext

import pytest
import torch

from bluref.errors import UserError
from bluref.match.dis import DISMatcher
from bluref.match.protocol import Match
from bluref.report import curves, flow_picture
from bluref.report.before_after import CAPTION_HEIGHT, Row, before_after
from bluref.report.contact_sheet import contact_sheet, trust_colours
from bluref.report.curves import draw_curves
from bluref.report.flow_picture import flow_colours, match_pair, match_picture
from bluref.train.metrics import DEBLURRING
from bluref.train.observe import Snapshot

COLUMNS = ("step", "phase", "round", "loss", "learning_rate", *DEBLURRING, "seconds")


def flow(x: float, y: float) -> torch.Tensor:
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1)


def test_no_motion_is_white_and_opposite_motions_have_opposite_hues():
    assert torch.equal(flow_colours(flow(0, 0), largest=1.0), torch.ones(1, 3, 1, 1))
    right = flow_colours(flow(5, 0), largest=5.0)
    left = flow_colours(flow(-5, 0), largest=5.0)
    # Opposite hues mix to a grey.
    assert (right + left).std() < 0.02
    assert (right - left).abs().max() > 0.9


def test_a_longer_motion_is_more_saturated_up_to_the_largest():
    spread = [
        flow_colours(flow(length, 0), largest=4.0).std().item() for length in (1.0, 2.0, 4.0, 8.0)
    ]
    assert spread[0] < spread[1] < spread[2] == pytest.approx(spread[3])


def test_what_is_not_trusted_is_black_in_the_trusted_part():
    target = torch.full((1, 3, 40, 50), 0.5)
    confidence = torch.zeros(1, 1, 40, 50)
    match = Match(torch.zeros(1, 2, 40, 50), confidence, confidence == 0)
    picture = match_picture(target, target, match)
    assert picture.shape == (1, 3, 2 * 44, 3 * 50 + 2 * 4)
    assert picture[..., 44 : 44 + 40, 54 : 54 + 50].max() == 0


def test_a_picture_matched_with_itself_is_covered_and_still():
    texture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    drawn = match_pair(texture, texture, DISMatcher())
    assert drawn.coverage > 0.95
    assert drawn.median_motion < 0.1


def test_of_a_large_picture_some_lengths_tell_the_scale(monkeypatch):
    asked = []
    real = torch.Tensor.quantile
    monkeypatch.setattr(flow_picture, "ENOUGH", 50)
    monkeypatch.setattr(
        torch.Tensor, "quantile", lambda self, q: asked.append(self.numel()) or real(self, q)
    )
    flow = torch.full((1, 2, 30, 40), 3.0)
    sure = torch.ones(1, 1, 30, 40)
    drawn = flow_picture.match_picture(*torch.rand(2, 1, 3, 30, 40), Match(flow, sure, sure > 0))
    assert drawn.isfinite().all()
    assert 50 <= asked[0] <= 100


def test_pictures_of_different_size_are_not_matched():
    with pytest.raises(UserError, match="the target is 50x40, the reference 50x41"):
        match_pair(torch.rand(1, 3, 40, 50), torch.rand(1, 3, 41, 50), DISMatcher())


def test_a_silent_pixel_differs_from_one_that_is_little_trusted():
    silent, little = trust_colours(torch.tensor([[[[0.0, 0.01]]]]))[0].unbind(dim=-1)
    assert silent[0] > silent[1]  # dark red
    assert little[0] == little[1] == little[2]


def test_a_contact_sheet_has_a_row_per_crop_and_four_pictures_in_it():
    snapshot = Snapshot(
        step=1,
        blurry=torch.full((2, 3, 10, 12), 0.1),
        target=torch.full((2, 3, 10, 12), 0.2),
        trust=torch.ones(2, 1, 10, 12),
        output=torch.full((2, 3, 10, 12), 0.4),
    )
    sheet = contact_sheet(snapshot)
    assert sheet.shape == (1, 3, 2 * 14, 4 * 12 + 3 * 4)
    assert [sheet[0, 0, 5, 16 * i + 6].item() for i in range(4)] == pytest.approx(
        [0.1, 0.2, 1, 0.4]
    )


def test_captions_stand_above_their_pictures():
    picture = torch.zeros(1, 3, 20, 90)
    drawn = before_after([Row((picture, picture), ("before", "after"))])
    assert drawn.shape == (1, 3, CAPTION_HEIGHT + 20 + 4, 90 + 4 + 90)
    caption, below = drawn[..., :CAPTION_HEIGHT, :90], drawn[..., CAPTION_HEIGHT:-4, :90]
    assert caption.max() == 1
    assert caption.min() < 0.5
    assert below.max() == 0


@pytest.mark.slow
@pytest.mark.parametrize("truth", ["", "25.0"])
def test_curves_are_drawn_with_and_without_truth(truth, tmp_path):
    from PIL import Image

    lines = [",".join(COLUMNS)]
    for step in range(50, 500, 50):
        cells = {"step": step, "phase": "pseudo", "round": step // 200, "loss": 0.1}
        cells |= {name: truth for name in COLUMNS if name.endswith("_truth")}
        lines.append(",".join(str(cells.get(name, "nan")) for name in COLUMNS))
    (tmp_path / "metrics.csv").write_text("\n".join(lines) + "\n")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as drawn:
        assert drawn.height > (500 if truth else 200)


def test_every_curve_shows_its_column_over_the_steps(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    monkeypatch.setattr(curves, "whole_file", lambda path: nullcontext(path))
    shown = [name for _, lines in curves.PANELS for name in lines]
    rows = [["step", "round", *shown]]
    rows += [[step, 0, *range(1, len(shown) + 1)] for step in (50, 100, 150)]
    (tmp_path / "metrics.csv").write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    labels = {name: label for _, lines in curves.PANELS for name, label in lines.items()}
    found = {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata()))
        for axes in drawn[0].axes
        for line in axes.lines
    }
    for value, name in enumerate(shown, start=1):
        steps, values = found[labels[name]]
        assert steps == [50, 100, 150]
        assert values == [value] * 3
    assert {"input_psnr_truth", "target_psnr_truth", "output_psnr_truth"} <= set(shown)


@pytest.mark.parametrize(
    ("phase", "words"),
    [("pseudo", "never sees"), ("warm", "never sees"), ("supervised", "learns from")],
)
def test_of_the_truth_it_is_said_what_it_is_to_the_run(phase, words):
    assert curves.against_the_truth([{"phase": "warm"}, {"phase": phase}]).endswith(words)


def test_curves_of_a_run_without_rows_are_an_empty_picture(tmp_path):
    (tmp_path / "metrics.csv").write_text(",".join(COLUMNS) + "\n")
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()
