"""Where a network fails, as a picture and as a table."""

import csv
from pathlib import Path

import pytest
import torch

from bluref.frames.clip import Frame
from bluref.measure.worst import Window
from bluref.media.picture import read_picture, write_picture
from bluref.report.before_after import CAPTION_HEIGHT
from bluref.report.worst_sheet import COLUMNS, SIDE, worst_sheet, write_worst
from bluref.train import evaluate
from bluref.train.evaluate import Evaluation, Scores, Worst, evaluate_pairs


def evaluation(*outcomes, size=(96, 96)):
    """Of one clip for each PSNR before and after; the output of clip i is the grey i / 100."""
    worst = {}
    for i, (before, after) in enumerate(outcomes):
        shown = tuple(torch.full((1, 3, *size), grey) for grey in (0.0, i / 100, 1.0))
        frame = Frame(f"clip{i}", 7, Path(f"data/clip{i}/000007.png"))
        worst[f"clip{i}"] = Worst(frame, Window(8, 16, *size, before, after), shown)
    scores = Scores(27.004, 0.9, 0.95), Scores(26.0, 0.8, 0.9)
    of_clips = {"per_clip": dict.fromkeys(worst, scores), "count": dict.fromkeys(worst, 3)}
    return Evaluation(len(worst), *scores, **of_clips, below=dict.fromkeys(worst, 2), worst=worst)


def outputs(sheet, rows):
    """Which clips' outputs are seen, from the top."""
    height = sheet.shape[-2] // rows
    middles = sheet[0, 0, CAPTION_HEIGHT + 20 :: height, sheet.shape[-1] // 3 + 20]
    return [round(float(grey) * 100) for grey in middles]


def test_what_loses_most_comes_first():
    """By squared error, as within a clip: 10 dB from 60 to 50 are nothing to be seen."""
    sheet = worst_sheet(evaluation((60.0, 50.0), (25.0, 20.0), (30.0, 31.0), (25.0, 24.0)))
    assert outputs(sheet, 4) == [1, 3, 0, 2]


def test_windows_of_any_shape_make_one_sheet():
    narrow = evaluation((25.0, 20.0), size=(96, 41)).worst["clip0"]
    found = evaluation((26.0, 25.0), (25.0, 24.0))
    found.worst["clip0"] = narrow
    sheet = worst_sheet(found)
    assert outputs(sheet, 2) == [0, 1]
    assert sheet.shape[-1] >= 3 * SIDE


def test_pictures_of_the_worst_clips_alone_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate, "SHOWN", 2)
    pairs = []
    for i, grey in enumerate((0.4, 0.1, 0.3, 0.2)):
        path = tmp_path / f"clip{i}" / "0.png"
        write_picture(torch.full((1, 3, 20, 24), grey), path)
        pairs.append((Frame(f"clip{i}", 0, path), Frame(f"clip{i}", 0, path)))
    found = evaluate_pairs(lambda image: image * 2, pairs)
    kept = {clip for clip, one in found.worst.items() if one.shown is not None}
    assert kept == {"clip0", "clip2"}
    assert found.below == dict.fromkeys(found.worst, 1)
    assert worst_sheet(found).shape[-2] < 3 * SIDE


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_of_a_clip_the_frame_that_loses_most_is_kept(order, tmp_path):
    """Brightness is doubled, so that the brightest grey loses most, and black nothing."""
    pairs = []
    for i in order:
        path = tmp_path / f"{i}.png"
        write_picture(torch.full((1, 3, 20, 24), (0.0, 0.1, 0.4)[i]), path)
        pairs.append((Frame("clip", i, path), Frame("clip", i, path)))
    found = evaluate_pairs(lambda image: image * 2, pairs)
    assert found.worst["clip"].frame.path.name == "2.png"
    assert found.worst["clip"].shown[1].mean() == pytest.approx(0.8, abs=0.01)
    assert found.count == {"clip": 3}
    assert found.below == {"clip": 2}  # black stays black


def test_every_clip_of_every_part_has_its_row(tmp_path):
    train = evaluation((25.0, 24.5), (25.0, 25.25))
    write_worst([("test", evaluation((25.0, 24.0))), ("train", train)], tmp_path)
    with (tmp_path / "scenes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    told = [(row["part"], row["clip"], row["window_psnr"]) for row in rows]
    assert told == [
        ("test", "clip0", "24.0"),
        ("train", "clip0", "24.5"),
        ("train", "clip1", "25.25"),
    ]
    first = (rows[0]["gain"], rows[0]["below_input"], rows[0]["worst_frame"], rows[0]["left"])
    assert first == ("1.0", "2", "000007.png", "16")
    assert SIDE < read_picture(tmp_path / "worst.jpg").shape[-2] < 2 * SIDE  # one clip
