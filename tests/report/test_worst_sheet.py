"""Where a network fails, as a picture and as a table."""

import csv
from pathlib import Path

import torch

from bluref.frames.clip import Frame
from bluref.measure.worst import Window
from bluref.media.picture import read_picture
from bluref.report.before_after import CAPTION_HEIGHT
from bluref.report.worst_sheet import COLUMNS, MOST, SIDE, worst_sheet, write_worst
from bluref.train.evaluate import Evaluation, Scores, Worst


def evaluation(*losses):
    """Of one clip for each loss in dB; the output of clip i is the grey i / 100."""
    worst = {}
    for i, loss in enumerate(losses):
        grey = [torch.full((1, 3, 96, 96), value) for value in (0.0, i / 100, 1.0)]
        frame = Frame(f"clip{i}", 7, Path(f"data/clip{i}/000007.png"))
        worst[f"clip{i}"] = Worst(frame, Window(8, 16, 96, 96, 25.0, 25.0 - loss), *grey)
    scores = Scores(27.004, 0.9, 0.95), Scores(26.0, 0.8, 0.9)
    per_clip = dict.fromkeys(worst, scores)
    return Evaluation(len(worst), *scores, per_clip, dict.fromkeys(worst, 2), worst)


def test_the_worst_clip_comes_first_and_the_least_are_left_out():
    losses = [(5 * i) % (MOST + 2) for i in range(MOST + 2)]
    sheet = worst_sheet(evaluation(*losses))
    height = sheet.shape[-2] // min(MOST, len(losses))
    assert height >= CAPTION_HEIGHT + SIDE
    assert sheet.shape[-1] >= 3 * SIDE
    outputs = sheet[0, 0, CAPTION_HEIGHT + SIDE // 2 :: height, sheet.shape[-1] // 2]
    shown = [round(float(grey) * 100) for grey in outputs]
    order = sorted(range(len(losses)), key=lambda i: -losses[i])
    assert shown == order[: len(shown)]
    assert len(shown) == min(MOST, len(losses))


def test_every_clip_of_every_part_has_its_row(tmp_path):
    write_worst([("test", evaluation(1.0)), ("train", evaluation(0.5, -0.25))], tmp_path)
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
